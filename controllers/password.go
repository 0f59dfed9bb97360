package controllers

import (
	"context"

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
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
	Rules     models.PasswordRules
	Limits    *limits.Limits
}

type passwordRequest struct {
	CurrentPassword *string `json:"current_password"`
	NewPassword     *string `json:"new_password"`
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
	return models.PasswordOwner{Email: user.Email, FullName: user.FullName, Tenant: slug}
}

// passwordChange is a request for another password, the event to record in the caller's
// database, and the caller's session that is to begin there.
type passwordChange struct {
	c       *gin.Context
	body    passwordRequest
	event   *models.Event
	session *models.Session
}

// ChangeCore changes the password of a core user, and ends all their sessions, also
// inside the tenants of their organizations. A new one begins.
func (ctl *Password) ChangeCore(c *gin.Context, user *models.CoreUser) error {
	caller := &middleware.Caller{DB: ctl.Tenants.Core(), Account: &user.Account}
	return ctl.change(c, caller, auth.Claims{Realm: auth.RealmCore}, func(change *passwordChange) error {
		if err := ctl.changeCore(change, user); err != nil {
			return err
		}
		ctl.Tenants.OwnerChanged(user.ID)
		return nil
	})
}

// ChangeTenant changes the password of a user of a tenant, and ends all their sessions.
// A new one begins. The password of the organization's owner is that of the core user.
func (ctl *Password) ChangeTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	caller := &middleware.Caller{DB: tenant.DB, Account: &user.Account}
	return ctl.change(c, caller, tenantClaims(tenant), func(change *passwordChange) error {
		if user.CoreUserID != nil {
			return ctl.changeOwner(change, tenant, *user.CoreUserID)
		}
		return ctl.changeTenant(change, tenant, user)
	})
}

// change answers with the tokens of the session that do begins as it changes the
// password. The tokens that the caller has are worth nothing then, and no copy of them is.
func (ctl *Password) change(
	c *gin.Context, caller *middleware.Caller, claims auth.Claims, do func(change *passwordChange) error,
) error {
	body, err := ctl.bind(c, caller.Account, models.Slug(claims.Tenant))
	if err != nil {
		return err
	}
	n := newSession{ctl.Tokens, caller.DB, claims, middleware.NewEvent(c, models.ActionPasswordChanged).By(caller.Account)}
	err = n.begin(c, func(_ context.Context, session *models.Session) error {
		return do(&passwordChange{c, body, n.event, session})
	})
	return refusePassword(c, caller, err)
}

// changeCore begins the session of the change, if it has one, at the core.
func (ctl *Password) changeCore(change *passwordChange, user *models.CoreUser) error {
	hash, err := ctl.replace(change, limits.Account{Email: user.Email}, user.HashedPassword)
	if err != nil {
		return err
	}
	next := models.NewPassword{Hash: hash, Session: change.session}
	return models.ChangeCorePassword(change.c.Request.Context(), ctl.Tenants.Core(), change.event, user, next)
}

func (ctl *Password) changeTenant(change *passwordChange, tenant *tenants.Tenant, user *models.TenantUser) error {
	who := limits.Account{Tenant: tenant.Slug, Email: user.Email}
	hash, err := ctl.replace(change, who, user.HashedPassword)
	if err != nil {
		return err
	}
	next := models.NewPassword{Hash: hash, Session: change.session}
	return models.ChangeTenantPassword(change.c.Request.Context(), tenant.DB, change.event, user, next)
}

// changeOwner changes the password at the core, which ends all sessions of the core
// user, and then begins one in the tenant. After an interruption between the two the
// owner has to log in. Both databases record the change.
func (ctl *Password) changeOwner(change *passwordChange, tenant *tenants.Tenant, coreUserID int64) error {
	ctx := change.c.Request.Context()
	owner, err := models.FindUser[models.CoreUser](ctx, ctl.Tenants.Core(), coreUserID)
	if err != nil {
		return ctl.Tenants.ClassifyCore(err)
	}
	event := middleware.NewEvent(change.c, models.ActionPasswordChanged).By(&owner.Account)
	if err := ctl.changeCore(&passwordChange{c: change.c, body: change.body, event: event}, &owner); err != nil {
		return ctl.Tenants.ClassifyCore(err)
	}
	ctl.Tenants.OwnerChanged(owner.ID)
	return models.RenewSessions(ctx, tenant.DB, change.event, owner.SessionEpoch, change.session)
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
func (ctl *Password) replace(change *passwordChange, who limits.Account, current string) (string, error) {
	if err := ctl.Limits.NewPassword(who); err != nil {
		return "", err
	}
	ctx, turn := change.c.Request.Context(), turnOf(change.c, who.Tenant)
	err := ctl.Limits.Guess(who, turn.From, func() error {
		return ctl.Passwords.Compare(ctx, turn, current, *change.body.CurrentPassword)
	})
	if models.IsKind(err, models.KindInvalidCredentials) {
		return "", models.ErrWrongPassword.Because(err)
	}
	if err != nil {
		return "", err
	}
	return ctl.Passwords.Hash(ctx, turn, *change.body.NewPassword)
}
