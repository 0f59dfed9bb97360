package controllers

import (
	"github.com/gin-gonic/gin"

	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// lend lends the tenant with that id, whatever has led there, and names it in the
// log. One that is not there, or not any more, is gone.
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

// checkAgreement refuses an X-TENANT that is sent along and names another tenant
// than the one that a token leads to; where it leads to the core, any.
func checkAgreement(named, slug models.Slug) error {
	if named != "" && named != slug {
		return models.ErrTenantTokenRequired
	}
	return nil
}
