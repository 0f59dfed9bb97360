package middleware

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// ForwardedFor is the only header that a proxy may name its client in. A client could
// send any other, such as X-Real-IP, and a proxy would pass it on.
const ForwardedFor = "X-Forwarded-For"

// Address is where the request comes from, as far as the proxies that are
// trusted say so. It is no valid one where that cannot be told.
func Address(c *gin.Context) netip.Addr {
	address, _ := netip.ParseAddr(c.ClientIP()) // the zero one, then
	return address
}

// Forwarded brings X-Forwarded-For into the one form that gin reads: a single line of
// addresses without ports. Some proxies name the port of their client as well, and
// some add a line of their own to a line that the client has sent: lines of one name
// are one list (RFC 9110, section 5.3).
func Forwarded() gin.HandlerFunc {
	return func(c *gin.Context) {
		if lines := c.Request.Header.Values(ForwardedFor); len(lines) > 0 {
			addresses := strings.Split(strings.Join(lines, ","), ",")
			for i, address := range addresses {
				addresses[i] = withoutPort(strings.TrimSpace(address))
			}
			c.Request.Header.Set(ForwardedFor, strings.Join(addresses, ","))
		}
		c.Next()
	}
}

// withoutPort returns 203.0.113.9 for 203.0.113.9:50000 and 2001:db8::1 for
// [2001:db8::1]:443 and [2001:db8::1]; other texts stay as they are.
func withoutPort(address string) string {
	if withPort, err := netip.ParseAddrPort(address); err == nil {
		return withPort.Addr().String()
	}
	if inner, found := strings.CutPrefix(address, "["); found {
		return strings.TrimSuffix(inner, "]")
	}
	return address
}

// WarnOfProxy says once in the log that there seems to be a proxy where none is
// trusted: then all users have its address, and share its limits.
func WarnOfProxy(logger *slog.Logger) gin.HandlerFunc {
	var once sync.Once
	return func(c *gin.Context) {
		if len(c.Request.Header.Values(ForwardedFor)) > 0 {
			once.Do(func() {
				logger.WarnContext(c.Request.Context(), "a request came through a proxy, but TRUSTED_PROXIES is not set: "+
					"all users behind it look like one, to the limits and in the log", "ip", c.ClientIP())
			})
		}
		c.Next()
	}
}
