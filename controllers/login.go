package controllers

import (
	"context"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/middleware"
	"multitenant/models"
)

type loginRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
}

// check requires both fields, and nothing else: the rules of registration do not apply
// to a login.
func (r *loginRequest) check() error {
	var checks models.Checks
	checks.Present("email", r.Email)
	checks.Present("password", r.Password)
	return checks.Err()
}

// login is what the server knows of the user of a login.
type login struct {
	account  limits.Account  // whose password is tried
	tenantID string          // empty at the core, and for an unknown tenant
	user     *models.Account // in that database; nil for an unknown user
	hash     string          // of the password: for the owner of a tenant the core user's
	active   bool
	role     models.Role // in the tenant; empty at the core
	epoch    int64       // of the core user, when the password is theirs
}

// LoginCore begins a session of a core user.
func (ctl *Accounts) LoginCore(c *gin.Context) error {
	ctx, core := c.Request.Context(), ctl.Tenants.Core()
	body, err := bindChecked[loginRequest](c)
	if err != nil {
		return err
	}
	if err := ctl.Limits.Login(middleware.Address(c)); err != nil {
		return err
	}
	found, err := ctl.findCore(ctx, *body.Email)
	if err != nil {
		return err
	}
	err = ctl.verify(c, "", &found, *body.Password)
	if err == nil {
		err = signIn[models.CoreUser](c, ctl.Tokens, core, auth.Claims{Realm: auth.RealmCore}, &found)
	}
	return refuseSignIn(c, core, &found, err)
}

// LoginTenant begins a session of a user of the tenant. A tenant that does not exist
// is answered like a wrong password, and as late. Only the right password tells that a
// tenant is suspended. The owners of a tenant that an owner has suspended may log in, for
// the routes that resume and delete it.
func (ctl *Accounts) LoginTenant(c *gin.Context, slug models.Slug) error {
	body, err := bindChecked[loginRequest](c)
	if err != nil {
		return err
	}
	if err := ctl.Limits.Login(middleware.Address(c)); err != nil {
		return err
	}
	found, err := ctl.findMember(c.Request.Context(), slug, *body.Email)
	if err != nil {
		return err
	}
	verified := ctl.verify(c, slug, &found, *body.Password)
	if unless(verified, models.KindInvalidCredentials) != nil {
		return verified
	}
	if found.tenantID == "" {
		return ctl.refuseUnknownTenant(c, verified)
	}
	return ctl.beginInside(c, &found, verified)
}

// beginInside begins a session in the tenant, or records the refusal there.
func (ctl *Accounts) beginInside(c *gin.Context, found *login, verified error) error {
	tenant, release, err := ctl.Tenants.AcquireIDEvenSuspended(c.Request.Context(), found.tenantID)
	if models.IsKind(err, models.KindTenantNotFound) { // deleted meanwhile
		return ctl.refuseUnknownTenant(c, models.ErrInvalidCredentials.Because(err))
	}
	if err != nil {
		return err
	}
	defer release()
	if verified == nil {
		claims := tenantClaims(tenant)
		claims.UserID = found.user.ID
		middleware.SetActor(c, claims)
		verified = tenant.Admit(found.role)
	}
	if verified == nil {
		verified = signIn[models.TenantUser](c, ctl.Tokens, tenant.DB, tenantClaims(tenant), found)
	}
	return tenant.Classify(refuseSignIn(c, tenant.DB, found, verified))
}

func (ctl *Accounts) findCore(ctx context.Context, email string) (login, error) {
	found := login{account: limits.Account{Email: email}}
	user, err := models.FindUserByEmail[models.CoreUser](ctx, ctl.Tenants.Core(), email)
	if err != nil {
		return found, unless(err, models.KindUserNotFound)
	}
	found.user, found.hash, found.active, found.epoch = &user.Account, user.HashedPassword, user.IsActive, user.SessionEpoch
	return found, nil
}

// findMember finds a user in a tenant. It returns the lease before the slow comparison
// of hashes. The hash of the organization's owner is that of the core user.
func (ctl *Accounts) findMember(ctx context.Context, slug models.Slug, email string) (login, error) {
	found := login{account: limits.Account{Tenant: slug, Email: email}}
	tenant, release, err := ctl.Tenants.AcquireEvenSuspended(ctx, slug)
	if err != nil {
		return found, unless(err, models.KindTenantNotFound)
	}
	defer release()
	found.tenantID = tenant.ID
	user, err := models.FindUserByEmail[models.TenantUser](ctx, tenant.DB, email)
	if err != nil {
		return found, unless(tenant.Classify(err), models.KindUserNotFound)
	}
	found.user, found.role = &user.Account, user.Role
	found.hash, found.active = user.HashedPassword, user.IsActive
	if user.CoreUserID != nil {
		owner, err := models.FindUser[models.CoreUser](ctx, ctl.Tenants.Core(), *user.CoreUserID)
		if err != nil {
			return found, unless(err, models.KindUserNotFound)
		}
		found.hash, found.active = owner.HashedPassword, user.IsActive && owner.IsActive
		found.epoch, found.account = owner.SessionEpoch, limits.Account{Email: owner.Email}
	}
	return found, nil
}

// verify compares the password, also for unknown and deactivated users, so that every
// refusal takes equally long. It counts as a guess before.
func (ctl *Accounts) verify(c *gin.Context, slug models.Slug, found *login, password string) error {
	turn := turnOf(c, slug)
	turn.Login = true
	return ctl.Limits.Guess(found.account, turn.From, func() error {
		if err := ctl.Passwords.Compare(c.Request.Context(), turn, found.hash, password); err != nil {
			return err
		}
		if !found.active {
			return models.ErrInvalidCredentials
		}
		return nil
	})
}

// refuseSignIn records a refused login and the user that it was for, but never the
// address that was typed: it may be a password. Each refusal writes one row, so that
// all take equally long.
func refuseSignIn(c *gin.Context, db *gorm.DB, found *login, refusal error) error {
	isSuspended := models.IsKind(refusal, models.KindTenantSuspended)
	if !isSuspended && !models.IsKind(refusal, models.KindInvalidCredentials) {
		return refusal
	}
	event := middleware.NewEvent(c, models.ActionSignInRefused)
	switch {
	case isSuspended:
		event.By(found.user).Refused(string(models.KindTenantSuspended))
	case found.user == nil:
		event.Refused("unknown_user")
	case !found.active:
		event.By(found.user).Refused("deactivated")
	default:
		event.By(found.user).Refused("wrong_password")
	}
	return recordRefusal(c.Request.Context(), db, event, refusal)
}

// refuseUnknownTenant records a refused login at the core when there is no tenant.
func (ctl *Accounts) refuseUnknownTenant(c *gin.Context, refusal error) error {
	event := middleware.NewEvent(c, models.ActionSignInRefused).Refused("unknown_tenant")
	return recordRefusal(c.Request.Context(), ctl.Tenants.Core(), event, refusal)
}

// recordRefusal records the event and returns the refusal.
func recordRefusal(ctx context.Context, db *gorm.DB, event *models.Event, refusal error) error {
	if err := models.Record(ctx, db, event); err != nil {
		return err
	}
	return refusal
}
