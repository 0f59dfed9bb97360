package controllers

import (
	"context"
	"net/http"
	"strings"

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
	return begin(c, tokens, claims, func(ctx context.Context, session *models.Session) error {
		session.UserID, session.Epoch = claims.UserID, by.epoch
		return models.CreateSession[U](ctx, db, session, by.hash)
	})
}

// begin answers with the tokens of a session that create keeps, once it has said
// whose it is.
func begin(
	c *gin.Context, tokens *auth.Tokens, claims auth.Claims, create func(ctx context.Context, session *models.Session) error,
) error {
	token := auth.NewRefreshToken(claims.TenantID)
	session := models.Session{FamilyHash: token.FamilyHash()}
	use(c, tokens, &session, &token)
	session.CreatedAt = session.LastUsedAt
	if err := create(c.Request.Context(), &session); err != nil {
		return err
	}
	token.SessionID, claims.SessionID, claims.UserID = session.ID, session.ID, session.UserID
	return answerTokens(c, tokens, claims, &token)
}

// use notes in the session that it has got another refresh token, and by whom.
func use(c *gin.Context, tokens *auth.Tokens, session *models.Session, token *auth.RefreshToken) {
	session.TokenHash = token.SecretHash()
	session.LastUsedAt = tokens.Now()
	session.ExpiresAt = session.LastUsedAt.Add(tokens.RefreshLifetime())
	session.IP = c.ClientIP()
	session.UserAgent = userAgent(c)
}

// userAgent is the text that the client describes itself with, as far as both
// engines can keep it.
func userAgent(c *gin.Context) string {
	text := c.Request.UserAgent()
	return strings.ToValidUTF8(text[:min(len(text), maxUserAgentLength)], "")
}

func answerTokens(c *gin.Context, tokens *auth.Tokens, claims auth.Claims, refresh *auth.RefreshToken) error {
	access, err := tokens.Sign(claims)
	if err != nil {
		return err
	}
	encoded, err := refresh.Encode()
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, tokenResponse{
		AccessToken: access, TokenType: "bearer", ExpiresIn: int(tokens.Lifetime().Seconds()), RefreshToken: encoded,
	})
	return nil
}
