package controllers

import (
	"net/http"

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

// signIn begins a session of whoever a login has proven to be, and answers with its
// tokens. claims say in which realm.
func signIn[U models.User](c *gin.Context, tokens *auth.Tokens, db *gorm.DB, claims auth.Claims, who *login) error {
	token := auth.NewRefreshToken(claims.TenantID)
	session := models.Session{UserID: who.user.ID, Epoch: who.epoch, FamilyHash: token.FamilyHash()}
	use(c, tokens, &session, &token)
	session.CreatedAt = session.LastUsedAt
	ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionSignedIn).By(who.user)
	err := models.Recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := models.CreateSession[U](ctx, tx, &session, who.user.HashedPassword); err != nil {
			return err
		}
		event.About(models.TargetSession, session.ID, "")
		return nil
	})
	if err != nil {
		return err
	}
	token.SessionID, claims.SessionID, claims.UserID = session.ID, session.ID, who.user.ID
	return answerTokens(c, tokens, claims, &token)
}

// use notes in the session that it has got another refresh token, and by whom.
func use(c *gin.Context, tokens *auth.Tokens, session *models.Session, token *auth.RefreshToken) {
	session.TokenHash = token.SecretHash()
	session.LastUsedAt = tokens.Now()
	session.ExpiresAt = session.LastUsedAt.Add(tokens.RefreshLifetime())
	session.IP = c.ClientIP()
	session.UserAgent = middleware.UserAgent(c)
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
