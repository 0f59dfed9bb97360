package controllers

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// PasswordResets lets people who have forgotten their password choose another, by
// a token that somebody who manages them hands over.
type PasswordResets struct {
	Tenants   *tenants.Manager
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
}

type passwordResetResponse struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Create issues a token for a user of the tenant. It is shown this once.
func (ctl *PasswordResets) Create(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	token := auth.NewResetToken(tenant.ID)
	encoded, err := token.Encode()
	if err != nil {
		return err
	}
	reset := models.NewPasswordReset(personID(c), token.Hash(), ctl.Tokens.Now())
	ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionPasswordResetIssued).By(&user.Account)
	err = models.Recorded(ctx, tenant.DB, event, func(tx *gorm.DB) error {
		target, err := models.IssueTenantReset(ctx, tx, &reset, user.ID)
		event.About(models.TargetUser, target.ID, target.Email)
		return err
	})
	if err != nil {
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

// check cannot compare with the e-mail address yet: whose it is, the token says.
func (r *redemptionRequest) check() error {
	var checks models.Checks
	checks.Present("token", r.Token)
	checks.NewPassword("new_password", r.NewPassword, "")
	return checks.Err()
}

// Redeem gives the token's user a new password. It goes where the token says; slug,
// where it is not empty, must agree.
func (ctl *PasswordResets) Redeem(c *gin.Context, slug models.Slug) error {
	body, err := bindChecked[redemptionRequest](c)
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
	if err := checkAgreement(slug, ""); err != nil {
		return err
	}
	ctx, core, claim := c.Request.Context(), ctl.Tenants.Core(), ctl.claim(token)
	claimant, err := models.FindClaimant[models.CoreUser](ctx, core, claim)
	if err != nil {
		return err
	}
	var user models.CoreUser
	err = ctl.redeem(c, core, &claimant.Account, password, func(tx *gorm.DB, hash string) (err error) {
		user, err = models.ResetCorePassword(ctx, tx, claim, hash)
		return err
	})
	if err != nil {
		return err
	}
	ctl.Tenants.ChangeOwner(user.AsOwner())
	return nil
}

func (ctl *PasswordResets) redeemTenant(c *gin.Context, slug models.Slug, token *auth.ResetToken, password string) error {
	tenant, release, err := lend(c, ctl.Tenants, token.TenantID, models.ErrInvalidResetToken)
	if err != nil {
		return err
	}
	defer release()
	if err := checkAgreement(slug, tenant.Slug); err != nil {
		return err
	}
	ctx, claim := c.Request.Context(), ctl.claim(token)
	claimant, err := models.FindClaimant[models.TenantUser](ctx, tenant.DB, claim)
	if err != nil {
		return tenant.Classify(err)
	}
	return tenant.Classify(ctl.redeem(c, tenant.DB, &claimant.Account, password, func(tx *gorm.DB, hash string) error {
		return models.ResetTenantPassword(ctx, tx, claim, hash)
	}))
}

// redeem hashes the password for whoever the token was found to be of, and has
// reset change it, on record.
func (ctl *PasswordResets) redeem(
	c *gin.Context, db *gorm.DB, claimant *models.Account, password string, reset func(tx *gorm.DB, hash string) error,
) error {
	ctx := c.Request.Context()
	hash, err := ctl.hash(ctx, password, claimant.Email)
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionPasswordReset).By(claimant)
	return models.Recorded(ctx, db, event, func(tx *gorm.DB) error { return reset(tx, hash) })
}

func (ctl *PasswordResets) claim(token *auth.ResetToken) models.ResetClaim {
	return models.ResetClaim{TokenHash: token.Hash(), Now: ctl.Tokens.Now()}
}

// hash is called only for a token that is good, so that no stranger can make the
// server do the work.
func (ctl *PasswordResets) hash(ctx context.Context, password, email string) (string, error) {
	var checks models.Checks
	checks.NewPassword("new_password", &password, email)
	if err := checks.Err(); err != nil {
		return "", err
	}
	return ctl.Passwords.Hash(ctx, password)
}
