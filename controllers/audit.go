package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"multitenant/middleware"
	"multitenant/models"
)

// Audit shows the audit trail: to a core user their own actions and those on their
// organizations, to owners and admins of a tenant all events of the tenant.
type Audit struct{}

// EventResponse is an event as clients and programs see it.
type EventResponse struct {
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

// actorResponse is the actor. The operator has no id and no address.
type actorResponse struct {
	ID    *int64 `json:"id"`
	Email string `json:"email"`
}

type targetResponse struct {
	Kind models.TargetKind `json:"kind"`
	ID   *int64            `json:"id"`
	Name string            `json:"name"`
}

// NewEventResponse returns the event as clients and programs see it.
func NewEventResponse(event *models.Event) EventResponse {
	response := EventResponse{
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

// List shows a page of the events that the caller may read.
func (*Audit) List(c *gin.Context, caller *middleware.Caller) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	action, err := actionOf(c)
	if err != nil {
		return err
	}
	page := models.EventPage{Before: p.cursor, Limit: p.more(), Action: action}
	if caller.Core != nil {
		page.ReaderID = caller.Core.ID
	}
	events, err := models.ListEvents(c.Request.Context(), caller.DB, page)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, events, func(event *models.Event) int64 { return event.ID }, NewEventResponse))
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
