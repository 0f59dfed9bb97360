package models

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// Operator is the actor of commands.
const Operator = "operator"

// Outcome says how an action ended.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeRefused Outcome = "refused"
)

// TargetKind names the kind of target of an event.
type TargetKind string

// The kinds of targets.
const (
	TargetUser         TargetKind = "user"
	TargetSession      TargetKind = "session"
	TargetInvitation   TargetKind = "invitation"
	TargetOrganization TargetKind = "organization"
	TargetTenant       TargetKind = "tenant" // one that belongs to no organization
)

// Event is a line of the audit trail: the actor, the action, the time and the origin.
// It is kept in the database that it is about, and is never changed; PruneEvents alone
// removes old ones. It holds no secret, and no text that an unknown caller typed.
type Event struct {
	ID      int64 `gorm:"primaryKey"`
	At      time.Time
	Action  Action
	Outcome Outcome

	ActorID *int64 // nil for an unknown actor, and for the operator
	Actor   string // the address of the actor at the time, or Operator; empty for an unknown actor
	// ReaderID is the core user who may read it at the core: the actor, or the owner
	// of the organization. In a tenant all owners and admins may read it.
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

// NewOperatorEvent returns the event of a command.
func NewOperatorEvent(action Action) *Event {
	return &Event{Action: action, Outcome: OutcomeSuccess, Actor: Operator}
}

// By names the actor, who may read the event.
func (e *Event) By(account *Account) *Event {
	id := account.ID
	e.ActorID, e.Actor, e.ReaderID = &id, account.Email, &id
	return e
}

// About names the target.
func (e *Event) About(kind TargetKind, id int64, name string) *Event {
	e.TargetKind, e.TargetID, e.TargetName = kind, &id, name
	return e
}

// AboutOrganization names the organization that is the target. Its owner may read the
// event.
func (e *Event) AboutOrganization(org *Organization) *Event {
	owner := org.OwnerID
	e.ReaderID = &owner
	return e.About(TargetOrganization, org.ID, string(org.Slug))
}

// AboutTenant names a tenant without an organization that is the target.
func (e *Event) AboutTenant(slug Slug) *Event {
	e.TargetKind, e.TargetName = TargetTenant, string(slug)
	return e
}

// InCore returns the event of a user of a tenant as core keeps it: with the address of the
// actor, but without ids, which core users have too. No core user may read it.
func (e *Event) InCore() *Event {
	inCore := *e
	inCore.ActorID, inCore.ReaderID = nil, nil
	return &inCore
}

// Refused says that the action was refused; detail is a short code for the reason.
func (e *Event) Refused(detail string) *Event {
	e.Outcome, e.Detail = OutcomeRefused, detail
	return e
}

// actorID is the id of the user who acts; 0, which no user has, for the operator.
func (e *Event) actorID() int64 {
	if e.ActorID == nil {
		return 0
	}
	return *e.ActorID
}

// recorded runs change and records the event in one transaction, which may be part of
// another. change may complete the event.
func recorded(ctx context.Context, db *gorm.DB, event *Event, change func(tx *gorm.DB) error) error {
	// A transaction inside change is this one, and costs no savepoint.
	one := db.Session(&gorm.Session{Context: ctx, DisableNestedTransaction: true})
	return one.Transaction(func(tx *gorm.DB) error {
		if err := change(tx); err != nil {
			return err
		}
		return Record(ctx, tx, event)
	})
}

// Record records an event by itself, such as a refusal, which changes no data. A
// function of this package that changes data takes its event and records it.
func Record(ctx context.Context, db *gorm.DB, event *Event) error {
	event.ID = 0 // a second attempt is recorded again
	event.At = db.NowFunc()
	if err := gorm.G[Event](db).Create(ctx, event); err != nil {
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
	ReaderID int64  // all where it is zero
	// ByID is the user who did it, and AboutID the user who is its target: events of either,
	// or all where ByID is zero. Of long trails the newest part is searched.
	ByID, AboutID int64
	Since         time.Time // with ByID: an earlier user may have had the id
}

// searchedEvents bounds how many events are searched for those of one user, who has no
// index.
const searchedEvents = 100_000

// ListEvents returns a page of the events of a database.
func ListEvents(ctx context.Context, db *gorm.DB, page EventPage) ([]Event, error) {
	query := gorm.G[Event](db).Order("id DESC").Limit(page.Limit)
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	if page.Action != "" {
		query = query.Where("action = ?", page.Action)
	}
	if page.ReaderID > 0 {
		query = query.Where("reader_id = ?", page.ReaderID)
	}
	if page.ByID > 0 {
		query = query.Where("(actor_id = ? OR target_kind = ? AND target_id = ?)", page.ByID, TargetUser, page.AboutID).
			Where("at >= ? AND id > (?)", page.Since.UTC(), db.Model(&Event{}).Select("coalesce(max(id), 0) - ?", searchedEvents))
	}
	return query.Find(ctx)
}

// EventSpan is a part of the events of a database: at most Limit of them, in the order
// of their ids, which are greater than After.
type EventSpan struct {
	After int64
	Limit int
	Since time.Time // at this time or later, where it is not zero
	Until time.Time // before this time, where it is not zero
}

// ListEventSpan returns a part of the events of a database.
func ListEventSpan(ctx context.Context, db *gorm.DB, span EventSpan) ([]Event, error) {
	query := gorm.G[Event](db).Where("id > ?", span.After)
	if !span.Since.IsZero() {
		query = query.Where("at >= ?", span.Since.UTC())
	}
	if !span.Until.IsZero() {
		query = query.Where("at < ?", span.Until.UTC())
	}
	return query.Order("id").Limit(span.Limit).Find(ctx)
}

// Pruning says which events are removed: of the Limit oldest, those from before a time.
// Table is the name of the audit trail with its schema, because in a tenant's database
// the application's role searches no schema where the tenant's role could make tables.
type Pruning struct {
	Table  string
	Before time.Time
	Limit  int
}

// old is the query for these events. It reads the lowest ids, which are the oldest
// events, because times have no index.
func (p Pruning) old(columns string) string {
	return "SELECT " + columns + " FROM (SELECT id, at FROM " + p.Table + " ORDER BY id LIMIT ?) oldest WHERE at < ?"
}

// CountPrunable returns how many events PruneEvents would remove.
func CountPrunable(ctx context.Context, db *gorm.DB, p Pruning) (count int, err error) {
	err = db.WithContext(ctx).Raw(p.old("count(*)"), p.Limit, p.Before).Scan(&count).Error
	return count, err
}

// PruneEvents removes events and records how many. The caller must have lifted the
// guard of the audit trail in the transaction tx.
func PruneEvents(tx *gorm.DB, p Pruning) error {
	removed := tx.Exec("DELETE FROM "+p.Table+" WHERE id IN ("+p.old("id")+")", p.Limit, p.Before)
	if removed.Error != nil {
		return removed.Error
	}
	event := NewOperatorEvent(ActionAuditPruned)
	event.At, event.Detail = tx.NowFunc(), strconv.FormatInt(removed.RowsAffected, 10)
	if err := tx.Table(p.Table).Create(event).Error; err != nil {
		return fmt.Errorf("record %s: %w", event.Action, err)
	}
	return nil
}
