package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/models"
)

// Operations shows long work to the core users whom it concerns: the owner of the
// organization, and the user who asked for it. Others get 404.
type Operations struct {
	Core *gorm.DB
}

type operationResponse struct {
	ID           string                 `json:"id"`
	Kind         models.OperationKind   `json:"kind"`
	Status       models.OperationStatus `json:"status"`
	Phase        string                 `json:"phase"` // empty before the first
	Done         int64                  `json:"done"`
	Total        *int64                 `json:"total"`        // nil while it is not known
	Error        *models.Kind           `json:"error"`        // of the last attempt that failed
	Organization *models.Slug           `json:"organization"` // its slug; nil once it is gone
	CreatedAt    time.Time              `json:"created_at"`
	UpdatedAt    time.Time              `json:"updated_at"`
}

func newOperationResponse(op *models.Operation, slug models.Slug) operationResponse {
	response := operationResponse{
		ID: op.ID, Kind: op.Kind, Status: op.Status, Phase: op.Phase, Done: op.Done,
		CreatedAt: op.CreatedAt.UTC(), UpdatedAt: op.UpdatedAt.UTC(),
	}
	if op.Total > 0 {
		response.Total = &op.Total
	}
	if op.ErrorCode != "" {
		response.Error = &op.ErrorCode
	}
	if slug != "" {
		response.Organization = &slug
	}
	return response
}

// accept answers that an operation is queued, and where it is shown.
func accept(c *gin.Context, op *models.Operation, response any) error {
	c.Header("Location", operationPath(op.ID))
	c.JSON(http.StatusAccepted, response)
	return nil
}

// operationPath is where an operation is shown.
func operationPath(id string) string { return "/api/operations/" + id }

// Show shows an operation.
func (ctl *Operations) Show(c *gin.Context, user *models.CoreUser) error {
	ctx := c.Request.Context()
	op, err := models.FindOperationOf(ctx, ctl.Core, user.ID, c.Param("id"))
	if err != nil {
		return err
	}
	org, err := models.FindOrganizationOf(ctx, ctl.Core, op.TenantID)
	if err != nil && !models.IsKind(err, models.KindOrganizationNotFound) {
		return err
	}
	c.JSON(http.StatusOK, newOperationResponse(&op, org.Slug))
	return nil
}
