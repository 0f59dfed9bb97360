package controllers

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

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

// Root greets.
func (ctl *Status) Root(c *gin.Context) error {
	c.JSON(http.StatusOK, messageResponse{Message: "Multi-Tenant API is running"})
	return nil
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
