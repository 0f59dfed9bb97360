// Package middleware stands between the wire and the handlers: it admits
// requests, finds out who sent them, and turns what handlers return into
// answers.
package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"multitenant/models"
	"multitenant/tenants"
)

// Handle makes a gin handler of one that returns its error.
func Handle(handler func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handler(c); err != nil {
			Abort(c, err)
		}
	}
}

// Abort ends the request with an error, which Errors renders.
func Abort(c *gin.Context, err error) {
	_ = c.Error(err) // it returns what it was given
	c.Abort()
}

// Errors renders the error a request ended with. It is the only code that
// writes the body of an error.
func Errors() gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		last := c.Errors.Last()
		if last == nil || c.Writer.Written() {
			return
		}
		writeProblem(c, explain(last.Err))
	}
}

// Recover turns a panic into an error, so that it is answered and logged like
// any other.
func Recover() gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause) // net/http's own way to give up on a connection
			}
			Abort(c, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}()
		c.Next()
	}
}

// NotFound answers a path that there is not.
func NotFound(*gin.Context) error {
	return models.Errorf(models.KindNotFound, "Not Found")
}

// MethodNotAllowed answers a method that the path does not have; gin has set
// the header Allow by then.
func MethodNotAllowed(*gin.Context) error {
	return models.Errorf(models.KindMethodNotAllowed, "Method Not Allowed")
}

// explain returns what the caller may be told of an error.
func explain(err error) *models.Error {
	if known, ok := errors.AsType[*models.Error](err); ok {
		return known
	}
	switch {
	case tenants.IsInterrupted(err):
		return models.Errorf(models.KindTimeout, "Request timed out")
	case tenants.IsBusy(err):
		return models.ErrBusy
	case tenants.IsUnavailable(err):
		return models.ErrCoreUnavailable
	case tenants.IsConflict(err):
		return models.Errorf(models.KindConflict, "Refused by a rule of this installation")
	}
	return models.Errorf(models.KindInternal, "Internal server error")
}
