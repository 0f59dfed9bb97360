package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/tenants"
)

// Audit shows what has happened: to core users what they did and what was done to
// their organizations, to owners and admins of a tenant all of the tenant's.
type Audit struct {
	Tenants *tenants.Manager
}

type eventResponse struct {
	ID        int64           `json:"id"`
	At        time.Time       `json:"at"`
	Action    models.Action   `json:"action"`
	Outcome   models.Outcome  `json:"outcome"`
	Actor     *actorResponse  `json:"actor"`
	Target    *targetResponse `json:"target"`
	IP        string          `json:"ip"`
	UserAgent string          `json:"user_agent"`
	RequestID string          `json:"request_id"`
	Detail    string          `json:"detail"`
}

// actorResponse is who did it. The operator has no id, and no address either.
type actorResponse struct {
	ID    *int64 `json:"id"`
	Email string `json:"email"`
}

type targetResponse struct {
	Kind models.TargetKind `json:"kind"`
	ID   *int64            `json:"id"`
	Name string            `json:"name"`
}

func newEventResponse(event *models.Event) eventResponse {
	response := eventResponse{
		ID:        event.ID,
		At:        event.At.UTC(),
		Action:    event.Action,
		Outcome:   event.Outcome,
		IP:        event.IP,
		UserAgent: event.UserAgent,
		RequestID: event.RequestID,
		Detail:    event.Detail,
	}
	if event.Actor != "" {
		response.Actor = &actorResponse{ID: event.ActorID, Email: event.Actor}
	}
	if event.TargetKind != "" {
		response.Target = &targetResponse{Kind: event.TargetKind, ID: event.TargetID, Name: event.TargetName}
	}
	return response
}

// ListCore shows a page of what a core user may read.
func (ctl *Audit) ListCore(c *gin.Context, user *models.CoreUser) error {
	return listEvents(c, ctl.Tenants.Core(), user.ID)
}

// ListTenant shows a page of what has happened in the tenant. Its caller has made
// sure that the user manages it.
func (ctl *Audit) ListTenant(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	return listEvents(c, tenant.DB, 0)
}

func listEvents(c *gin.Context, db *gorm.DB, readerID int64) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	action, err := actionOf(c)
	if err != nil {
		return err
	}
	events, err := models.ListEvents(c.Request.Context(), db, models.EventPage{
		Before: p.cursor, Limit: p.more(), Action: action, ReaderID: readerID,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, events, func(event *models.Event) int64 { return event.ID }, newEventResponse))
	return nil
}

// actionOf reads ?action=; without it the action is empty.
func actionOf(c *gin.Context) (models.Action, error) {
	text, given := c.GetQuery("action")
	action := models.Action(text)
	var checks models.Checks
	if given && !action.IsValid() {
		checks.Add("action", "unknown_action", "must be one of the actions that are recorded")
	}
	return action, checks.Err()
}
