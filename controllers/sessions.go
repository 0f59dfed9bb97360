package controllers

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Sessions lets people see where they are signed in, and end it.
type Sessions struct {
	Tenants *tenants.Manager
	Tokens  *auth.Tokens
}

type sessionResponse struct {
	ID         int64     `json:"id"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
	Current    bool      `json:"current"`
}

func newSessionResponse(session *models.Session, tokens *auth.Tokens, current int64) sessionResponse {
	return sessionResponse{
		ID:         session.ID,
		CreatedAt:  session.CreatedAt.UTC(),
		LastUsedAt: session.LastUsedAt.UTC(),
		ExpiresAt:  endOf(session, tokens).UTC(),
		IP:         session.IP,
		UserAgent:  session.UserAgent,
		Current:    session.ID == current,
	}
}

// ListCore shows a page of the sessions of a user of the core.
func (ctl *Sessions) ListCore(c *gin.Context, user *models.CoreUser) error {
	return listSessions(c, ctl.Tenants.Core(), ctl.Tokens, &user.Account)
}

// ListTenant shows a page of the sessions of a user of a tenant.
func (ctl *Sessions) ListTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	return listSessions(c, tenant.DB, ctl.Tokens, &user.Account)
}

func listSessions(c *gin.Context, db *gorm.DB, tokens *auth.Tokens, user *models.Account) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	now := tokens.Now()
	sessions, err := models.ListSessions(c.Request.Context(), db, user, models.SessionPage{
		Before: p.cursor, Limit: p.more(), Since: now.Add(-tokens.SessionLifetime()), Now: now,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, sessions, func(session *models.Session) int64 { return session.ID },
		func(session *models.Session) sessionResponse {
			return newSessionResponse(session, tokens, user.SessionID())
		}))
	return nil
}

// EndCore ends one of the sessions of a user of the core.
func (ctl *Sessions) EndCore(c *gin.Context, user *models.CoreUser) error {
	return endSession(c, ctl.Tenants.Core(), &user.Account)
}

// EndTenant ends one of the sessions of a user of a tenant.
func (ctl *Sessions) EndTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	return endSession(c, tenant.DB, &user.Account)
}

func endSession(c *gin.Context, db *gorm.DB, user *models.Account) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return models.ErrSessionNotFound
	}
	if err := endOne(c, db, user, id); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func endOne(c *gin.Context, db *gorm.DB, user *models.Account, id int64) error {
	ctx := c.Request.Context()
	event := middleware.NewEvent(c, models.ActionSessionEnded).By(user).About(models.TargetSession, id, "")
	return models.Recorded(ctx, db, event, func(tx *gorm.DB) error {
		return models.EndSession(ctx, tx, user.ID, id)
	})
}

func endAll(
	c *gin.Context, db *gorm.DB, user *models.Account, end func(ctx context.Context, tx *gorm.DB) error,
) error {
	ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionSessionsEnded).By(user)
	return models.Recorded(ctx, db, event, func(tx *gorm.DB) error { return end(ctx, tx) })
}

// LogoutCore ends the session of a user of the core, or all of their sessions,
// also inside the tenants they own.
func (ctl *Sessions) LogoutCore(c *gin.Context, user *models.CoreUser) error {
	core := ctl.Tenants.Core()
	return logout(c, core, &user.Account, func() error {
		err := endAll(c, core, &user.Account, func(ctx context.Context, tx *gorm.DB) error {
			return models.EndSessionsEverywhere(ctx, tx, user)
		})
		if err == nil {
			ctl.Tenants.ChangeOwner(user.AsOwner())
		}
		return err
	})
}

// LogoutTenant ends the session of a user of a tenant, or all that they have there.
func (ctl *Sessions) LogoutTenant(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	return logout(c, tenant.DB, &user.Account, func() error {
		return endAll(c, tenant.DB, &user.Account, func(ctx context.Context, tx *gorm.DB) error {
			return models.EndSessions(ctx, tx, user.ID)
		})
	})
}

func logout(c *gin.Context, db *gorm.DB, user *models.Account, everywhere func() error) error {
	var checks models.Checks
	scope, scoped := c.GetQuery("scope")
	if scoped && scope != "all" {
		checks.Add("scope", "invalid_scope", "must be all, where it is given")
	}
	err := checks.Err()
	switch {
	case err != nil:
		return err
	case scoped:
		err = everywhere()
	default:
		// Whoever was faster has ended it all the same.
		err = unless(endOne(c, db, user, user.SessionID()), models.KindSessionNotFound)
	}
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
