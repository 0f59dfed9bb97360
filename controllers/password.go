package controllers

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Password lets users change their passwords.
type Password struct {
	Tenants   *tenants.Manager
	Passwords *auth.Passwords
	Rules     models.PasswordRules
	Limits    *limits.Limits
}

type passwordRequest struct {
	CurrentPassword *string `json:"current_password"`
	NewPassword     *string `json:"new_password"`

	from netip.Addr // of the client
}

func (ctl *Password) bind(c *gin.Context, user *models.Account, slug models.Slug) (passwordRequest, error) {
	body, err := bind[passwordRequest](c)
	if err != nil {
		return body, err
	}
	var checks models.Checks
	checks.Present("current_password", body.CurrentPassword)
	ctl.Rules.Check(&checks, "new_password", body.NewPassword, passwordOwner(user, slug))
	return body, checks.Err()
}

func passwordOwner(user *models.Account, slug models.Slug) models.PasswordOwner {
	owner := models.PasswordOwner{Email: user.Email, Tenant: slug}
	if user.FullName != nil {
		owner.FullName = *user.FullName
	}
	return owner
}

// ChangeCore changes the password of a core user, and ends their other sessions, also
// inside the tenants of their organizations.
func (ctl *Password) ChangeCore(c *gin.Context, user *models.CoreUser) error {
	body, err := ctl.bind(c, &user.Account, "")
	if err != nil {
		return err
	}
	body.from = middleware.Address(c)
	if err := ctl.changeCore(c, user, &body, user.SessionID()); err != nil {
		return refusePassword(c, &middleware.Caller{DB: ctl.Tenants.Core(), Account: &user.Account}, err)
	}
	ctl.Tenants.ChangeOwner(user.AsOwner())
	c.Status(http.StatusNoContent)
	return nil
}

// ChangeTenant changes the password of a user of a tenant, and ends their other
// sessions. The password of the organization's owner is that of the core user.
func (ctl *Password) ChangeTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := ctl.bind(c, &user.Account, tenant.Slug)
	if err != nil {
		return err
	}
	body.from = middleware.Address(c)
	change := ctl.changeTenant
	if user.CoreUserID != nil {
		change = ctl.changeOwner
	}
	if err := change(c, tenant, user, &body); err != nil {
		return refusePassword(c, &middleware.Caller{DB: tenant.DB, Account: &user.Account}, err)
	}
	c.Status(http.StatusNoContent)
	return nil
}

func (ctl *Password) changeCore(c *gin.Context, user *models.CoreUser, body *passwordRequest, keep int64) error {
	ctx := c.Request.Context()
	hash, err := ctl.replace(ctx, limits.Account{Email: user.Email}, user.HashedPassword, body)
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionPasswordChanged).By(&user.Account)
	next := models.NewPassword{Hash: hash, KeepSession: keep}
	return models.ChangeCorePassword(ctx, ctl.Tenants.Core(), event, user, next)
}

func (ctl *Password) changeTenant(
	c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser, body *passwordRequest,
) error {
	ctx := c.Request.Context()
	hash, err := ctl.replace(ctx, limits.Account{Tenant: tenant.Slug, Email: user.Email}, user.HashedPassword, body)
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionPasswordChanged).By(&user.Account)
	next := models.NewPassword{Hash: hash, KeepSession: user.SessionID()}
	return models.ChangeTenantPassword(ctx, tenant.DB, event, user, next)
}

// changeOwner changes the password at the core, which ends all sessions of the core
// user, and then keeps the session of this request. After an interruption between the
// two this session has ended as well. Both databases record the change.
func (ctl *Password) changeOwner(
	c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser, body *passwordRequest,
) error {
	ctx := c.Request.Context()
	owner, err := models.FindUser[models.CoreUser](ctx, ctl.Tenants.Core(), *user.CoreUserID)
	if err != nil {
		return ctl.Tenants.ClassifyCore(err)
	}
	if err := ctl.changeCore(c, &owner, body, 0); err != nil {
		return ctl.Tenants.ClassifyCore(err)
	}
	// Not earlier, so that no other request of this session is refused meanwhile.
	defer ctl.Tenants.ChangeOwner(owner.AsOwner())
	event := middleware.NewEvent(c, models.ActionPasswordChanged).By(&user.Account)
	return models.KeepSession(ctx, tenant.DB, event, user.SessionID(), owner.SessionEpoch)
}

// refusePassword records that a signed-in user gave a wrong current password.
func refusePassword(c *gin.Context, caller *middleware.Caller, refusal error) error {
	if !models.IsKind(refusal, models.KindWrongPassword) {
		return refusal
	}
	event := middleware.NewEvent(c, models.ActionPasswordChangeRefused).By(caller.Account).Refused(string(models.KindWrongPassword))
	return recordRefusal(c.Request.Context(), caller.DB, event, refusal)
}

// replace compares the current password and returns the hash of the new one;
// KindWrongPassword. Guesses here count together with those at the login.
func (ctl *Password) replace(
	ctx context.Context, who limits.Account, current string, body *passwordRequest,
) (string, error) {
	err := ctl.Limits.Guess(who, body.from, func() error {
		return ctl.Passwords.Compare(ctx, current, *body.CurrentPassword)
	})
	if models.IsKind(err, models.KindInvalidCredentials) {
		return "", models.ErrWrongPassword.Because(err)
	}
	if err != nil {
		return "", err
	}
	return ctl.Passwords.Hash(ctx, *body.NewPassword)
}
