package middleware

import (
	"time"

	"github.com/gin-gonic/gin"
)

// Meter takes note of answered requests. It is on every request's way: it must
// neither wait nor allocate.
type Meter interface {
	// Measure is told the method, which may be any word, the pattern of the route,
	// which is empty where none matched, and the status.
	Measure(method, route string, status int, took time.Duration)
}

// Measure tells the meter about every request.
func Measure(meter Meter) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		meter.Measure(c.Request.Method, c.FullPath(), c.Writer.Status(), time.Since(start))
	}
}
