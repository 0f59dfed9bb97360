package controllers

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/auth/limits"
	"multitenant/backups/export"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// pieceTimeout bounds how long a client may take for a piece of a download.
const pieceTimeout = 30 * time.Second

// Exports lets owners download all that their organizations have.
type Exports struct {
	Tenants *tenants.Manager
	Exports *export.Exports // nil keeps none
	Limits  *limits.Limits
}

type exportResponse struct {
	operationResponse

	Link string `json:"link"` // the path of the export
	Key  string `json:"key"`  // a secret that no other answer has
}

// Create asks for an export, which a server makes afterwards.
func (ctl *Exports) Create(c *gin.Context, user *models.CoreUser) error {
	org, err := models.FindOrganization(c.Request.Context(), ctl.Tenants.Core(), user.ID, c.Param("slug"))
	if err == nil && ctl.Exports == nil {
		err = models.ErrBackupsOff
	}
	if err != nil {
		return err
	}
	key, arguments, err := export.NewKey(org.Slug)
	if err != nil {
		return err
	}
	op := models.Operation{Kind: models.OperationExport, TenantID: org.TenantID, Arguments: arguments}
	event := middleware.NewEvent(c, models.ActionOrganizationExported).By(&user.Account).AboutOrganization(&org)
	allow := func() error { return ctl.Limits.Export(middleware.Address(c)) }
	if err := models.CreateOperation(c.Request.Context(), ctl.Tenants.Core(), event, &op, allow); err != nil {
		return err
	}
	return accept(c, &op, exportResponse{
		operationResponse: newOperationResponse(&op, org.Slug), Link: "/api/exports/" + op.ID, Key: key,
	})
}

// Download sends an export to the bearer of its key, once. HEAD only looks.
func (ctl *Exports) Download(c *gin.Context) error {
	if ctl.Exports == nil {
		return models.ErrExportNotFound
	}
	ctx, id := c.Request.Context(), c.Param("id")
	key, _ := middleware.Bearer(c) // nothing is the key of no export
	ready, err := ctl.Exports.Look(ctx, id, key)
	if err != nil {
		return err
	}
	if c.Request.Method == http.MethodHead {
		describeDownload(c, ready)
		return nil
	}
	return send(c, ready)
}

// send takes the export and sends it. That may take longer than other requests: the client
// is known to be gone when a piece cannot be written.
func send(c *gin.Context, ready *export.Ready) error {
	ctx := c.Request.Context()
	if err := ready.Take(ctx, middleware.NewEvent(c, models.ActionOrganizationFetched)); err != nil {
		return err
	}
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), export.SendTimeout)
	defer cancel()
	if err := ready.Open(sending); err != nil {
		return err
	}
	describeDownload(c, ready)
	err := ready.Send(sending, &pacedWriter{ResponseWriter: c.Writer, controller: http.NewResponseController(c.Writer)})
	if err != nil && !c.Writer.Written() {
		c.Writer.Header().Del("Content-Length") // the answer is an error
		c.Writer.Header().Del("Content-Disposition")
	}
	return err
}

func describeDownload(c *gin.Context, ready *export.Ready) {
	middleware.SetTenant(c, ready.Slug)
	c.Header("Content-Type", "application/zip")
	c.Header("Content-Disposition", `attachment; filename="`+string(ready.Slug)+`.zip"`)
	c.Header("Content-Length", strconv.FormatInt(ready.Bytes, 10))
	c.Status(http.StatusOK)
}

// pacedWriter gives the client the same time for each piece.
type pacedWriter struct {
	gin.ResponseWriter

	controller *http.ResponseController
}

// Write writes a piece.
func (w *pacedWriter) Write(piece []byte) (int, error) {
	if err := w.controller.SetWriteDeadline(time.Now().Add(pieceTimeout)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(piece)
}
