package controllers

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/middleware"
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
	// InvitationToken is taken as it is: any text that is no good is refused alike.
	InvitationToken *string `json:"invitation_token"`
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

// RegisterCore makes a user of the core, to which nobody is invited.
func (ctl *Accounts) RegisterCore(c *gin.Context) error {
	ctx := c.Request.Context()
	body, err := bindChecked[registerRequest](c)
	if err != nil {
		return err
	}
	if body.InvitationToken != nil {
		return models.ErrInvalidInvitation
	}
	if err := ctl.Limits.Registration(middleware.Address(c)); err != nil {
		return err
	}
	account, err := ctl.newAccount(ctx, body)
	if err != nil {
		return err
	}
	user := models.CoreUser{Account: account}
	event := middleware.NewEvent(c, models.ActionRegistered)
	err = register(ctx, ctl.Tenants.Core(), event, &user.Account, func(tx *gorm.DB) error {
		return models.CreateUser(ctx, tx, &user)
	})
	if err != nil {
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
	hash, err := ctl.admit(ctx, from, slug, &body)
	if err != nil {
		return err
	}
	account, err := ctl.newAccount(ctx, body)
	if err != nil {
		return err
	}
	var user models.TenantUser
	event := middleware.NewEvent(c, models.ActionRegistered)
	newcomer := tenants.Newcomer{Invited: hash != "", MayMake: func() error { return ctl.Limits.Tenant(from) }}
	err = ctl.Tenants.Register(ctx, slug, newcomer, func(ctx context.Context, tenant *tenants.Tenant, role models.Role) error {
		user = models.TenantUser{Account: account, Role: role}
		return register(ctx, tenant.DB, event, &user.Account, func(tx *gorm.DB) error {
			return ctl.makeTenantUser(ctx, tx, *event, &user, hash)
		})
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&user))
	return nil
}

// admit refuses who may not register in the tenant, before the password is hashed.
// That a tenant would be made counts only where one is. It returns the hash of the
// invitation they come with, which is empty without one.
func (ctl *Accounts) admit(ctx context.Context, from netip.Addr, slug models.Slug, body *registerRequest) (string, error) {
	if err := ctl.Limits.Registration(from); err != nil {
		return "", err
	}
	isNew, err := ctl.Tenants.CheckRegistration(ctx, slug, body.InvitationToken != nil)
	switch {
	case err != nil:
		return "", err
	case isNew:
		return "", ctl.Limits.CheckTenant(from)
	case body.InvitationToken == nil:
		return "", nil
	}
	return ctl.checkInvitation(ctx, slug, body)
}

func (ctl *Accounts) checkInvitation(ctx context.Context, slug models.Slug, body *registerRequest) (string, error) {
	hash, ok := auth.HashInvitationToken(*body.InvitationToken)
	if !ok {
		return "", models.ErrInvalidInvitation
	}
	tenant, release, err := ctl.Tenants.Acquire(ctx, slug)
	if models.IsKind(err, models.KindTenantNotFound) {
		return "", models.ErrInvalidInvitation.Because(err)
	}
	if err != nil {
		return "", err
	}
	defer release()
	_, err = models.FindInvitation(ctx, tenant.DB, *body.Email, hash, ctl.Tokens.Now())
	return hash, tenant.Classify(err)
}

// register makes a user who has come by themselves, and puts it on record.
func register(ctx context.Context, db *gorm.DB, event *models.Event, account *models.Account, create func(tx *gorm.DB) error) error {
	return models.Recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := create(tx); err != nil {
			return err
		}
		event.By(account).About(models.TargetUser, account.ID, account.Email)
		return nil
	})
}

// makeTenantUser makes a user of a tenant; that an invitation was accepted goes on
// record too.
func (ctl *Accounts) makeTenantUser(
	ctx context.Context, tx *gorm.DB, event models.Event, user *models.TenantUser, hash string,
) error {
	invitationID, err := models.RegisterTenantUser(ctx, tx, user, hash, ctl.Tokens.Now())
	if err != nil || hash == "" {
		return err
	}
	event.Action = models.ActionInvitationAccepted
	return models.Record(ctx, tx, event.By(&user.Account).About(models.TargetInvitation, invitationID, user.Email))
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
