package middleware

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/models"
	"multitenant/tenants"
)

func (g *Gate) enterCore(c *gin.Context, claims auth.Claims, handler CoreHandler) error {
	user, err := models.FindSignedIn[models.CoreUser](c.Request.Context(), g.Core, claims.UserID, claims.Session)
	if err != nil {
		return err
	}
	if !user.IsSignedIn() {
		return models.ErrInvalidToken
	}
	if err := g.countWrite(c, "", user.ID); err != nil {
		return err
	}
	return handler(c, &user)
}

func (g *Gate) enterTenant(c *gin.Context, acquire acquire, claims auth.Claims, handler TenantHandler) error {
	SetTenant(c, models.Slug(claims.Tenant))
	tenant, release, err := acquire(c.Request.Context(), claims.TenantID)
	if models.IsKind(err, models.KindTenantNotFound) {
		return models.ErrInvalidToken.Because(err)
	}
	if err != nil {
		return err
	}
	defer hold(c)() // after release
	defer release()
	err = g.serveTenant(c, claims, tenant, handler)
	if g.Tenants.IsDeleted(c.Request.Context(), tenant, err) {
		return models.ErrInvalidToken.Because(err)
	}
	return tenant.Classify(err)
}

func (g *Gate) serveTenant(c *gin.Context, claims auth.Claims, tenant *tenants.Tenant, handler TenantHandler) error {
	user, err := models.FindSignedIn[models.TenantUser](c.Request.Context(), tenant.DB, claims.UserID, claims.Session)
	if err != nil {
		return err
	}
	if !user.IsSignedIn(tenant.Owner()) {
		return models.ErrInvalidToken
	}
	if err := g.checkSlug(c.Request.Context(), tenant, claims.Tenant); err != nil {
		return err
	}
	// The token names the parent, so that only such sessions cost a statement at core.
	if claims.Parent.ID != 0 {
		err := models.CheckParent(c.Request.Context(), g.Core, tenant.Owner(), claims.Parent)
		if err != nil {
			return g.Tenants.ClassifyCore(err)
		}
	}
	if err := g.countWrite(c, tenant.ID, user.ID); err != nil {
		return err
	}
	return handler(c, tenant, &user)
}

// checkSlug requires that a token names its tenant, if not by its slug then by an alias.
func (g *Gate) checkSlug(ctx context.Context, tenant *tenants.Tenant, named string) error {
	if named == string(tenant.Slug) {
		return nil
	}
	slug, err := models.ParseSlug(named)
	if err == nil {
		err = g.Tenants.CheckAgreement(ctx, tenant.ID, tenant.Slug, slug)
	}
	if models.IsKind(err, models.KindInvalidSlug) || models.IsKind(err, models.KindTenantTokenRequired) {
		return models.ErrInvalidToken.Because(err)
	}
	return err
}

// isCounted marks in the gin context a request that countWrite has seen.
const isCounted = "counted"

// countWrite counts a request that may change something, once.
func (g *Gate) countWrite(c *gin.Context, tenantID string, userID int64) error {
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead || c.GetBool(isCounted) {
		return nil
	}
	c.Set(isCounted, true)
	return g.Limits.Write(tenantID, userID)
}
