package controllers

import (
	"encoding/json"
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
	return accept(c, &op, newOperationResponse(&op, org.Slug))
}

type restoreRequest struct {
	As     *string `json:"as"`
	Backup *string `json:"backup"`
}

func (r *restoreRequest) check() error {
	var checks models.Checks
	checks.Present("as", r.As)
	return checks.Err()
}

// Restore asks for a new organization that is made of a backup of one of the user's. It
// counts as an organization that the user makes.
func (ctl *Backups) Restore(c *gin.Context, user *models.CoreUser) error {
	org, err := ctl.find(c, user)
	if err != nil {
		return err
	}
	body, err := bindChecked[restoreRequest](c)
	if err != nil {
		return err
	}
	arguments, err := ctl.choose(c, user, &org, &body)
	if err != nil {
		return err
	}
	op := models.Operation{Kind: models.OperationRestore, TenantID: org.TenantID, Arguments: arguments}
	allow := func() error { return ctl.Limits.Tenant(middleware.Address(c)) }
	if err := models.QueueOperation(c.Request.Context(), ctl.Tenants.Core(), user, &op, allow); err != nil {
		return err
	}
	return accept(c, &op, newOperationResponse(&op, org.Slug))
}

// choose returns the arguments of the restoration, if it could be done now.
func (ctl *Backups) choose(c *gin.Context, user *models.CoreUser, org *models.Organization, body *restoreRequest) (string, error) {
	ctx := c.Request.Context()
	as, err := models.ParseSlug(*body.As)
	if err != nil {
		return "", err
	}
	if err := models.CheckOrganizations(ctx, ctl.Tenants.Core(), user.ID, ctl.Limits.Organizations()); err != nil {
		return "", err
	}
	if err := ctl.Tenants.CheckFreeSlug(ctx, as, user.ID); err != nil {
		return "", err
	}
	id := ""
	if body.Backup != nil {
		id = *body.Backup
	}
	record, err := ctl.Backups.Find(ctx, org.TenantID, id)
	if err != nil {
		return "", err
	}
	arguments, err := json.Marshal(backups.RestorationArguments{As: as, Backup: record.ID})
	return string(arguments), err
}
