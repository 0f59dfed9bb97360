package middleware

import (
	"github.com/gin-gonic/gin"

	"multitenant/models"
	"multitenant/tenants"
)

// Preparation prepares a request of a user of that tenant without a database, and returns
// the handler that serves it.
type Preparation func(c *gin.Context, slug models.Slug, user *models.TenantUser) (TenantHandler, error)

// SignedInAfter is SignedIn for a request that takes long to prepare in a tenant. It
// checks the caller before and after prepare, and holds no lease meanwhile.
func (g *Gate) SignedInAfter(core CoreHandler, prepare Preparation) gin.HandlerFunc {
	return g.after(core, prepare, func(tenant TenantHandler) TenantHandler { return tenant })
}

// ManagingAfter is SignedInAfter for the owners and admins of a tenant alone.
func (g *Gate) ManagingAfter(prepare Preparation) gin.HandlerFunc {
	return g.after(notAtCore, prepare, managing)
}

func (g *Gate) after(core CoreHandler, prepare Preparation, guard func(TenantHandler) TenantHandler) gin.HandlerFunc {
	return g.handle(func(c *gin.Context) error {
		var slug models.Slug
		var admitted *models.TenantUser
		admit := func(_ *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
			slug, admitted = tenant.Slug, user
			return nil
		}
		if err := g.enter(c, g.Tenants.AcquireID, core, guard(admit)); err != nil || admitted == nil { // core has served it
			return err
		}
		tenant, err := prepare(c, slug, admitted)
		if err != nil {
			return err
		}
		return g.enter(c, g.Tenants.AcquireID, notAtCore, guard(tenant))
	})
}
