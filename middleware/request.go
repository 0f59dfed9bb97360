package middleware

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
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
	handler := logger.Handler()
	return func(c *gin.Context) {
		start := time.Now()
		id := c.Request.Header.Get(requestIDHeader)
		if !validRequestID(id) {
			id = newRequestID()
		}
		c.Writer.Header()[requestIDHeader] = []string{id}
		c.Next()

		ctx, level := c.Request.Context(), levelOf(c.Writer.Status())
		if !handler.Enabled(ctx, level) {
			return
		}
		// A record of our own: the logger's would look up the line of code it
		// stands on, which nobody is told.
		end := time.Now()
		record := slog.NewRecord(end, level, "request", 0)
		record.AddAttrs(
			slog.String("request_id", id),
			slog.String("method", c.Request.Method),
			slog.String("route", c.FullPath()),
			slog.Int("status", c.Writer.Status()),
			slog.Duration("duration", end.Sub(start)),
			slog.String("ip", c.ClientIP()),
		)
		if tenant := c.GetString(tenantKey); tenant != "" {
			record.AddAttrs(slog.String("tenant", tenant))
		}
		if last := c.Errors.Last(); last != nil {
			record.AddAttrs(slog.String("error", last.Err.Error()))
		}
		_ = handler.Handle(ctx, record) // where the log cannot be written, nothing can be said about it
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

// Headers sets the security headers of an API that serves nothing to be
// rendered. The values are shared by all responses and never changed.
func Headers() gin.HandlerFunc {
	nosniff, noStore := []string{"nosniff"}, []string{"no-store"}
	policy := []string{"default-src 'none'; frame-ancestors 'none'"}
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header["X-Content-Type-Options"] = nosniff
		header["Cache-Control"] = noStore
		header["Content-Security-Policy"] = policy
		c.Next()
	}
}

// requestID returns the id that Log gave the request.
func requestID(c *gin.Context) string {
	return c.Writer.Header().Get(requestIDHeader)
}

// newRequestID returns a random UUID. It tells requests apart and keeps nothing
// secret, so it does not ask the system for its randomness every time.
func newRequestID() string {
	var id uuid.UUID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // no secret
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // no secret
	id[6] = id[6]&0x0f | 0x40                            // version 4: random
	id[8] = id[8]&0x3f | 0x80                            // the variant of RFC 9562
	return id.String()
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
