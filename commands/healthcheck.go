package commands

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"multitenant/config"
)

// healthcheckTimeout is longer than the server's own, within which it finds out whether
// it is ready.
const healthcheckTimeout = 4 * time.Second

type healthcheckCommand struct {
	Ready bool `help:"Ask whether it is ready for requests, not whether it lives."`
}

// Help describes the command.
func (healthcheckCommand) Help() string {
	return "Asks the server at HTTP_ADDR for /health, or with --ready for /ready. The exit code is 0 if the answer is 200. " +
		"It is for containers, whose image has no other program."
}

// Run asks the server.
func (c *healthcheckCommand) Run(ctx context.Context, inv *Invocation) error {
	cfg, err := inv.settings(config.LoadKeyless)
	if err != nil {
		return err
	}
	if _, port, err := net.SplitHostPort(cfg.HTTPAddr); err != nil || port == "0" {
		return errors.New("the port in HTTP_ADDR is 0, which is another at each start")
	}
	path := "/health"
	if c.Ready {
		path = "/ready"
	}
	status, err := askLocally(ctx, cfg.HTTPAddr, path)
	if err != nil {
		return withHint(err, "HTTP_ADDR says where the server listens: is it right, and does the server run?")
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s answers %d", path, status)
	}
	say(inv.Stdout, path+" answers 200")
	return nil
}

// askLocally returns the status that the server at an address answers. Where the address
// stands for all of this machine's, a dialer takes loopback.
func askLocally(ctx context.Context, address, path string) (status int, err error) {
	var dialer net.Dialer
	client := &http.Client{Timeout: healthcheckTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
