package models

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
)

// ReplacedDatabase is a database that was a tenant's until another took its place. It is
// kept for a while, so that the tenant can have it back.
type ReplacedDatabase struct {
	DatabaseName string `gorm:"primaryKey"`
	TenantID     string
	BackupID     string // what was restored in its place; empty if that was undone
	ReplacedAt   time.Time
}

// ErrNothingReplaced says that no replaced database of a tenant is kept.
var ErrNothingReplaced = errors.New("no database is kept that a restored one has replaced")

// ErrNotReplaceable says that the registry has changed since the tenant's row was read.
var ErrNotReplaceable = errors.New("the tenant was changed meanwhile: try again")

// FindReplaced returns the database of the tenant that was replaced last, or
// ErrNothingReplaced.
func FindReplaced(ctx context.Context, db *gorm.DB, tenantID string) (ReplacedDatabase, error) {
	replaced, err := gorm.G[ReplacedDatabase](db).Where("tenant_id = ?", tenantID).Order("replaced_at DESC").Take(ctx)
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrNothingReplaced
	}
	return replaced, err
}

// ListReplaced returns the replaced databases of all tenants.
func ListReplaced(ctx context.Context, db *gorm.DB) ([]ReplacedDatabase, error) {
	return gorm.G[ReplacedDatabase](db).Order("replaced_at").Find(ctx)
}

// ListReplacedOf returns those of a tenant that were replaced before a time, or all of
// them if it is zero.
func ListReplacedOf(ctx context.Context, db *gorm.DB, tenantID string, before time.Time) ([]ReplacedDatabase, error) {
	query := gorm.G[ReplacedDatabase](db).Where("tenant_id = ?", tenantID)
	if !before.IsZero() {
		query = query.Where("replaced_at < ?", before)
	}
	return query.Find(ctx)
}

// ForgetReplaced removes the row of a replaced database.
func ForgetReplaced(ctx context.Context, db *gorm.DB, name string) error {
	_, err := gorm.G[ReplacedDatabase](db).Where("database_name = ?", name).Delete(ctx)
	return err
}

// Replacement says which database a tenant gets.
type Replacement struct {
	With   string // the name that the registry has for it until then
	Tenant Tenant // the id, and the name and the schema that the database then has
	Kept   ReplacedDatabase
}

// ReplaceDatabase gives a ready or suspended tenant another database, which was being made
// or had been replaced before, keeps the old one and records the event. It returns
// ErrNotReplaceable.
func ReplaceDatabase(ctx context.Context, db *gorm.DB, event *Event, r *Replacement) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		made, err := gorm.G[Tenant](tx).Where("database_name = ? AND status = ?", r.With, TenantMaking).Delete(ctx)
		if err != nil {
			return err
		}
		replaced, err := gorm.G[ReplacedDatabase](tx).Where("database_name = ? AND tenant_id = ?", r.With, r.Tenant.ID).Delete(ctx)
		if err != nil {
			return err
		}
		changed, err := gorm.G[Tenant](tx).Where("id = ? AND status IN ?", r.Tenant.ID, []TenantStatus{TenantReady, TenantSuspended}).
			Select("database_name", "schema_version", "error").Updates(ctx, r.Tenant)
		if err == nil && (made+replaced != 1 || changed != 1) {
			err = ErrNotReplaceable
		}
		if err != nil {
			return err
		}
		r.Kept.TenantID, r.Kept.ReplacedAt = r.Tenant.ID, tx.NowFunc()
		return gorm.G[ReplacedDatabase](tx).Create(ctx, &r.Kept)
	})
}

const (
	carryBatch = 1000
	// carryOverlap is by how many ids an event may be late: its transaction can end after
	// those of events with higher ids.
	carryOverlap = 1000
)

// CarryEvents adds the newer events of one database to another, with their ids. The other
// one has all events that were in both, or in a copy of both, at one time.
func CarryEvents(ctx context.Context, from, to *gorm.DB) error {
	var newest int64
	if err := to.WithContext(ctx).Model(&Event{}).Select("coalesce(max(id), 0)").Scan(&newest).Error; err != nil {
		return err
	}
	span := EventSpan{After: newest - carryOverlap, Limit: carryBatch}
	for {
		events, err := ListEventSpan(ctx, from, span)
		if err != nil || len(events) == 0 {
			return err
		}
		last := events[len(events)-1].ID
		var known []int64
		err = to.WithContext(ctx).Model(&Event{}).Where("id > ? AND id <= ?", span.After, last).Pluck("id", &known).Error
		if err != nil {
			return err
		}
		events = slices.DeleteFunc(events, func(e Event) bool { return slices.Contains(known, e.ID) })
		if err := to.WithContext(ctx).CreateInBatches(events, carryBatch).Error; err != nil {
			return err
		}
		span.After = last
	}
}

// someUsers is how many addresses of users a UserChange names.
const someUsers = 10

// UserChange says which users of a tenant something happens to.
type UserChange struct {
	Count int
	Some  []string // addresses
}

func (c *UserChange) add(email string) {
	c.Count++
	if len(c.Some) < someUsers {
		c.Some = append(c.Some, email)
	}
}

// UserChanges says what becomes of the users of a tenant that gets another database.
type UserChanges struct {
	Return    UserChange // only the other database has them
	Leave     UserChange // the other database does not have them
	Roles     UserChange // they have another role there
	Passwords UserChange // they have another password there
}

// CompareUsers compares the users of a tenant's database with those of another one that is
// to take its place.
func CompareUsers(ctx context.Context, now, then *gorm.DB) (*UserChanges, error) {
	users, err := usersByAddress(ctx, now)
	if err != nil {
		return nil, err
	}
	changes := &UserChanges{}
	err = eachUser(ctx, then, func(other *TenantUser) {
		user, found := users[other.EmailCanonical]
		delete(users, other.EmailCanonical)
		if !found {
			changes.Return.add(other.Email)
			return
		}
		if user.Role != other.Role {
			changes.Roles.add(other.Email)
		}
		if user.HashedPassword != other.HashedPassword {
			changes.Passwords.add(other.Email)
		}
	})
	if err != nil {
		return nil, err
	}
	left := make([]string, 0, len(users))
	for _, user := range users {
		left = append(left, user.Email)
	}
	slices.Sort(left)
	for _, email := range left {
		changes.Leave.add(email)
	}
	return changes, nil
}

func usersByAddress(ctx context.Context, db *gorm.DB) (map[string]TenantUser, error) {
	users := make(map[string]TenantUser)
	err := eachUser(ctx, db, func(user *TenantUser) { users[user.EmailCanonical] = *user })
	return users, err
}

// eachUser reads what CompareUsers compares.
func eachUser(ctx context.Context, db *gorm.DB, do func(*TenantUser)) error {
	var page []TenantUser
	return db.WithContext(ctx).Select("id", "email", "email_canonical", "role", "hashed_password").
		FindInBatches(&page, fleetPage, func(*gorm.DB, int) error {
			for i := range page {
				do(&page[i])
			}
			return nil
		}).Error
}
