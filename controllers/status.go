package controllers

import (
	"cmp"
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/docs"
	"multitenant/models"
	"multitenant/tenants"
)

// readyTimeout bounds how long the core database may take to answer.
const readyTimeout = 2 * time.Second

// Status tells machines how the service is.
type Status struct {
	Tenants *tenants.Manager

	leaving atomic.Bool
}

type statusResponse struct {
	Status string `json:"status"`
}

type messageResponse struct {
	Message string `json:"message"`
}

// Leave makes the service not ready, so that no new requests are sent to it.
func (ctl *Status) Leave() {
	ctl.leaving.Store(true)
}

// Root greets programs, and leads browsers to the pages.
func (ctl *Status) Root(c *gin.Context) error {
	c.Writer.Header().Add("Vary", "Accept")
	if wantsPage(strings.Join(c.Request.Header.Values("Accept"), ",")) {
		docs.ServeFront(c.Writer, c.Request)
		return nil
	}
	c.JSON(http.StatusOK, messageResponse{Message: "Multi-Tenant API is running"})
	return nil
}

// wantsPage is true when the client names text/html, as browsers do, and likes JSON no
// better. A client that names neither gets JSON.
func wantsPage(accept string) bool {
	weights := map[string]float64{}
	for part := range strings.SplitSeq(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight, err := strconv.ParseFloat(cmp.Or(parameters["q"], "1"), 64)
		if err == nil {
			weights[kind] = max(weight, weights[kind])
		}
	}
	page := weights["text/html"]
	if json, named := weights["application/json"]; named {
		return page > json
	}
	return page > 0 && page >= max(weights["application/*"], weights["*/*"])
}

// Health says that the process lives. It asks no other service.
func (ctl *Status) Health(c *gin.Context) error {
	c.JSON(http.StatusOK, statusResponse{Status: "healthy"})
	return nil
}

// Ready says whether requests can be served: the core database answers and can be written, and
// the process is not about to end.
func (ctl *Status) Ready(c *gin.Context) error {
	if ctl.leaving.Load() {
		return models.ErrCoreUnavailable
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	err := ctl.Tenants.Ready(ctx)
	if tenants.IsReadOnly(err) {
		return models.Errorf(models.KindCoreUnavailable, "Service is read-only").Because(err)
	}
	if err != nil {
		return models.ErrCoreUnavailable.Because(err)
	}
	c.JSON(http.StatusOK, statusResponse{Status: "ready"})
	return nil
}
