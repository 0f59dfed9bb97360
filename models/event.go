package models

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Operator is the actor of what the command line does.
const Operator = "operator"

// Outcome says how what an event is about has ended.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeRefused Outcome = "refused"
)

// TargetKind is a word for what an event was done to.
type TargetKind string

// What events are done to.
const (
	TargetUser         TargetKind = "user"
	TargetSession      TargetKind = "session"
	TargetInvitation   TargetKind = "invitation"
	TargetOrganization TargetKind = "organization"
	TargetTenant       TargetKind = "tenant" // one that belongs to no organization
)

// Event is a line of the audit trail: who did what, when and from where. It is
// kept in the database that it is about, and nobody changes or removes it. No
// secret is in it, nor what somebody typed who may have been nobody.
type Event struct {
	ID      int64 `gorm:"primaryKey"`
	At      time.Time
	Action  Action
	Outcome Outcome

	ActorID *int64 // nil for nobody known, and for the operator
	Actor   string // their address at the time, or Operator; empty for nobody known
	// ReaderID is, at the core, the user who may read it: who did it, or to whose
	// organization it was done. In a tenant owners and admins may, whatever it says.
	ReaderID *int64

	TargetKind TargetKind // empty where there is no target beyond the actor
	TargetID   *int64
	TargetName string

	IP        string
	UserAgent string
	RequestID string
	Detail    string // a short code that says more
}

// TableName names the table; GORM asks for it.
func (Event) TableName() string { return "audit_events" }

// NewOperatorEvent returns the event of something the command line does.
func NewOperatorEvent(action Action) *Event {
	return &Event{Action: action, Outcome: OutcomeSuccess, Actor: Operator}
}

// By says who did it.
func (e *Event) By(account *Account) *Event {
	id := account.ID
	e.ActorID, e.Actor, e.ReaderID = &id, account.Email, &id
	return e
}

// About says what it was done to, and what that is called, if anything.
func (e *Event) About(kind TargetKind, id int64, name string) *Event {
	e.TargetKind, e.TargetID, e.TargetName = kind, &id, name
	return e
}

// AboutOrganization says to which organization it was done. Its owner may read it,
// whoever did it.
func (e *Event) AboutOrganization(org *Organization) *Event {
	owner := org.OwnerID
	e.ReaderID = &owner
	return e.About(TargetOrganization, org.ID, string(org.Slug))
}

// Refused says that it was refused, and by a short code why.
func (e *Event) Refused(detail string) *Event {
	e.Outcome, e.Detail = OutcomeRefused, detail
	return e
}

// Recorded does what change does and puts it on record, both or neither, in one
// transaction. What is only known once the change is made, change may still say of
// the event. It composes within another transaction.
func Recorded(ctx context.Context, db *gorm.DB, event *Event, change func(tx *gorm.DB) error) error {
	// Transactions of the change's own are this one, and cost no savepoint.
	one := db.Session(&gorm.Session{Context: ctx, DisableNestedTransaction: true})
	return one.Transaction(func(tx *gorm.DB) error {
		if err := change(tx); err != nil {
			return err
		}
		return Record(ctx, tx, event)
	})
}

// Record puts on record what changed nothing, such as a refusal.
func Record(ctx context.Context, db *gorm.DB, event *Event) error {
	event.ID = 0 // what is tried again is recorded again
	event.At = db.NowFunc()
	if err := db.WithContext(ctx).Create(event).Error; err != nil {
		return fmt.Errorf("record %s: %w", event.Action, err)
	}
	return nil
}

// EventPage is a part of a list of events: at most Limit of them, the newest
// first, with an id less than Before where that is not zero.
type EventPage struct {
	Before   int64
	Limit    int
	Action   Action // all where it is empty
	ReaderID int64  // everybody's where it is zero
}

// ListEvents returns a page of the events of a database.
func ListEvents(ctx context.Context, db *gorm.DB, page EventPage) ([]Event, error) {
	query := db.WithContext(ctx)
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	if page.Action != "" {
		query = query.Where("action = ?", page.Action)
	}
	if page.ReaderID > 0 {
		query = query.Where("reader_id = ?", page.ReaderID)
	}
	var events []Event
	err := query.Order("id DESC").Limit(page.Limit).Find(&events).Error
	return events, err
}
