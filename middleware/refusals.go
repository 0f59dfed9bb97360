package middleware

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/models"
)

// actorKey is where the gin context has the claims of the user who sends a request.
const actorKey = "actor"

// SetActor names, for the log, the user who sends a request.
func SetActor(c *gin.Context, claims auth.Claims) { c.Set(actorKey, claims) }

// actorOf returns the claims of the user who sends a request, if they are known.
func actorOf(c *gin.Context) (claims auth.Claims, known bool) {
	value, _ := c.Get(actorKey)
	claims, known = value.(auth.Claims)
	return claims, known
}

// handle is Handle for a handler that serves the bearer of a token. It is the one place
// that records a 403, in the database of the user who was refused.
func (g *Gate) handle(handler func(c *gin.Context) error) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		err := handler(c)
		if err == nil {
			return nil
		}
		refusal := explain(err)
		actor, known := actorOf(c)
		if !known || statusOf(refusal.Kind) != http.StatusForbidden {
			return err
		}
		if unrecorded := g.recordRefusal(c, actor, refusal); unrecorded != nil {
			return refusal.Because(fmt.Errorf("not on record: %w", unrecorded))
		}
		return err
	})
}

// recordRefusal records that a signed-in user was refused. An event counts as a change that
// the user makes, so that a user cannot fill the database: what is too much is only in the
// log. So is the refusal of a token whose session has ended, since its user is not known.
func (g *Gate) recordRefusal(c *gin.Context, actor auth.Claims, refusal *models.Error) error {
	if !c.GetBool(isCounted) && g.Limits.Write(actor.TenantID, actor.UserID) != nil {
		return nil //nolint:nilerr // the log alone has it then
	}
	detail := fmt.Sprintf("%s %s %s", codeOf(refusal), c.Request.Method, c.FullPath())
	event := NewEvent(c, models.ActionRequestRefused).Refused(detail)
	if actor.Realm == auth.RealmCore {
		return g.recordAtCore(c.Request.Context(), actor, event)
	}
	return g.recordInTenant(c.Request.Context(), actor, event)
}

func (g *Gate) recordAtCore(ctx context.Context, actor auth.Claims, event *models.Event) error {
	user, err := models.FindSignedIn[models.CoreUser](ctx, g.Core, actor.UserID, actor.Session)
	if err != nil || !user.IsSignedIn() {
		return unlessGone(err)
	}
	return models.Record(ctx, g.Core, event.By(&user.Account))
}

// recordInTenant records also in a suspended tenant.
func (g *Gate) recordInTenant(ctx context.Context, actor auth.Claims, event *models.Event) error {
	tenant, release, err := g.Tenants.AcquireIDEvenSuspended(ctx, actor.TenantID)
	if err != nil {
		return unlessGone(err)
	}
	defer release()
	user, err := models.FindSignedIn[models.TenantUser](ctx, tenant.DB, actor.UserID, actor.Session)
	if err != nil || !user.IsSignedIn(tenant.Owner()) {
		return unlessGone(err)
	}
	return models.Record(ctx, tenant.DB, event.By(&user.Account))
}

// unlessGone returns err, or nil for a tenant or user that is gone.
func unlessGone(err error) error {
	if models.IsKind(err, models.KindTenantNotFound) || models.IsKind(err, models.KindUserNotFound) {
		return nil
	}
	return err
}
