package controllers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// PasswordResets lets users who have forgotten their password choose another, by a
// token that an owner, an admin or the operator hands over.
type PasswordResets struct {
	Tenants   *tenants.Manager
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
	Rules     models.PasswordRules
	Limits    *limits.Limits
}

type passwordResetResponse struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Create issues a token for a user of the tenant, and shows it this once.
func (ctl *PasswordResets) Create(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	token := auth.NewResetToken(tenant.ID)
	encoded, err := token.Encode()
	if err != nil {
		return err
	}
	reset := models.NewPasswordReset(userID(c), token.Hash(), ctl.Tokens.Now())
	event := middleware.NewEvent(c, models.ActionPasswordResetIssued).By(&user.Account)
	if err := models.IssueTenantReset(c.Request.Context(), tenant.DB, event, &reset); err != nil {
		return err
	}
	c.Header("Location", fmt.Sprintf("/api/users/%d/password-reset", reset.UserID))
	c.JSON(http.StatusCreated, passwordResetResponse{Token: encoded, ExpiresAt: reset.ExpiresAt.UTC()})
	return nil
}

type redemptionRequest struct {
	Token       *string `json:"token"`
	NewPassword *string `json:"new_password"`
}

// check cannot compare with the user's own words yet, since the token names the user.
func (r *redemptionRequest) check(rules models.PasswordRules) error {
	var checks models.Checks
	checks.Present("token", r.Token)
	rules.Check(&checks, "new_password", r.NewPassword, models.PasswordOwner{})
	return checks.Err()
}

// Redeem gives the user of the token a new password. The token names the core or the
// tenant; slug, if not empty, must agree with it.
func (ctl *PasswordResets) Redeem(c *gin.Context, slug models.Slug) error {
	body, err := bindWith(c, func(r *redemptionRequest) error { return r.check(ctl.Rules) })
	if err != nil {
		return err
	}
	token, err := auth.ParseResetToken(*body.Token)
	if err != nil {
		return err
	}
	redeemIn := ctl.redeemCore
	if token.TenantID != "" {
		redeemIn = ctl.redeemTenant
	}
	if err := redeemIn(c, slug, &token, *body.NewPassword); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func (ctl *PasswordResets) redeemCore(c *gin.Context, slug models.Slug, token *auth.ResetToken, password string) error {
	ctx, core, claim := c.Request.Context(), ctl.Tenants.Core(), ctl.claim(token)
	if err := ctl.Tenants.CheckAgreement(ctx, "", "", slug); err != nil {
		return err
	}
	claimant, err := models.FindClaimant[models.CoreUser](ctx, core, claim)
	if err != nil {
		return err
	}
	hash, err := ctl.hash(c, password, passwordOwner(&claimant.Account, ""))
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionPasswordReset).By(&claimant.Account)
	user, err := models.ResetCorePassword(ctx, core, event, claim, hash)
	if err != nil {
		return err
	}
	ctl.Tenants.OwnerChanged(user.ID)
	return nil
}

// redeemTenant holds no lease while it hashes. The claim is checked again when it is used.
func (ctl *PasswordResets) redeemTenant(c *gin.Context, slug models.Slug, token *auth.ResetToken, password string) error {
	owner, err := ctl.findInside(c, slug, token)
	if err != nil {
		return err
	}
	hash, err := ctl.hash(c, password, owner)
	if err != nil {
		return err
	}
	tenant, release, err := lend(c, ctl.Tenants, token.TenantID, models.ErrInvalidResetToken)
	if err != nil {
		return err
	}
	defer release()
	ctx, claim := c.Request.Context(), ctl.claim(token)
	claim.Owner = tenant.Owner()
	claimant, err := models.FindClaimant[models.TenantUser](ctx, tenant.DB, claim)
	if err != nil {
		return tenant.Classify(err)
	}
	event := middleware.NewEvent(c, models.ActionPasswordReset).By(&claimant.Account)
	return tenant.Classify(models.ResetTenantPassword(ctx, tenant.DB, event, claim, hash))
}

// findInside returns the user of the tenant whose password the token may change.
func (ctl *PasswordResets) findInside(c *gin.Context, slug models.Slug, token *auth.ResetToken) (none models.PasswordOwner, err error) {
	tenant, release, err := lend(c, ctl.Tenants, token.TenantID, models.ErrInvalidResetToken)
	if err != nil {
		return none, err
	}
	defer release()
	if err := ctl.Tenants.CheckAgreement(c.Request.Context(), tenant.ID, tenant.Slug, slug); err != nil {
		return none, err
	}
	claimant, err := models.FindClaimant[models.TenantUser](c.Request.Context(), tenant.DB, ctl.claim(token))
	if err != nil {
		return none, tenant.Classify(err)
	}
	return passwordOwner(&claimant.Account, tenant.Slug), nil
}

func (ctl *PasswordResets) claim(token *auth.ResetToken) models.ResetClaim {
	return models.ResetClaim{TokenHash: token.Hash(), Now: ctl.Tokens.Now()}
}

// hash is called only for a valid token, so that a stranger cannot make the server do
// the work.
func (ctl *PasswordResets) hash(c *gin.Context, password string, owner models.PasswordOwner) (string, error) {
	var checks models.Checks
	ctl.Rules.Check(&checks, "new_password", &password, owner)
	if err := checks.Err(); err != nil {
		return "", err
	}
	if err := ctl.Limits.NewPassword(limits.Account{Tenant: owner.Tenant, Email: owner.Email}); err != nil {
		return "", err
	}
	return ctl.Passwords.Hash(c.Request.Context(), turnOf(c, owner.Tenant), password)
}
