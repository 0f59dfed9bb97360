package controllers

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/models"
)

// maxUserAgentLength bounds what is kept of a browser's description of itself, in
// bytes.
const maxUserAgentLength = 255

type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

// proof is what a login has compared the password with: the hash that is kept
// where the user is, and the epoch of whoever the password is.
type proof struct {
	hash  string
	epoch int64
}

// signIn begins a session of the user in claims, and answers with its tokens.
func signIn[U models.User](c *gin.Context, tokens *auth.Tokens, db *gorm.DB, claims auth.Claims, by proof) error {
	token := auth.NewRefreshToken(claims.TenantID)
	session := models.Session{UserID: claims.UserID, Epoch: by.epoch, FamilyHash: token.FamilyHash()}
	use(c, tokens, &session, &token)
	if err := models.CreateSession[U](c.Request.Context(), db, &session, by.hash); err != nil {
		return err
	}
	token.SessionID, claims.SessionID = session.ID, session.ID
	return answerTokens(c, tokens, claims, &session, &token)
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
	session.UserAgent = userAgent(c)
}

// endOf is when the session ends if nobody refreshes it: no refreshing puts that
// off beyond the session's own lifetime.
func endOf(session *models.Session, tokens *auth.Tokens) time.Time {
	if last := session.CreatedAt.Add(tokens.SessionLifetime()); session.ExpiresAt.After(last) {
		return last
	}
	return session.ExpiresAt
}

// userAgent is the text that the client describes itself with, as far as both
// engines can keep it.
func userAgent(c *gin.Context) string {
	text := c.Request.UserAgent()
	return strings.ToValidUTF8(text[:min(len(text), maxUserAgentLength)], "")
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
