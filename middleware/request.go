package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"multitenant/models"
)

const (
	// RequestTimeout bounds a request; its context reaches the SQL.
	RequestTimeout = 10 * time.Second
	// MaxBodyBytes bounds a request's body.
	MaxBodyBytes = 64 << 10

	requestIDHeader   = "X-Request-Id"
	maxRequestIDBytes = 64
	tenantKey         = "tenant" // of the gin context: the tenant's slug, for the log
)

// Log gives every request an id, taken over from the caller where it is
// harmless, and writes one line for each, with the cause where it failed.
func Log(logger *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		id := c.Request.Header.Get(requestIDHeader)
		if !validRequestID(id) {
			id = uuid.NewString()
		}
		c.Header(requestIDHeader, id)
		c.Next()

		ctx, level := c.Request.Context(), levelOf(c.Writer.Status())
		if !logger.Enabled(ctx, level) {
			return
		}
		attrs := []slog.Attr{
			slog.String("request_id", id),
			slog.String("method", c.Request.Method),
			slog.String("route", c.FullPath()),
			slog.Int("status", c.Writer.Status()),
			slog.Duration("duration", time.Since(start)),
			slog.String("ip", c.ClientIP()),
		}
		if tenant := c.GetString(tenantKey); tenant != "" {
			attrs = append(attrs, slog.String("tenant", tenant))
		}
		if last := c.Errors.Last(); last != nil {
			attrs = append(attrs, slog.String("error", last.Err.Error()))
		}
		logger.LogAttrs(ctx, level, "request", attrs...)
	}
}

// SetTenant names, for the log, the tenant that a request is about.
func SetTenant(c *gin.Context, slug models.Slug) {
	c.Set(tenantKey, string(slug))
}

// Limit bounds the time and the body of a request.
func Limit() gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), RequestTimeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		if c.Request.Body != http.NoBody {
			c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, MaxBodyBytes)
		}
		c.Next()
	}
}

// Headers sets the security headers of an API that serves nothing to be rendered.
func Headers() gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("X-Content-Type-Options", "nosniff")
		c.Header("Cache-Control", "no-store")
		c.Header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		c.Next()
	}
}

// requestID returns the id that Log gave the request.
func requestID(c *gin.Context) string {
	return c.Writer.Header().Get(requestIDHeader)
}

func validRequestID(id string) bool {
	return id != "" && len(id) <= maxRequestIDBytes && strings.IndexFunc(id, func(r rune) bool {
		return ('a' > r || r > 'z') && ('A' > r || r > 'Z') && ('0' > r || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}

// levelOf tells what is broken from what is out of reach or busy for a while.
func levelOf(status int) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	}
	return slog.LevelInfo
}
