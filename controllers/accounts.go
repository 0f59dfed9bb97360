package controllers

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/middleware/limits"
	"multitenant/models"
	"multitenant/tenants"
)

// Accounts lets people register and log in, at the core and inside a tenant.
type Accounts struct {
	Tenants   *tenants.Manager
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
	Limits    *limits.Limits
}

type registerRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
	FullName *string `json:"full_name"`
}

func (r *registerRequest) check() error {
	var checks models.Checks
	checkAccount(&checks, r.Email, r.Password, r.FullName)
	return checks.Err()
}

// checkAccount checks what every new user is made of.
func checkAccount(checks *models.Checks, email, password, fullName *string) {
	checks.Email("email", email)
	var address string
	if email != nil {
		address = models.TrimEmail(*email)
	}
	checks.NewPassword("password", password, address)
	checks.Text("full_name", fullName, models.MaxNameLength)
}

// RegisterCore makes a user of the core.
func (ctl *Accounts) RegisterCore(c *gin.Context) error {
	body, err := bindChecked[registerRequest](c)
	if err != nil {
		return err
	}
	if err := ctl.Limits.Registration(middleware.Address(c)); err != nil {
		return err
	}
	account, err := ctl.newAccount(c.Request.Context(), body)
	if err != nil {
		return err
	}
	user := models.CoreUser{Account: account}
	event := middleware.NewEvent(c, models.ActionRegistered)
	if err := register(c.Request.Context(), ctl.Tenants.Core(), event, &user, &user.Account); err != nil {
		return err
	}
	c.JSON(http.StatusOK, newCoreUserResponse(&user))
	return nil
}

// RegisterTenant makes a user of the tenant, and the tenant where it is new.
// What can be refused is refused before anything is made.
func (ctl *Accounts) RegisterTenant(c *gin.Context, slug models.Slug) error {
	ctx := c.Request.Context()
	body, err := bindChecked[registerRequest](c)
	if err != nil {
		return err
	}
	from := middleware.Address(c)
	if err := ctl.admit(ctx, from, slug); err != nil {
		return err
	}
	account, err := ctl.newAccount(ctx, body)
	if err != nil {
		return err
	}
	var user models.TenantUser
	event := middleware.NewEvent(c, models.ActionRegistered)
	mayMake := func() error { return ctl.Limits.Tenant(from) }
	err = ctl.Tenants.Register(ctx, slug, mayMake, func(ctx context.Context, tenant *tenants.Tenant, role models.Role) error {
		user = models.TenantUser{Account: account, Role: role}
		return register(ctx, tenant.DB, event, &user, &user.Account)
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&user))
	return nil
}

// admit says whether somebody may register in the tenant, before the password is
// hashed. That a tenant would be made counts only where one is.
func (ctl *Accounts) admit(ctx context.Context, from netip.Addr, slug models.Slug) error {
	if err := ctl.Limits.Registration(from); err != nil {
		return err
	}
	isNew, err := ctl.Tenants.CheckRegistration(ctx, slug)
	if err != nil || !isNew {
		return err
	}
	return ctl.Limits.CheckTenant(from)
}

// register inserts a user who has come by themselves, and is on record for it.
func register[U models.User](
	ctx context.Context, db *gorm.DB, event *models.Event, user *U, account *models.Account,
) error {
	return models.Recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := models.CreateUser(ctx, tx, user); err != nil {
			return err
		}
		event.By(account).About(models.TargetUser, account.ID, account.Email)
		return nil
	})
}

func (ctl *Accounts) newAccount(ctx context.Context, body registerRequest) (models.Account, error) {
	account := models.NewAccount(*body.Email, body.FullName)
	hash, err := ctl.Passwords.Hash(ctx, *body.Password)
	account.HashedPassword = hash
	return account, err
}

// unless returns the error, but nil for one of that kind.
func unless(err error, kind models.Kind) error {
	if models.IsKind(err, kind) {
		return nil
	}
	return err
}
