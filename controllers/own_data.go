package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/models"
	"multitenant/tenants"
)

// The limits of a document about one user, which also has all their sessions.
const (
	maxOwnOrganizations = 1000
	maxOwnEvents        = 1000
)

// OwnData gives users the data that is stored about them.
type OwnData struct {
	Tenants *tenants.Manager
	Tokens  *auth.Tokens
	Limits  *limits.Limits
}

type ownDataResponse struct {
	ExportedAt    time.Time              `json:"exported_at"`
	Tenant        *models.Slug           `json:"tenant"` // null at the core
	Profile       any                    `json:"profile"`
	Sessions      []sessionResponse      `json:"sessions"`
	Organizations []organizationResponse `json:"organizations"` // none in a tenant
	Events        []EventResponse        `json:"events"`        // the newest first
	HasMoreEvents bool                   `json:"has_more_events"`
}

// ShowCore gives a core user their data at the core.
func (ctl *OwnData) ShowCore(c *gin.Context, user *models.CoreUser) error {
	core := ctl.Tenants.Core()
	if err := ctl.Limits.Write("", user.ID); err != nil {
		return err
	}
	own, err := ctl.collect(c, core, &user.Account, models.EventPage{ReaderID: user.ID})
	if err != nil {
		return err
	}
	organizations, err := models.ListOrganizations(c.Request.Context(), core, user.ID, 0, maxOwnOrganizations)
	if err != nil {
		return err
	}
	own.Profile, own.Organizations = newCoreUserResponse(user), each(organizations, newOrganizationResponse)
	return own.answer(c)
}

// ShowTenant gives a user of a tenant their data there. It has the events that they caused;
// owners and admins also get the events about them.
func (ctl *OwnData) ShowTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	if err := ctl.Limits.Write(tenant.ID, user.ID); err != nil {
		return err
	}
	events := models.EventPage{ByID: user.ID, Since: user.CreatedAt}
	if user.Role.Manages() {
		events.AboutID = user.ID
	}
	own, err := ctl.collect(c, tenant.DB, &user.Account, events)
	if err != nil {
		return err
	}
	own.Tenant, own.Profile, own.Organizations = &tenant.Slug, newTenantUserResponse(user), []organizationResponse{}
	return own.answer(c)
}

// collect reads the data that both kinds of users have. page says which events.
func (ctl *OwnData) collect(
	c *gin.Context, db *gorm.DB, user *models.Account, page models.EventPage,
) (*ownDataResponse, error) {
	ctx, now := c.Request.Context(), ctl.Tokens.Now()
	sessions, err := models.ListSessions(ctx, db, user, models.SessionPage{
		Limit: models.MaxSessions, Since: now.Add(-ctl.Tokens.SessionLifetime()), Now: now,
	})
	if err != nil {
		return nil, err
	}
	page.Limit = maxOwnEvents + 1
	events, err := models.ListEvents(ctx, db, page)
	if err != nil {
		return nil, err
	}
	own := &ownDataResponse{ExportedAt: now.UTC(), HasMoreEvents: len(events) > maxOwnEvents}
	own.Events = each(events[:min(len(events), maxOwnEvents)], NewEventResponse)
	own.Sessions = each(sessions, func(session *models.Session) sessionResponse {
		return newSessionResponse(session, ctl.Tokens, user.SessionID())
	})
	return own, nil
}

func (r *ownDataResponse) answer(c *gin.Context) error {
	c.Header("Content-Disposition", `attachment; filename="my-data.json"`)
	c.JSON(http.StatusOK, r)
	return nil
}
