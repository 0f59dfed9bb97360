package controllers

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

// newSession is a session to begin: in which database, with which claims, and the event
// to record.
type newSession struct {
	tokens *auth.Tokens
	db     *gorm.DB
	claims auth.Claims
	event  *models.Event
	parent time.Time // when the parent of the session ends; zero for none
}

// signIn begins a session of the user whom a login has verified, and answers with its
// tokens. claims name the core or the tenant.
func signIn[U models.User](c *gin.Context, tokens *auth.Tokens, db *gorm.DB, claims auth.Claims, found *login) error {
	n := newSession{
		tokens: tokens, db: db, claims: claims, event: middleware.NewEvent(c, models.ActionSignedIn).By(found.user),
	}
	return n.begin(c, func(ctx context.Context, session *models.Session) error {
		session.UserID, session.Epoch = found.user.ID, found.epoch
		return models.CreateSession[U](ctx, db, n.event, session, found.user.HashedPassword)
	})
}

// tenantClaims name the tenant in a token.
func tenantClaims(tenant *tenants.Tenant) auth.Claims {
	return auth.Claims{Realm: auth.RealmTenant, Tenant: string(tenant.Slug), TenantID: tenant.ID}
}

// begin answers with the tokens of a session. create stores the session and sets its
// user.
func (n *newSession) begin(c *gin.Context, create func(ctx context.Context, session *models.Session) error) error {
	token := auth.NewRefreshToken(n.claims.TenantID)
	session := models.Session{FamilyHash: token.FamilyHash()}
	use(c, n.tokens, &session, &token, n.parent)
	if err := create(c.Request.Context(), &session); err != nil {
		return err
	}
	token.SessionID = session.ID
	return answerTokens(c, n.tokens, n.claims, &session, &token)
}

// use stores another refresh token in the session, and the client that gets it. The
// session ends no later than its parent, unless that time is zero.
func use(
	c *gin.Context, tokens *auth.Tokens, session *models.Session, token *auth.RefreshToken, parent time.Time,
) {
	session.TokenHash = token.SecretHash()
	session.LastUsedAt = tokens.Now()
	if session.CreatedAt.IsZero() { // it begins
		session.CreatedAt = session.LastUsedAt
	}
	session.ExpiresAt = session.LastUsedAt.Add(tokens.RefreshLifetime())
	session.ExpiresAt = endOf(session, tokens)
	if !parent.IsZero() && session.ExpiresAt.After(parent) {
		session.ExpiresAt = parent
	}
	session.IP = c.ClientIP()
	session.UserAgent = middleware.UserAgent(c)
}

// endOf is when the session ends unless it is refreshed. Refreshing never extends it
// beyond the lifetime of a session.
func endOf(session *models.Session, tokens *auth.Tokens) time.Time {
	if last := session.CreatedAt.Add(tokens.SessionLifetime()); session.ExpiresAt.After(last) {
		return last
	}
	return session.ExpiresAt
}

// answerTokens answers with tokens of the session. claims name the core or the tenant.
func answerTokens(
	c *gin.Context, tokens *auth.Tokens, claims auth.Claims, session *models.Session, refresh *auth.RefreshToken,
) error {
	claims.UserID, claims.Session, claims.Parent = session.UserID, session.Key(), session.Parent()
	claims.ExpiresAt = endOf(session, tokens)
	lifetime := max(time.Second, min(tokens.Lifetime(), claims.ExpiresAt.Sub(tokens.Now())))
	access, err := tokens.Sign(claims)
	if err != nil {
		return err
	}
	encoded, err := refresh.Encode()
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, tokenResponse{
		AccessToken: access, TokenType: "bearer", ExpiresIn: int(lifetime.Seconds()), RefreshToken: encoded,
	})
	return nil
}
