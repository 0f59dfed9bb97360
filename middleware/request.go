package middleware

import (
	"bytes"
	"context"
	"errors"
	"io"
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

		ctx, level := c.Request.Context(), levelOf(c)
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
		if c.Writer.Status() == http.StatusForbidden {
			attrs = append(attrs, refusalAttrs(c)...)
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

// refusalAttrs name the code of a 403 and, if the user is known, who was refused: user_id is
// an id of core, or of the tenant that user_tenant names.
func refusalAttrs(c *gin.Context) []slog.Attr {
	var attrs []slog.Attr
	if last := c.Errors.Last(); last != nil {
		attrs = append(attrs, slog.String("code", string(codeOf(explain(last.Err)))))
	}
	actor, known := actorOf(c)
	if !known {
		return attrs
	}
	attrs = append(attrs, slog.Int64("user_id", actor.UserID))
	if actor.Tenant != "" {
		attrs = append(attrs, slog.String("user_tenant", actor.Tenant))
	}
	return attrs
}

// SetTenant names, for the log, the tenant that a request is about.
func SetTenant(c *gin.Context, slug models.Slug) {
	c.Set(tenantKey, string(slug))
}

// Limit reads the body, of at most MaxBodyBytes, and then bounds the time of the
// request. The server bounds the time of reading. No database is lent meanwhile, so a
// body that never comes holds none, and a slow database never cuts a body off.
func Limit() gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.Body != http.NoBody {
			raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, MaxBodyBytes))
			_, isTooLarge := errors.AsType[*http.MaxBytesError](err)
			if err != nil && !isTooLarge {
				Abort(c, models.ErrRequestTimeout.Because(err))
				return
			}
			// The handler that wants the body learns that it is too large, after other checks.
			c.Request.Body = &body{Reader: bytes.NewReader(raw), err: err}
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), RequestTimeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// body is one that was read before, and how that ended.
type body struct {
	*bytes.Reader
	err error // nil at its end
}

// Read ends with the error that the reading ended with.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && b.err != nil {
		err = b.err
	}
	return n, err
}

// WriteTo is Read for a caller that wants all.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	n, err := b.Reader.WriteTo(w)
	if err == nil {
		err = b.err
	}
	return n, err
}

// Close closes nothing.
func (*body) Close() error { return nil }

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

// levelOf tells what is broken from what is out of reach or busy for a while. The rule of
// a conflict is known to operators alone.
func levelOf(c *gin.Context) slog.Level {
	status, last := c.Writer.Status(), c.Errors.Last()
	switch {
	case status == http.StatusServiceUnavailable, last != nil && explain(last.Err).Kind == models.KindConflict:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	}
	return slog.LevelInfo
}
