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

// ChangeCore changes the password of a core user, and ends all their sessions, also
// inside the tenants of their organizations. A new one begins.
func (ctl *Password) ChangeCore(c *gin.Context, user *models.CoreUser) error {
	body, err := ctl.bind(c, &user.Account, "")
	if err != nil {
		return err
	}
	hash, err := ctl.replace(c, &body, limits.Account{Email: user.Email}, user.HashedPassword)
	caller := &middleware.Caller{DB: ctl.Tenants.Core(), Account: &user.Account}
	return ctl.renew(c, caller, auth.Claims{Realm: auth.RealmCore}, err, func(event *models.Event, session *models.Session) error {
		return ctl.changeCore(c.Request.Context(), event, user, models.NewPassword{Hash: hash, Session: session})
	})
}

func (ctl *Password) changeCore(ctx context.Context, event *models.Event, user *models.CoreUser, next models.NewPassword) error {
	if err := models.ChangeCorePassword(ctx, ctl.Tenants.Core(), event, user, next); err != nil {
		return err
	}
	ctl.Tenants.OwnerChanged(user.ID)
	return nil
}

// ChangeTenant changes the password of a user of a tenant, and ends all their sessions.
// A new one begins. The password of the organization's owner is that of the core user.
// The passwords are compared and hashed before the tenant's database is lent.
func (ctl *Password) ChangeTenant(c *gin.Context, slug models.Slug, user *models.TenantUser) (middleware.TenantHandler, error) {
	body, err := ctl.bind(c, &user.Account, slug)
	if err != nil {
		return nil, err
	}
	if user.CoreUserID != nil {
		return ctl.changeOwner(c, &body, *user.CoreUserID)
	}
	hash, err := ctl.replace(c, &body, limits.Account{Tenant: slug, Email: user.Email}, user.HashedPassword)
	return ctl.inside(err, func(ctx context.Context, tenant *tenants.Tenant, event *models.Event, session *models.Session) error {
		return models.ChangeTenantPassword(ctx, tenant.DB, event, user, models.NewPassword{Hash: hash, Session: session})
	})
}

// changeOwner changes the password at the core, which ends all sessions of the core
// user, and then begins one in the tenant. After an interruption between the two the
// owner has to log in. Both databases record the change.
func (ctl *Password) changeOwner(c *gin.Context, body *passwordRequest, coreUserID int64) (middleware.TenantHandler, error) {
	owner, err := models.FindUser[models.CoreUser](c.Request.Context(), ctl.Tenants.Core(), coreUserID)
	if err != nil {
		return nil, ctl.Tenants.ClassifyCore(err)
	}
	hash, err := ctl.replace(c, body, limits.Account{Email: owner.Email}, owner.HashedPassword)
	return ctl.inside(err, func(ctx context.Context, tenant *tenants.Tenant, event *models.Event, session *models.Session) error {
		first := middleware.NewEvent(c, models.ActionPasswordChanged).By(&owner.Account)
		if err := ctl.changeCore(ctx, first, &owner, models.NewPassword{Hash: hash}); err != nil {
			return ctl.Tenants.ClassifyCore(err)
		}
		return models.RenewSessions(ctx, tenant.DB, event, owner.SessionEpoch, session)
	})
}

// inside returns the handler that changes the password in the tenant or, when the current
// one was wrong, records that there.
func (ctl *Password) inside(
	refusal error,
	change func(ctx context.Context, tenant *tenants.Tenant, event *models.Event, session *models.Session) error,
) (middleware.TenantHandler, error) {
	if unless(refusal, models.KindWrongPassword) != nil {
		return nil, refusal
	}
	return func(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
		caller := &middleware.Caller{DB: tenant.DB, Account: &user.Account}
		return ctl.renew(c, caller, tenantClaims(tenant), refusal, func(event *models.Event, session *models.Session) error {
			return change(c.Request.Context(), tenant, event, session)
		})
	}, nil
}

// renew answers with the tokens of the session that change begins as it changes the
// password, unless there is a refusal. The tokens that the caller has are worth nothing
// then, and no copy of them is.
func (ctl *Password) renew(
	c *gin.Context, caller *middleware.Caller, claims auth.Claims, refusal error,
	change func(event *models.Event, session *models.Session) error,
) error {
	if refusal == nil {
		n := newSession{
			tokens: ctl.Tokens, db: caller.DB, claims: claims,
			event: middleware.NewEvent(c, models.ActionPasswordChanged).By(caller.Account),
		}
		refusal = n.begin(c, func(_ context.Context, session *models.Session) error { return change(n.event, session) })
	}
	return refusePassword(c, caller, refusal)
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
func (ctl *Password) replace(c *gin.Context, body *passwordRequest, who limits.Account, current string) (string, error) {
	if err := ctl.Limits.NewPassword(who); err != nil {
		return "", err
	}
	ctx, turn := c.Request.Context(), turnOf(c, who.Tenant)
	err := ctl.Limits.Guess(who, turn.From, func() error {
		return ctl.Passwords.Compare(ctx, turn, current, *body.CurrentPassword)
	})
	if models.IsKind(err, models.KindInvalidCredentials) {
		return "", models.ErrWrongPassword.Because(err)
	}
	if err != nil {
		return "", err
	}
	return ctl.Passwords.Hash(ctx, turn, *body.NewPassword)
}
