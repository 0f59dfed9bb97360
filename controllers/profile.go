package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/models"
	"multitenant/tenants"
)

// Profile lets users see and change their own profile.
type Profile struct {
	Tenants *tenants.Manager
}

type coreUserResponse struct {
	ID        int64     `json:"id"`
	Email     string    `json:"email"`
	FullName  *string   `json:"full_name"`
	IsActive  bool      `json:"is_active"`
	CreatedAt time.Time `json:"created_at"`
}

type tenantUserResponse struct {
	coreUserResponse

	Bio   *string     `json:"bio"`
	Phone *string     `json:"phone"`
	Role  models.Role `json:"role"`
}

func newCoreUserResponse(user *models.CoreUser) coreUserResponse {
	return newAccountResponse(&user.Account)
}

func newTenantUserResponse(user *models.TenantUser) tenantUserResponse {
	return tenantUserResponse{
		coreUserResponse: newAccountResponse(&user.Account),
		Bio:              user.Bio,
		Phone:            user.Phone,
		Role:             user.Role,
	}
}

func newAccountResponse(account *models.Account) coreUserResponse {
	return coreUserResponse{
		ID:        account.ID,
		Email:     account.Email,
		FullName:  account.FullName,
		IsActive:  account.IsActive,
		CreatedAt: account.CreatedAt.UTC(),
	}
}

type updateCoreProfileRequest struct {
	FullName optional[string] `json:"full_name"`
}

func (r *updateCoreProfileRequest) check() error {
	var checks models.Checks
	r.checkFields(&checks)
	return checks.Err()
}

func (r *updateCoreProfileRequest) checkFields(checks *models.Checks) {
	if r.FullName.check(checks, "full_name") {
		checks.Text("full_name", r.FullName.Value, models.MaxNameLength)
	}
}

// apply changes the account and returns the columns it changed.
func (r *updateCoreProfileRequest) apply(account *models.Account) []string {
	if !r.FullName.Set {
		return nil
	}
	account.FullName = r.FullName.Value
	return []string{"full_name"}
}

type updateTenantProfileRequest struct {
	updateCoreProfileRequest

	Bio   optional[string] `json:"bio"`
	Phone optional[string] `json:"phone"`
}

func (r *updateTenantProfileRequest) check() error {
	var checks models.Checks
	r.checkFields(&checks)
	return checks.Err()
}

func (r *updateTenantProfileRequest) checkFields(checks *models.Checks) {
	r.updateCoreProfileRequest.checkFields(checks)
	if r.Bio.check(checks, "bio") {
		checks.Text("bio", r.Bio.Value, models.MaxBioLength)
	}
	if r.Phone.check(checks, "phone") {
		checks.Text("phone", r.Phone.Value, models.MaxPhoneLength)
	}
}

// apply changes the user and returns the columns it changed.
func (r *updateTenantProfileRequest) apply(user *models.TenantUser) []string {
	columns := r.updateCoreProfileRequest.apply(&user.Account)
	if r.Bio.Set {
		user.Bio = r.Bio.Value
		columns = append(columns, "bio")
	}
	if r.Phone.Set {
		user.Phone = r.Phone.Value
		columns = append(columns, "phone")
	}
	return columns
}

// ShowCore shows a core user their profile.
func (ctl *Profile) ShowCore(c *gin.Context, user *models.CoreUser) error {
	c.JSON(http.StatusOK, newCoreUserResponse(user))
	return nil
}

// ShowTenant shows a user of a tenant their profile.
func (ctl *Profile) ShowTenant(c *gin.Context, _ *tenants.Tenant, user *models.TenantUser) error {
	c.JSON(http.StatusOK, newTenantUserResponse(user))
	return nil
}

// UpdateCore changes the profile of a core user.
func (ctl *Profile) UpdateCore(c *gin.Context, user *models.CoreUser) error {
	body, err := bindChecked[updateCoreProfileRequest](c)
	if err != nil {
		return err
	}
	if columns := body.apply(&user.Account); len(columns) > 0 {
		if err := models.UpdateProfile(c.Request.Context(), ctl.Tenants.Core(), user, columns...); err != nil {
			return err
		}
	}
	return ctl.ShowCore(c, user)
}

// UpdateTenant changes the profile of a user of a tenant.
func (ctl *Profile) UpdateTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := bindChecked[updateTenantProfileRequest](c)
	if err != nil {
		return err
	}
	if columns := body.apply(user); len(columns) > 0 {
		if err := models.UpdateProfile(c.Request.Context(), tenant.DB, user, columns...); err != nil {
			return err
		}
	}
	return ctl.ShowTenant(c, tenant, user)
}
