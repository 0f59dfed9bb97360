package middleware

import (
	"strings"

	"github.com/gin-gonic/gin"

	"multitenant/models"
)

// maxUserAgentLength bounds what is kept of a browser's description of itself, in
// bytes.
const maxUserAgentLength = 255

// NewEvent returns the event of something that a request does, with where the
// request came from. It has succeeded, unless it is said to be refused.
func NewEvent(c *gin.Context, action models.Action) *models.Event {
	return &models.Event{
		Action:    action,
		Outcome:   models.OutcomeSuccess,
		IP:        c.ClientIP(),
		UserAgent: UserAgent(c),
		RequestID: requestID(c),
	}
}

// UserAgent is the text that the client describes itself with, as far as both
// engines can keep it.
func UserAgent(c *gin.Context) string {
	text := c.Request.UserAgent()
	return strings.ToValidUTF8(text[:min(len(text), maxUserAgentLength)], "")
}
