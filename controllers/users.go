package controllers

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Users lets the owners and admins of a tenant manage its users.
type Users struct {
	Passwords *auth.Passwords
	Rules     models.PasswordRules
	Limits    *limits.Limits
}

type createUserRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
	FullName *string `json:"full_name"`
	Bio      *string `json:"bio"`
	Phone    *string `json:"phone"`

	Role *models.Role `json:"role"`
}

func (r *createUserRequest) check(rules models.PasswordRules, slug models.Slug) error {
	var checks models.Checks
	newUser{r.Email, r.Password, r.FullName, slug}.check(&checks, rules)
	checks.Text("bio", r.Bio, models.MaxBioLength)
	checks.Text("phone", r.Phone, models.MaxPhoneLength)
	checkNewRole(&checks, r.Role)
	return checks.Err()
}

type updateUserRequest struct {
	updateTenantProfileRequest

	IsActive optional[bool]        `json:"is_active"`
	Role     optional[models.Role] `json:"role"`
}

func (r *updateUserRequest) check() error {
	var checks models.Checks
	r.checkFields(&checks)
	r.IsActive.checkKept(&checks, "is_active", "must be true or false")
	if r.Role.checkKept(&checks, "role", knownRoles) {
		checkRole(&checks, *r.Role.Value)
	}
	return checks.Err()
}

// apply changes the user and returns the columns it changed.
func (r *updateUserRequest) apply(user *models.TenantUser) []string {
	columns := r.updateTenantProfileRequest.apply(user)
	if r.IsActive.Set {
		user.IsActive = *r.IsActive.Value
		columns = append(columns, "is_active")
	}
	if r.Role.Set {
		user.Role = *r.Role.Value
		columns = append(columns, "role")
	}
	return columns
}

// Create makes a user with a password that the caller has chosen. Hashing it takes
// long, so it happens before the tenant's database is lent.
func (ctl *Users) Create(c *gin.Context, slug models.Slug, _ *models.TenantUser) (middleware.TenantHandler, error) {
	body, err := bindWith(c, func(r *createUserRequest) error { return r.check(ctl.Rules, slug) })
	if err != nil {
		return nil, err
	}
	made := models.TenantUser{
		Account: models.NewAccount(*body.Email, body.FullName), Bio: body.Bio, Phone: body.Phone, Role: newRole(body.Role),
	}
	if made.HashedPassword, err = ctl.hash(c, slug, *body.Password); err != nil {
		return nil, err
	}
	return func(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
		event := middleware.NewEvent(c, models.ActionUserCreated).By(&user.Account)
		if err := models.CreateTenantUser(c.Request.Context(), tenant.DB, event, &made); err != nil {
			return err
		}
		c.Header("Location", fmt.Sprintf("/api/users/%d", made.ID))
		c.JSON(http.StatusCreated, newTenantUserResponse(&made))
		return nil
	}, nil
}

func (ctl *Users) hash(c *gin.Context, slug models.Slug, password string) (string, error) {
	if err := ctl.Limits.NewPassword(limits.Account{Tenant: slug}); err != nil {
		return "", err
	}
	return ctl.Passwords.Hash(c.Request.Context(), turnOf(c, slug), password)
}

// List shows a page of the users, or of those that ?q= matches.
func (ctl *Users) List(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	var checks models.Checks
	query := c.Query("q")
	checks.Text("q", &query, models.MaxQueryLength)
	if err := checks.Err(); err != nil {
		return err
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	users, err := models.ListUsers[models.TenantUser](c.Request.Context(), tenant.DB, models.UsersPage{
		After: min(max(p.cursor, 0), math.MaxInt32), Limit: p.more(), Query: query, // the ids of users are int4
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, users, func(user *models.TenantUser) int64 { return user.ID }, newTenantUserResponse))
	return nil
}

// Show shows a user.
func (ctl *Users) Show(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	user, err := models.FindUser[models.TenantUser](c.Request.Context(), tenant.DB, userID(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&user))
	return nil
}

// Update changes a user: the profile, the role, and whether the user is active.
func (ctl *Users) Update(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := bindChecked[updateUserRequest](c)
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionUserUpdated).By(&user.Account)
	changed, err := models.ChangeTenantUser(c.Request.Context(), tenant.DB, event, userID(c), body.apply)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&changed))
	return nil
}

// Remove removes a user.
func (ctl *Users) Remove(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	event := middleware.NewEvent(c, models.ActionUserRemoved).By(&user.Account)
	if err := models.RemoveTenantUser(c.Request.Context(), tenant.DB, event, userID(c)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// userID is the id in the path; 0, which no user has, when it is malformed.
func userID(c *gin.Context) int64 {
	id, err := strconv.ParseInt(c.Param("id"), 10, 32)
	if err != nil {
		return 0
	}
	return id
}
