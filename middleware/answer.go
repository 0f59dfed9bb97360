package middleware

import (
	"bytes"

	"github.com/gin-gonic/gin"
)

// heldAnswer keeps the body of an answer until send. A client that reads slowly would
// otherwise keep its tenant's database from others.
type heldAnswer struct {
	gin.ResponseWriter

	body bytes.Buffer
}

// hold holds the answer of the request until the caller calls send.
func hold(c *gin.Context) (send func()) {
	answer := &heldAnswer{ResponseWriter: c.Writer}
	c.Writer = answer
	return func() {
		c.Writer = answer.ResponseWriter
		if answer.body.Len() > 0 {
			_, _ = c.Writer.Write(answer.body.Bytes()) // the client may be gone
		}
	}
}

// Write keeps a part of the body.
func (a *heldAnswer) Write(part []byte) (int, error) { return a.body.Write(part) }

// WriteString keeps a part of the body.
func (a *heldAnswer) WriteString(part string) (int, error) { return a.body.WriteString(part) }
