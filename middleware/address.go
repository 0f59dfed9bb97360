package middleware

import (
	"log/slog"
	"net/netip"
	"sync"

	"github.com/gin-gonic/gin"
)

// Address is where the request comes from, as far as the proxies that are
// trusted say so. It is no valid one where that cannot be told.
func Address(c *gin.Context) netip.Addr {
	address, _ := netip.ParseAddr(c.ClientIP()) // the zero one, then
	return address
}

// WarnOfProxy says once in the log that there seems to be a proxy where none is
// trusted: then all users have its address, and share its limits.
func WarnOfProxy(logger *slog.Logger) gin.HandlerFunc {
	var once sync.Once
	return func(c *gin.Context) {
		if len(c.Request.Header.Values("X-Forwarded-For")) > 0 {
			once.Do(func() {
				logger.WarnContext(c.Request.Context(), "a request came through a proxy, but TRUSTED_PROXIES is not set: "+
					"all users behind it look like one, to the limits and in the log", "ip", c.ClientIP())
			})
		}
		c.Next()
	}
}
