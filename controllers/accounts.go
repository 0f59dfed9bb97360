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

// Accounts lets users register and log in, at the core and inside a tenant.
type Accounts struct {
	Tenants   *tenants.Manager
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
	Rules     models.PasswordRules
	Limits    *limits.Limits
	// CoreRegistration says who may register at the core, which has no invitations.
	CoreRegistration models.Registration
}

type registerRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
	FullName *string `json:"full_name"`
	// InvitationToken may be any text: an invalid one is refused later, whatever it is.
	InvitationToken *string `json:"invitation_token"`
}

func (r *registerRequest) check(rules models.PasswordRules, slug models.Slug) error {
	var checks models.Checks
	newUser{r.Email, r.Password, r.FullName, slug}.check(&checks, rules)
	return checks.Err()
}

// newUser has the fields that every new user brings.
type newUser struct {
	email, password, fullName *string

	tenant models.Slug // "" at the core
}

func (u newUser) check(checks *models.Checks, rules models.PasswordRules) {
	owner := models.PasswordOwner{FullName: u.fullName, Tenant: u.tenant}
	if u.email != nil {
		owner.Email = models.TrimEmail(*u.email)
	}
	checks.Email("email", u.email)
	rules.Check(checks, "password", u.password, owner)
	checks.Text("full_name", u.fullName, models.MaxNameLength)
}

// RegisterCore makes a core user.
func (ctl *Accounts) RegisterCore(c *gin.Context) error {
	ctx := c.Request.Context()
	body, err := bindWith(c, func(r *registerRequest) error { return r.check(ctl.Rules, "") })
	if err != nil {
		return err
	}
	if err := ctl.CoreRegistration.Admit(false); err != nil {
		return err
	}
	if body.InvitationToken != nil {
		return models.ErrInvalidInvitation
	}
	if err := ctl.Limits.Registration(middleware.Address(c)); err != nil {
		return err
	}
	account, err := ctl.newAccount(c, "", body)
	if err != nil {
		return err
	}
	user := models.CoreUser{Account: account}
	event := middleware.NewEvent(c, models.ActionRegistered)
	if err := models.RegisterCoreUser(ctx, ctl.Tenants.Core(), event, &user); err != nil {
		return err
	}
	c.JSON(http.StatusOK, newCoreUserResponse(&user))
	return nil
}

// RegisterTenant makes a user of the tenant, and the tenant if it is new. It refuses
// what it can before it makes anything.
func (ctl *Accounts) RegisterTenant(c *gin.Context, slug models.Slug) error {
	ctx := c.Request.Context()
	body, err := bindWith(c, func(r *registerRequest) error { return r.check(ctl.Rules, slug) })
	if err != nil {
		return err
	}
	from := middleware.Address(c)
	claim, err := ctl.admit(ctx, from, slug, &body)
	if err != nil {
		return err
	}
	account, err := ctl.newAccount(c, slug, body)
	if err != nil {
		return err
	}
	var user models.TenantUser
	event := middleware.NewEvent(c, models.ActionRegistered)
	newcomer := tenants.Newcomer{Invited: claim.TokenHash != "", MayMake: func() error { return ctl.Limits.Tenant(from) }}
	err = ctl.Tenants.Register(ctx, slug, newcomer, func(ctx context.Context, tenant *tenants.Tenant, role models.Role) error {
		user = models.TenantUser{Account: account, Role: role}
		claim.Owner = tenant.Owner()
		return models.RegisterTenantUser(ctx, tenant.DB, event, &user, claim)
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&user))
	return nil
}

// admit refuses a registration in a tenant before the password is hashed. It returns
// the claim to an invitation, which is zero without one. A new tenant counts against
// the limits only once it is made.
func (ctl *Accounts) admit(
	ctx context.Context, from netip.Addr, slug models.Slug, body *registerRequest,
) (none models.InvitationClaim, err error) {
	if err := ctl.Limits.Registration(from); err != nil {
		return none, err
	}
	isNew, err := ctl.Tenants.CheckRegistration(ctx, slug, body.InvitationToken != nil)
	switch {
	case err != nil:
		return none, err
	case isNew:
		return none, ctl.Limits.CheckTenant(from)
	case body.InvitationToken == nil:
		return none, nil
	}
	return ctl.checkInvitation(ctx, slug, body)
}

func (ctl *Accounts) checkInvitation(
	ctx context.Context, slug models.Slug, body *registerRequest,
) (claim models.InvitationClaim, err error) {
	hash, ok := auth.HashInvitationToken(*body.InvitationToken)
	if !ok {
		return claim, models.ErrInvalidInvitation
	}
	claim = models.InvitationClaim{TokenHash: hash, Now: ctl.Tokens.Now()}
	tenant, release, err := ctl.Tenants.Acquire(ctx, slug)
	if models.IsKind(err, models.KindTenantNotFound) {
		return claim, models.ErrInvalidInvitation.Because(err)
	}
	if err != nil {
		return claim, err
	}
	defer release()
	_, err = models.FindInvitation(ctx, tenant.DB, *body.Email, claim)
	return claim, tenant.Classify(err)
}

func (ctl *Accounts) newAccount(c *gin.Context, slug models.Slug, body registerRequest) (models.Account, error) {
	account := models.NewAccount(*body.Email, body.FullName)
	hash, err := ctl.Passwords.Hash(c.Request.Context(), turnOf(c, slug), *body.Password)
	account.HashedPassword = hash
	return account, err
}

// turnOf is the turn of a request to hash a password, which counts for the tenant and
// for the address of the client.
func turnOf(c *gin.Context, slug models.Slug) limits.Turn {
	return limits.Turn{Tenant: string(slug), From: middleware.Address(c)}
}

// unless returns err, or nil when err is of that kind.
func unless(err error, kind models.Kind) error {
	if models.IsKind(err, kind) {
		return nil
	}
	return err
}
