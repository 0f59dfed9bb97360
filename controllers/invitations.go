package controllers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Invitations lets the owners and admins of a tenant invite others to it.
type Invitations struct {
	Tokens *auth.Tokens
}

type invitationRequest struct {
	Email *string      `json:"email"`
	Role  *models.Role `json:"role"`
}

func (r *invitationRequest) check() error {
	var checks models.Checks
	checks.Email("email", r.Email)
	checkNewRole(&checks, r.Role)
	return checks.Err()
}

type invitationResponse struct {
	ID        int64       `json:"id"`
	Email     string      `json:"email"`
	Role      models.Role `json:"role"`
	CreatedAt time.Time   `json:"created_at"`
	ExpiresAt time.Time   `json:"expires_at"`
	InvitedBy *int64      `json:"invited_by"`
}

// createdInvitationResponse has the token too, which is never shown again.
type createdInvitationResponse struct {
	invitationResponse

	Token string `json:"token"`
}

func newInvitationResponse(invitation *models.Invitation) invitationResponse {
	return invitationResponse{
		ID:        invitation.ID,
		Email:     invitation.Email,
		Role:      invitation.Role,
		CreatedAt: invitation.CreatedAt.UTC(),
		ExpiresAt: invitation.ExpiresAt.UTC(),
		InvitedBy: invitation.InvitedBy,
	}
}

// Create makes an invitation and shows its token, this once.
func (ctl *Invitations) Create(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := bindChecked[invitationRequest](c)
	if err != nil {
		return err
	}
	token := auth.NewInvitationToken()
	hash, _ := auth.HashInvitationToken(token) // it is one
	invitation := models.NewInvitation(*body.Email, newRole(body.Role), hash, ctl.Tokens.Now())
	event := middleware.NewEvent(c, models.ActionInvitationCreated).By(&user.Account)
	if err := models.Invite(c.Request.Context(), tenant.DB, event, &invitation); err != nil {
		return err
	}
	c.Header("Location", "/api/invitations/"+strconv.FormatInt(invitation.ID, 10))
	c.JSON(http.StatusCreated, createdInvitationResponse{newInvitationResponse(&invitation), token})
	return nil
}

// List shows a page of the invitations.
func (ctl *Invitations) List(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	invitations, err := models.ListInvitations(c.Request.Context(), tenant.DB, models.InvitationPage{
		Before: p.cursor, Limit: p.more(), Now: ctl.Tokens.Now(),
	})
	if err != nil {
		return err
	}
	id := func(invitation *models.Invitation) int64 { return invitation.ID }
	c.JSON(http.StatusOK, listing(p, invitations, id, newInvitationResponse))
	return nil
}

// Withdraw ends an invitation and its token.
func (ctl *Invitations) Withdraw(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return models.ErrInvitationNotFound
	}
	event := middleware.NewEvent(c, models.ActionInvitationWithdrawn).By(&user.Account)
	if err := models.WithdrawInvitation(c.Request.Context(), tenant.DB, event, id, ctl.Tokens.Now()); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
