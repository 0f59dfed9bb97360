package commands

import (
	"context"
	"time"

	"multitenant/commands/metrics"
	"multitenant/commands/server"
	"multitenant/config"
	"multitenant/tenants"
)

// metricsShutdownTimeout is short: it comes on top of the API's, and what a
// scrape cut off would have told the next process tells too.
const metricsShutdownTimeout = time.Second

// newMetrics returns nil where the settings want none.
func newMetrics(cfg *config.Config) *metrics.Metrics {
	if cfg.MetricsAddr == "" {
		return nil
	}
	return metrics.New()
}

// serveMetrics answers Prometheus on an address of its own until stop is called,
// which lets a scrape under way finish. Without metrics it does nothing.
func (in *installation) serveMetrics(
	ctx context.Context, api *server.Server, exported *metrics.Metrics, manager *tenants.Manager,
) (stop func()) {
	if exported == nil {
		return func() {}
	}
	exported.Watch(manager, in.backend)
	api.Serve(exported.Handler(in.logger), in.logger)
	in.logger.InfoContext(ctx, "serving metrics", "url", api.URL()+"/metrics")
	go func() {
		<-api.Ended()
		// The API goes on without: only the operator misses them.
		if !api.IsLeaving() {
			in.logger.ErrorContext(ctx, "serve metrics", "error", api.Err())
		}
	}()
	return func() { in.logFailure(api.Stop(ctx, metricsShutdownTimeout)) }
}
