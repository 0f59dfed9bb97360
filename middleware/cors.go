package middleware

import (
	"net/http"
	"slices"

	"github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"
)

// CORS lets the pages of these origins call the API from a browser. A request
// from any other is served like one from no page at all: without the headers,
// its browser keeps the answer to itself.
func CORS(origins []string) gin.HandlerFunc {
	allow := cors.New(cors.Config{
		AllowOrigins:  origins,
		AllowMethods:  []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowHeaders:  []string{"Authorization", "Content-Type", "X-Tenant", requestIDHeader},
		ExposeHeaders: []string{"Location", "Retry-After", requestIDHeader},
	})
	return func(c *gin.Context) {
		if slices.Contains(origins, c.GetHeader("Origin")) {
			allow(c)
			return
		}
		c.Writer.Header().Add("Vary", "Origin")
		c.Next()
	}
}
