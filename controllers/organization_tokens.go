package controllers

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// OrganizationTokens lets core users into the tenants of their organizations.
type OrganizationTokens struct {
	Tenants *tenants.Manager
	Tokens  *auth.Tokens
}

// Create begins a session of the organization's owner inside its tenant. It is as one of
// a login there, but ends with the core session that asks for it.
func (ctl *OrganizationTokens) Create(c *gin.Context, user *models.CoreUser) error {
	ctx := c.Request.Context()
	org, err := models.FindOrganization(ctx, ctl.Tenants.Core(), user.ID, c.Param("slug"))
	if err != nil {
		return err
	}
	parent, err := endOfParent(ctx, ctl.Tenants.Core(), ctl.Tokens, user.Session())
	if err != nil {
		return err
	}
	tenant, release, err := lend(c, ctl.Tenants, org.TenantID, models.ErrOrganizationNotFound)
	if err != nil {
		return err
	}
	defer release()
	n := newSession{
		tokens: ctl.Tokens, db: tenant.DB, event: middleware.NewEvent(c, models.ActionOrganizationEntered),
		claims: tenantClaims(tenant), parent: parent,
	}
	return tenant.Classify(n.begin(c, func(ctx context.Context, session *models.Session) error {
		return models.CreateOwnerSession(ctx, n.db, n.event, user, session)
	}))
}

// endOfParent is when the core session with that key ends, and with it those that it made
// inside tenants. KindInvalidToken when it has ended.
func endOfParent(ctx context.Context, core *gorm.DB, tokens *auth.Tokens, key models.SessionKey) (time.Time, error) {
	parent, err := models.FindSessionByKey(ctx, core, key)
	if err != nil {
		return time.Time{}, refused(err)
	}
	end := endOf(&parent, tokens)
	if !tokens.Now().Before(end) {
		return end, models.ErrInvalidToken.Because(errNoSession)
	}
	return end, nil
}
