package controllers

import (
	"github.com/gin-gonic/gin"

	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// lend lends the tenant with that id and names it in the log. It returns gone for a
// tenant that does not exist.
func lend(
	c *gin.Context, manager *tenants.Manager, tenantID string, gone *models.Error,
) (tenant *tenants.Tenant, release func(), err error) {
	tenant, release, err = manager.AcquireID(c.Request.Context(), tenantID)
	if models.IsKind(err, models.KindTenantNotFound) {
		return nil, nil, gone.Because(err)
	}
	if err != nil {
		return nil, nil, err
	}
	middleware.SetTenant(c, tenant.Slug)
	return tenant, release, nil
}
