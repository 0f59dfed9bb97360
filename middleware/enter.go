package middleware

import (
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

func (g *Gate) enterTenant(c *gin.Context, acquire acquire, claims auth.Claims, named models.Slug, handler TenantHandler) error {
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
	// The token may name a slug that is an alias now, or another tenant's.
	if named != "" && named != tenant.Slug {
		if err := g.Tenants.CheckCalled(c.Request.Context(), tenant.ID, named); err != nil {
			return err
		}
	}
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
