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

// Sessions lets users see and end their sessions.
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

// List shows a page of the caller's sessions.
func (ctl *Sessions) List(c *gin.Context, caller *middleware.Caller) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	now := ctl.Tokens.Now()
	sessions, err := models.ListSessions(c.Request.Context(), caller.DB, caller.Account, models.SessionPage{
		Before: p.cursor, Limit: p.more(), Since: now.Add(-ctl.Tokens.SessionLifetime()), Now: now,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, sessions, func(session *models.Session) int64 { return session.ID },
		func(session *models.Session) sessionResponse {
			return newSessionResponse(session, ctl.Tokens, caller.Account.SessionID())
		}))
	return nil
}

// End ends one of the caller's sessions.
func (ctl *Sessions) End(c *gin.Context, caller *middleware.Caller) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return models.ErrSessionNotFound
	}
	if err := endSession(c, caller, id); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func endSession(c *gin.Context, caller *middleware.Caller, id int64) error {
	event := middleware.NewEvent(c, models.ActionSessionEnded).By(caller.Account)
	return models.EndSession(c.Request.Context(), caller.DB, event, id)
}

// Logout ends the caller's session, or with ?scope=all all of their sessions: those of
// a core user also inside the tenants of their organizations.
func (ctl *Sessions) Logout(c *gin.Context, caller *middleware.Caller) error {
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
		err = ctl.endAll(c, caller)
	default:
		// A concurrent request may have ended it already.
		err = unless(endSession(c, caller, caller.Account.SessionID()), models.KindSessionNotFound)
	}
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func (ctl *Sessions) endAll(c *gin.Context, caller *middleware.Caller) error {
	ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionSessionsEnded).By(caller.Account)
	if caller.Core == nil {
		return models.EndSessions(ctx, caller.DB, event)
	}
	if err := models.EndSessionsEverywhere(ctx, caller.DB, event, caller.Core); err != nil {
		return err
	}
	ctl.Tenants.OwnerChanged(caller.Core.ID)
	return nil
}
