package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// retryWindow is how long after its use a refresh token may be used again, by a client
// that lost the answer or by another tab of the browser.
const retryWindow = 10 * time.Second

// clockSkew is how much the clocks of two processes may differ, of which one has used
// the token and the other finds it used.
const clockSkew = time.Second

var (
	errNoSession      = errors.New("refresh token is of no session that lives")
	errReused         = errors.New("refresh token was used again: its session is ended")
	errRefreshExpired = errors.New("refresh token has expired")
)

// Refresh exchanges a refresh token for another pair of tokens.
type Refresh struct {
	Tenants *tenants.Manager
	Tokens  *auth.Tokens
	Limits  *limits.Limits
}

type refreshRequest struct {
	RefreshToken *string `json:"refresh_token"`
}

func (r *refreshRequest) check() error {
	var checks models.Checks
	checks.Present("refresh_token", r.RefreshToken)
	return checks.Err()
}

// Create answers with another pair of tokens. The token names the core or the tenant;
// slug, if not empty, must agree with it.
func (ctl *Refresh) Create(c *gin.Context, slug models.Slug) error {
	body, err := bindChecked[refreshRequest](c)
	if err != nil {
		return err
	}
	token, err := auth.ParseRefreshToken(*body.RefreshToken)
	if err != nil {
		return err
	}
	if token.TenantID != "" {
		return ctl.refreshTenant(c, slug, &token)
	}
	if err := ctl.Tenants.CheckAgreement(c.Request.Context(), "", "", slug); err != nil {
		return err
	}
	return renew(c, &renewal[models.CoreUser]{
		token: token, tokens: ctl.Tokens, limits: ctl.Limits, db: ctl.Tenants.Core(),
		claims: auth.Claims{Realm: auth.RealmCore},
		lives:  (*models.CoreUser).IsSignedIn,
	})
}

func (ctl *Refresh) refreshTenant(c *gin.Context, slug models.Slug, token *auth.RefreshToken) error {
	tenant, release, err := lend(c, ctl.Tenants, token.TenantID, models.ErrInvalidToken)
	if err != nil {
		return err
	}
	defer release()
	if err := ctl.Tenants.CheckAgreement(c.Request.Context(), tenant.ID, tenant.Slug, slug); err != nil {
		return err
	}
	err = renew(c, &renewal[models.TenantUser]{
		token: *token, tokens: ctl.Tokens, limits: ctl.Limits, db: tenant.DB,
		claims: tenantClaims(tenant),
		lives:  func(user *models.TenantUser) bool { return user.IsSignedIn(tenant.Owner()) },
		parent: func(ctx context.Context, key models.SessionKey) (time.Time, error) {
			core := ctl.Tenants.Core()
			if err := models.CheckParent(ctx, core, tenant.Owner(), key); err != nil {
				return time.Time{}, ctl.Tenants.ClassifyCore(err)
			}
			end, err := endOfParent(ctx, core, ctl.Tokens, key)
			return end, ctl.Tenants.ClassifyCore(err)
		},
	})
	if ctl.Tenants.IsDeleted(c.Request.Context(), tenant, err) {
		return models.ErrInvalidToken.Because(err)
	}
	return tenant.Classify(err)
}

// renewal is an exchange of a refresh token, at the core or in a tenant.
type renewal[U models.User] struct {
	token  auth.RefreshToken
	tokens *auth.Tokens
	limits *limits.Limits
	db     *gorm.DB    // where the session is kept
	claims auth.Claims // of the realm; the user is the session's
	lives  func(user *U) bool
	// parent is when the core session with that key ends, or its error.
	parent func(ctx context.Context, key models.SessionKey) (time.Time, error)
}

// renew exchanges the token. A token of another family changes nothing, since the ids
// of sessions are no secret.
func renew[U models.User, P interface {
	*U
	models.BySession
	Self() *models.Account
}](c *gin.Context, r *renewal[U],
) error {
	ctx := c.Request.Context()
	session, err := models.FindSession(ctx, r.db, r.token.SessionID)
	if err != nil {
		return refused(err)
	}
	switch {
	case session.FamilyHash != r.token.FamilyHash():
		return models.ErrInvalidToken.Because(errNoSession)
	case !r.tokens.Now().Before(endOf(&session, r.tokens)):
		return models.ErrInvalidToken.Because(errRefreshExpired)
	}
	user, err := models.FindSignedIn[U, P](ctx, r.db, session.UserID, session.Key())
	if err != nil {
		return refused(err)
	}
	if !r.lives(&user) {
		return models.ErrInvalidToken.Because(errNoSession)
	}
	var parent time.Time
	if session.ParentID != 0 {
		if parent, err = r.parent(ctx, session.Parent()); err != nil {
			return err
		}
	}
	if err := r.limits.Write(r.claims.TenantID, session.UserID); err != nil {
		return err
	}
	next, err := r.rotate(c, &session, parent)
	if errors.Is(err, errReused) {
		err = endReused(c, r.db, &session, P(&user).Self())
	}
	if err != nil {
		return refused(err)
	}
	return answerTokens(c, r.tokens, r.claims, &session, &next)
}

// rotate returns the token that follows this one, which becomes invalid. The last token
// again gets the same answer within retryWindow; an earlier token is errReused. parent is
// when the parent of the session ends; zero for none.
func (r *renewal[U]) rotate(c *gin.Context, session *models.Session, parent time.Time) (auth.RefreshToken, error) {
	ctx, hash := c.Request.Context(), r.token.SecretHash()
	for {
		switch {
		case session.TokenHash == hash:
			next := *session
			next.PreviousHash, next.Salt = hash, auth.NewSalt()
			following := r.token.Next(next.Salt)
			use(c, r.tokens, &next, &following, parent)
			rotated, err := models.RotateSession(ctx, r.db, &next, hash)
			if rotated || err != nil {
				*session = next
				return following, err
			}
		case session.PreviousHash == hash && isRetry(session.LastUsedAt, r.tokens.Now()):
			return r.token.Next(session.Salt), nil
		default:
			return auth.RefreshToken{}, errReused
		}
		// A concurrent request was first with the same token.
		var err error
		if *session, err = models.FindSession(ctx, r.db, session.ID); err != nil {
			return auth.RefreshToken{}, err
		}
	}
}

// isRetry reports whether a token that was used at that time may be used again. A time
// that is yet to come says that the clock was set back: how long ago the use was is unknown.
func isRetry(used, now time.Time) bool {
	age := now.Sub(used)
	return -clockSkew <= age && age <= retryWindow
}

// endReused ends the whole family: a used token comes from a thief, or from the victim
// of one.
func endReused(c *gin.Context, db *gorm.DB, session *models.Session, user *models.Account) error {
	event := middleware.NewEvent(c, models.ActionReuseDetected).By(user).Refused("session_ended")
	if err := models.EndSession(c.Request.Context(), db, event, session.ID); err != nil {
		return err
	}
	return models.ErrInvalidToken.Because(errReused)
}

// refused is the error for a token whose session or user was removed.
func refused(err error) error {
	if models.IsKind(err, models.KindSessionNotFound) || models.IsKind(err, models.KindUserNotFound) {
		return models.ErrInvalidToken.Because(err)
	}
	return err
}
