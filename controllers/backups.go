package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/auth/limits"
	"multitenant/backups"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Backups lets owners see the backups of their organizations, and ask for one.
type Backups struct {
	Tenants *tenants.Manager
	Backups *backups.Backups // nil keeps none
	Limits  *limits.Limits
}

type backupResponse struct {
	ID          string    `json:"id"`
	TakenAt     time.Time `json:"taken_at"`
	IsComplete  bool      `json:"is_complete"`
	Bytes       int64     `json:"bytes"`
	IsEncrypted bool      `json:"is_encrypted"`
	ProvenLevel int       `json:"proven_level"`
}

func newBackupResponse(listed *backups.Listed) backupResponse {
	record := listed.Record
	return backupResponse{
		ID: record.ID, TakenAt: record.TakenAt.UTC(), IsComplete: record.IsComplete(), Bytes: record.Bytes,
		IsEncrypted: record.IsEncrypted(), ProvenLevel: listed.Level(),
	}
}

// find returns the user's organization, if there can be backups of it.
func (ctl *Backups) find(c *gin.Context, user *models.CoreUser) (models.Organization, error) {
	org, err := models.FindOrganization(c.Request.Context(), ctl.Tenants.Core(), user.ID, c.Param("slug"))
	if err == nil && ctl.Backups == nil {
		err = models.ErrBackupsOff
	}
	return org, err
}

// List shows a page of the backups, the newest first.
func (ctl *Backups) List(c *gin.Context, user *models.CoreUser) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	org, err := ctl.find(c, user)
	if err != nil {
		return err
	}
	found, err := ctl.Backups.Page(c.Request.Context(), org.TenantID, p.cursor, p.more())
	if err != nil {
		return err
	}
	moment := func(listed *backups.Listed) int64 { return listed.Kept.Moment() }
	c.JSON(http.StatusOK, listing(p, found, moment, newBackupResponse))
	return nil
}

// Create asks for a backup, which a server makes afterwards.
func (ctl *Backups) Create(c *gin.Context, user *models.CoreUser) error {
	org, err := ctl.find(c, user)
	if err != nil {
		return err
	}
	op := models.Operation{Kind: models.OperationBackup, TenantID: org.TenantID}
	event := middleware.NewEvent(c, models.ActionOrganizationBackedUp).By(&user.Account).AboutOrganization(&org)
	allow := func() error { return ctl.Limits.Backup(middleware.Address(c)) }
	if err := models.CreateOperation(c.Request.Context(), ctl.Tenants.Core(), event, &op, allow); err != nil {
		return err
	}
	c.Header("Location", operationPath(op.ID))
	c.JSON(http.StatusAccepted, newOperationResponse(&op, org.Slug))
	return nil
}
