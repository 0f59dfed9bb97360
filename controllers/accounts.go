package controllers

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/models"
	"multitenant/tenants"
)

// Accounts lets people register and log in, at the core and inside a tenant.
type Accounts struct {
	Tenants   *tenants.Manager
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
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
	checks.Email("email", r.Email)
	var email string
	if r.Email != nil {
		email = models.TrimEmail(*r.Email)
	}
	checks.NewPassword("password", r.Password, email)
	checks.Text("full_name", r.FullName, models.MaxNameLength)
	return checks.Err()
}

type loginRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
}

// check asks only that there is something to compare: the rules that bind at
// registration never keep anybody from logging in.
func (r *loginRequest) check() error {
	var checks models.Checks
	checks.Present("email", r.Email)
	checks.Present("password", r.Password)
	return checks.Err()
}

// RegisterCore makes a user of the core, to which nobody is invited.
func (ctl *Accounts) RegisterCore(c *gin.Context) error {
	body, err := bindChecked[registerRequest](c)
	if err != nil {
		return err
	}
	if body.InvitationToken != nil {
		return models.ErrInvalidInvitation()
	}
	account, err := ctl.newAccount(c.Request.Context(), body)
	if err != nil {
		return err
	}
	user := models.CoreUser{Account: account}
	if err := models.CreateUser(c.Request.Context(), ctl.Tenants.Core(), &user); err != nil {
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
	hash, err := ctl.checkNewcomer(ctx, slug, &body)
	if err != nil {
		return err
	}
	account, err := ctl.newAccount(ctx, body)
	if err != nil {
		return err
	}
	var user models.TenantUser
	err = ctl.Tenants.Register(ctx, slug, hash != "", func(ctx context.Context, tenant *tenants.Tenant, role models.Role) error {
		user = models.TenantUser{Account: account, Role: role}
		return models.RegisterTenantUser(ctx, tenant.DB, &user, hash, ctl.Tokens.Now())
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&user))
	return nil
}

// checkNewcomer refuses who may not register in the tenant, before anything is done
// for them. It returns the hash of their invitation, which is empty without one.
func (ctl *Accounts) checkNewcomer(ctx context.Context, slug models.Slug, body *registerRequest) (string, error) {
	if err := ctl.Tenants.CheckRegistration(ctx, slug, body.InvitationToken != nil); err != nil {
		return "", err
	}
	if body.InvitationToken == nil {
		return "", nil
	}
	hash, ok := auth.HashInvitationToken(*body.InvitationToken)
	if !ok {
		return "", models.ErrInvalidInvitation()
	}
	tenant, release, err := ctl.Tenants.Acquire(ctx, slug)
	if models.IsKind(err, models.KindTenantNotFound) {
		return "", models.ErrInvalidInvitation().Because(err)
	}
	if err != nil {
		return "", err
	}
	defer release()
	_, err = models.FindInvitation(ctx, tenant.DB, *body.Email, hash, ctl.Tokens.Now())
	return hash, tenant.Blame(err)
}

// LoginCore begins a session of a user of the core.
func (ctl *Accounts) LoginCore(c *gin.Context) error {
	ctx := c.Request.Context()
	body, err := bindChecked[loginRequest](c)
	if err != nil {
		return err
	}
	user, err := models.FindUserByEmail[models.CoreUser](ctx, ctl.Tenants.Core(), *body.Email)
	if err != nil && !models.IsKind(err, models.KindUserNotFound) {
		return err
	}
	if err := ctl.verify(ctx, user.HashedPassword, *body.Password, user.IsActive); err != nil {
		return err
	}
	return signIn[models.CoreUser](c, ctl.Tokens, ctl.Tenants.Core(),
		auth.Claims{UserID: user.ID, Realm: auth.RealmCore}, proof{hash: user.HashedPassword, epoch: user.SessionEpoch})
}

// LoginTenant begins a session of a user of the tenant. A tenant that does not exist
// is answered like a wrong password, and as late.
func (ctl *Accounts) LoginTenant(c *gin.Context, slug models.Slug) error {
	ctx := c.Request.Context()
	body, err := bindChecked[loginRequest](c)
	if err != nil {
		return err
	}
	found, err := ctl.findMember(ctx, slug, *body.Email)
	if err != nil {
		return err
	}
	if err := ctl.verify(ctx, found.hash, *body.Password, found.active); err != nil {
		return err
	}
	tenant, release, err := ctl.Tenants.AcquireID(ctx, found.tenantID)
	if models.IsKind(err, models.KindTenantNotFound) { // deleted meanwhile
		return errWrongCredentials().Because(err)
	}
	if err != nil {
		return err
	}
	defer release()
	return tenant.Blame(signIn[models.TenantUser](c, ctl.Tokens, tenant.DB, auth.Claims{
		UserID: found.userID, Realm: auth.RealmTenant, Tenant: string(slug), TenantID: found.tenantID,
	}, found.proof))
}

// member is what a login inside a tenant goes by; without a hash it is nobody.
type member struct {
	userID   int64
	tenantID string
	hash     string // of the password
	active   bool
	proof    proof
}

// findMember looks somebody up in a tenant, and lets go of its database before
// the slow comparing of hashes. The owner's hash is the core user's.
func (ctl *Accounts) findMember(ctx context.Context, slug models.Slug, email string) (member, error) {
	tenant, release, err := ctl.Tenants.Acquire(ctx, slug)
	if err != nil {
		return member{}, unless(err, models.KindTenantNotFound)
	}
	defer release()
	user, err := models.FindUserByEmail[models.TenantUser](ctx, tenant.DB, email)
	if err != nil {
		return member{}, unless(tenant.Blame(err), models.KindUserNotFound)
	}
	found := member{
		userID: user.ID, tenantID: tenant.ID, hash: user.HashedPassword, active: user.IsActive,
		proof: proof{hash: user.HashedPassword},
	}
	if user.CoreUserID != nil {
		owner, err := models.FindUser[models.CoreUser](ctx, ctl.Tenants.Core(), *user.CoreUserID)
		if err != nil {
			return member{}, unless(err, models.KindUserNotFound)
		}
		found.hash, found.active = owner.HashedPassword, user.IsActive && owner.IsActive
		found.proof.epoch = owner.SessionEpoch
	}
	return found, nil
}

// verify compares the password, for nobody and for the deactivated too, so
// that all who are refused wait equally long.
func (ctl *Accounts) verify(ctx context.Context, hash, password string, active bool) error {
	if err := ctl.Passwords.Compare(ctx, hash, password); err != nil {
		return err
	}
	if !active {
		return errWrongCredentials()
	}
	return nil
}

func errWrongCredentials() *models.Error {
	return models.Errorf(models.KindInvalidCredentials, "Incorrect email or password")
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
