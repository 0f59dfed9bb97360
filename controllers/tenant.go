package controllers

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Tenant lets the owners of a tenant without an organization manage it from inside, as a
// core user manages an organization.
type Tenant struct {
	Tenants *tenants.Manager
}

// updateTenantRequest has the fields that an update of an organization has too.
type updateTenantRequest struct {
	IsActive     optional[bool]                `json:"is_active"`
	Registration optional[models.Registration] `json:"registration"`
}

func (r *updateTenantRequest) check() error {
	var checks models.Checks
	r.checkFields(&checks)
	return checks.Err()
}

func (r *updateTenantRequest) checkFields(checks *models.Checks) {
	r.IsActive.checkKept(checks, "is_active", "must be true or false")
	if r.Registration.checkKept(checks, "registration", knownRegistrations) {
		checkRegistration(checks, *r.Registration.Value)
	}
}

// action is what the change is on record as.
func (r *updateTenantRequest) action() models.Action {
	switch {
	case !r.IsActive.Set:
		return models.ActionOrganizationUpdated
	case *r.IsActive.Value:
		return models.ActionOrganizationResumed
	}
	return models.ActionOrganizationSuspended
}

// fields names the fields that are set.
func (r *updateTenantRequest) fields() []string {
	var fields []string
	if r.IsActive.Set {
		fields = append(fields, "is_active")
	}
	if r.Registration.Set {
		fields = append(fields, "registration")
	}
	return fields
}

func (r *updateTenantRequest) apply(tenant *models.Tenant) {
	if r.Registration.Set {
		tenant.Registration = *r.Registration.Value
	}
	if !r.IsActive.Set {
		return
	}
	tenant.Status, tenant.SuspendedByOwner = models.TenantReady, false
	if !*r.IsActive.Value {
		tenant.Status, tenant.SuspendedByOwner = models.TenantSuspended, true
	}
}

type tenantResponse struct {
	Slug         models.Slug         `json:"slug"`
	IsActive     bool                `json:"is_active"`
	Registration models.Registration `json:"registration"`
	CreatedAt    time.Time           `json:"created_at"`
}

func newTenantResponse(tenant *models.Tenant) tenantResponse {
	return tenantResponse{
		Slug:         tenant.Slug,
		IsActive:     tenant.Status == models.TenantReady,
		Registration: tenant.Registration,
		CreatedAt:    tenant.CreatedAt.UTC(),
	}
}

// Show shows the tenant.
func (ctl *Tenant) Show(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	record, err := models.FindTenantOfOwner(c.Request.Context(), ctl.Tenants.Core(), tenant.ID)
	if err != nil {
		return ctl.refuse(err)
	}
	c.JSON(http.StatusOK, newTenantResponse(&record))
	return nil
}

// Update changes the tenant; is_active suspends and resumes it, registration says who may
// register in it.
func (ctl *Tenant) Update(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := bindChecked[updateTenantRequest](c)
	if err != nil {
		return err
	}
	if len(body.fields()) == 0 {
		return ctl.Show(c, tenant, user)
	}
	event := middleware.NewEvent(c, body.action())
	event.Detail = strings.Join(body.fields(), " ")
	changed, err := ctl.change(c, event.By(&user.Account), tenant, body.apply)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantResponse(&changed))
	return nil
}

// Mark marks the tenant as deleting. Delete must follow once its database is returned.
func (ctl *Tenant) Mark(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	due, err := ctl.Tenants.TryLastBackup(c.Request.Context())
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionOrganizationDeleted).By(&user.Account)
	_, err = ctl.change(c, event, tenant, func(record *models.Tenant) {
		record.Status, record.SuspendedByOwner, record.BackupDue = models.TenantDeleting, false, due
	})
	return err
}

// Delete removes the tenant that Mark has marked, with all its data.
func (ctl *Tenant) Delete(c *gin.Context, tenantID string) error {
	operation, err := ctl.Tenants.FindDeletion(c.Request.Context(), tenantID)
	if err != nil {
		return ctl.Tenants.ClassifyCore(err)
	}
	_, err = finishDeletion(c, ctl.Tenants, tenantID, operation)
	return err
}

// finishDeletion removes a tenant that is marked for deletion, or waits for the operation
// that does: 204 when it is gone, 202 where that takes longer and goes on.
func finishDeletion(c *gin.Context, m *tenants.Manager, tenantID, operation string) (gone bool, err error) {
	if gone, err = m.FinishInTime(c.Request.Context(), tenantID, operation); err != nil {
		return false, err
	}
	status := http.StatusAccepted
	if gone {
		status = http.StatusNoContent
	}
	c.Status(status)
	return gone, nil
}

// change changes the tenant's row while the user inside stays an owner. Both databases
// record it: the tenant's for its owners, and core for the operator.
func (ctl *Tenant) change(
	c *gin.Context, event *models.Event, tenant *tenants.Tenant, change func(record *models.Tenant),
) (changed models.Tenant, err error) {
	ctx := c.Request.Context()
	err = models.ActAsOwner(ctx, tenant.DB, event.AboutTenant(tenant.Slug), func() error {
		var err error
		changed, err = ctl.Tenants.ChangeByOwner(ctx, event, tenant.ID, change)
		return ctl.refuse(err)
	})
	return changed, err
}

// refuse is the error for a tenant's row that cannot be read or changed. The token of a
// tenant that was deleted meanwhile is invalid.
func (ctl *Tenant) refuse(err error) error {
	if models.IsKind(err, models.KindTenantNotFound) {
		return models.ErrInvalidToken.Because(err)
	}
	return ctl.Tenants.ClassifyCore(err)
}
