package controllers

import (
	"context"

	"github.com/gin-gonic/gin"

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

// Create begins a session of the organization's owner inside its tenant, as a
// login there would.
func (ctl *OrganizationTokens) Create(c *gin.Context, user *models.CoreUser) error {
	ctx := c.Request.Context()
	org, err := models.FindOrganization(ctx, ctl.Tenants.Core(), user.ID, c.Param("slug"))
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
		claims: tenantClaims(tenant),
	}
	return tenant.Classify(n.begin(c, func(ctx context.Context, session *models.Session) error {
		return models.CreateOwnerSession(ctx, n.db, n.event, user, session)
	}))
}
