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

// Password lets people change theirs.
type Password struct {
	Tenants   *tenants.Manager
	Passwords *auth.Passwords
	Limits    *limits.Limits
}

type passwordRequest struct {
	CurrentPassword *string `json:"current_password"`
	NewPassword     *string `json:"new_password"`

	from netip.Addr // whom it comes from
}

func bindPassword(c *gin.Context, email string) (passwordRequest, error) {
	body, err := bind[passwordRequest](c)
	if err != nil {
		return body, err
	}
	var checks models.Checks
	checks.Present("current_password", body.CurrentPassword)
	checks.NewPassword("new_password", body.NewPassword, email)
	return body, checks.Err()
}

// ChangeCore changes the password of a user of the core, and ends their other
// sessions, also inside the tenants they own.
func (ctl *Password) ChangeCore(c *gin.Context, user *models.CoreUser) error {
	body, err := bindPassword(c, user.Email)
	if err != nil {
		return err
	}
	body.from = middleware.Address(c)
	if err := ctl.changeCore(c, user, &body, user.SessionID()); err != nil {
		return refusePassword(c, ctl.Tenants.Core(), &user.Account, err)
	}
	ctl.Tenants.ChangeOwner(user.AsOwner())
	c.Status(http.StatusNoContent)
	return nil
}

// ChangeTenant changes the password of a user of a tenant, and ends their other
// sessions. The owner's is the core user's, who has just one, everywhere.
func (ctl *Password) ChangeTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := bindPassword(c, user.Email)
	if err != nil {
		return err
	}
	body.from = middleware.Address(c)
	change := ctl.changeTenant
	if user.CoreUserID != nil {
		change = ctl.changeOwner
	}
	if err := change(c, tenant, user, &body); err != nil {
		return refusePassword(c, tenant.DB, &user.Account, err)
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
	return models.Recorded(ctx, ctl.Tenants.Core(), event, func(tx *gorm.DB) error {
		return models.ChangeCorePassword(ctx, tx, user, hash, keep)
	})
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
	return models.Recorded(ctx, tenant.DB, event, func(tx *gorm.DB) error {
		return models.ChangeTenantPassword(ctx, tx, user, hash, user.SessionID())
	})
}

// changeOwner ends all that the core user has, at the core and in other tenants,
// and then lets the one session go on that this came by. Were it interrupted
// between the two, that one would be dead like the others. It is on record in both.
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
	// Not before, so that nothing else that this session asks for is refused.
	defer ctl.Tenants.ChangeOwner(owner.AsOwner())
	event := middleware.NewEvent(c, models.ActionPasswordChanged).By(&user.Account)
	return models.Recorded(ctx, tenant.DB, event, func(tx *gorm.DB) error {
		return models.KeepSession(ctx, tx, user.ID, user.SessionID(), owner.SessionEpoch)
	})
}

// refusePassword puts on record that somebody signed in did not know the password.
func refusePassword(c *gin.Context, db *gorm.DB, user *models.Account, refusal error) error {
	if !models.IsKind(refusal, models.KindWrongPassword) {
		return refusal
	}
	event := middleware.NewEvent(c, models.ActionPasswordChangeRefused).By(user).Refused(string(models.KindWrongPassword))
	return recordRefusal(c.Request.Context(), db, event, refusal)
}

// replace returns the hash of the new password, once the current one is found to
// be what they say; else it is KindWrongPassword. Whoever has only got hold of a
// session guesses here as they would at the login, and it counts together.
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
