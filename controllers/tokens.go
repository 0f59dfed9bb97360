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
)

type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

// entry is how somebody gets in: into which realm, by which database, and what of
// it goes on record.
type entry struct {
	tokens *auth.Tokens
	db     *gorm.DB
	claims auth.Claims
	event  *models.Event
}

// signIn begins a session of whoever a login has proven to be, and answers with its
// tokens. claims say in which realm.
func signIn[U models.User](c *gin.Context, tokens *auth.Tokens, db *gorm.DB, claims auth.Claims, who *login) error {
	e := entry{tokens, db, claims, middleware.NewEvent(c, models.ActionSignedIn).By(who.user)}
	return e.begin(c, func(ctx context.Context, tx *gorm.DB, session *models.Session) error {
		session.UserID, session.Epoch = who.user.ID, who.epoch
		return models.CreateSession[U](ctx, tx, session, who.user.HashedPassword)
	})
}

// begin answers with the tokens of a session that create keeps, once it has said
// whose it is.
func (e *entry) begin(c *gin.Context, create func(ctx context.Context, tx *gorm.DB, session *models.Session) error) error {
	token := auth.NewRefreshToken(e.claims.TenantID)
	session := models.Session{FamilyHash: token.FamilyHash()}
	use(c, e.tokens, &session, &token)
	ctx := c.Request.Context()
	err := models.Recorded(ctx, e.db, e.event, func(tx *gorm.DB) error {
		if err := create(ctx, tx, &session); err != nil {
			return err
		}
		e.event.About(models.TargetSession, session.ID, "")
		return nil
	})
	if err != nil {
		return err
	}
	claims := e.claims
	token.SessionID, claims.SessionID, claims.UserID = session.ID, session.ID, session.UserID
	return answerTokens(c, e.tokens, claims, &session, &token)
}

// use notes in the session that it has got another refresh token, and by whom.
func use(c *gin.Context, tokens *auth.Tokens, session *models.Session, token *auth.RefreshToken) {
	session.TokenHash = token.SecretHash()
	session.LastUsedAt = tokens.Now()
	if session.CreatedAt.IsZero() { // it begins
		session.CreatedAt = session.LastUsedAt
	}
	session.ExpiresAt = session.LastUsedAt.Add(tokens.RefreshLifetime())
	session.ExpiresAt = endOf(session, tokens)
	session.IP = c.ClientIP()
	session.UserAgent = middleware.UserAgent(c)
}

// endOf is when the session ends if nobody refreshes it: no refreshing puts that
// off beyond the session's own lifetime.
func endOf(session *models.Session, tokens *auth.Tokens) time.Time {
	if last := session.CreatedAt.Add(tokens.SessionLifetime()); session.ExpiresAt.After(last) {
		return last
	}
	return session.ExpiresAt
}

func answerTokens(
	c *gin.Context, tokens *auth.Tokens, claims auth.Claims, session *models.Session, refresh *auth.RefreshToken,
) error {
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
