package models

import (
	"context"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// MaxQueryLength bounds what people are looked for by, in characters.
const MaxQueryLength = 100

// PeoplePage is a part of the list of a tenant's people: at most Limit of those
// whose id is greater than After and whose e-mail address or full name has Query
// in it.
type PeoplePage struct {
	After int64
	Limit int
	Query string // empty finds all; capitals A to Z do not matter
}

// ListPeople returns a page of the people of a tenant, in the order of their ids.
func ListPeople(ctx context.Context, db *gorm.DB, page PeoplePage) ([]TenantUser, error) {
	query := gorm.G[TenantUser](db).Where("id > ?", page.After)
	if page.Query != "" {
		// Of the collation C, PostgreSQL lowers what CanonicalEmail does and nothing
		// else, whatever the database's own; SQLite never does more.
		const match = `(lower(email COLLATE "C") LIKE ? ESCAPE '\' OR lower(full_name COLLATE "C") LIKE ? ESCAPE '\')`
		pattern := "%" + escapeLike(CanonicalEmail(page.Query)) + "%"
		query = query.Where(match, pattern, pattern)
	}
	return query.Order("id").Limit(page.Limit).Find(ctx)
}

// escapeLike makes of a text a pattern for LIKE that matches just that text.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// CreatePerson inserts a person on behalf of the actor, who must be there and
// allowed to make one of that role when it happens. The errors: KindRoleRequired,
// KindEmailTaken, and those of an actor who is out, KindUserNotFound and
// KindInvalidToken.
func CreatePerson(ctx context.Context, db *gorm.DB, actorID int64, person *TenantUser) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, actorID, actorID)
		if err != nil {
			return err
		}
		if !c.actor.Role.MayManage(person.Role) {
			return ErrRoleRequired
		}
		return CreateUser(ctx, tx, person)
	})
}

// ChangePerson changes a person on behalf of the actor, and returns them as they
// were and as they are: change is called with them, changes what it wants and
// returns the columns. Whoever is deactivated has no session any more, so that none
// revives with them. The errors: those of CreatePerson, KindUserNotFound also for
// the person, and KindLastOwner.
func ChangePerson(
	ctx context.Context, db *gorm.DB, actorID, id int64, change func(person *TenantUser) (columns []string),
) (before, person TenantUser, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, actorID, id)
		if err != nil {
			return err
		}
		before, person = c.target, c.target
		columns := change(&person)
		if err := c.check(&person); err != nil || len(columns) == 0 {
			return err
		}
		if err := UpdateUser(ctx, tx, &person, columns...); err != nil || person.IsActive {
			return err
		}
		return EndSessions(ctx, tx, id)
	})
	return before, person, err
}

// RemovePerson removes a person, and with them their sessions, on behalf of the
// actor, and returns whom. The errors are those of ChangePerson.
func RemovePerson(ctx context.Context, db *gorm.DB, actorID, id int64) (person TenantUser, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, actorID, id)
		if err != nil {
			return err
		}
		if err := c.check(&TenantUser{}); err != nil {
			return err
		}
		person = c.target
		return tx.Delete(&c.target).Error
	})
	return person, err
}

// circle is whom a change of people depends on, each locked and as they are now:
// who makes it, whom it is about, and how many active owners there are beside.
type circle struct {
	actor, target TenantUser
	otherOwners   int
}

// lockCircle locks all owners too, and everybody in the order of their ids: of
// two who change owners at once, one waits for the other and then sees what has
// become of them, also of those who let it through.
func lockCircle(ctx context.Context, tx *gorm.DB, actorID, targetID int64) (*circle, error) {
	var people []TenantUser
	err := tx.WithContext(ctx).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("role = ? OR id IN ?", RoleOwner, []int64{actorID, targetID}).Order("id").Find(&people).Error
	if err != nil {
		return nil, err
	}
	var c circle
	for i := range people {
		person := &people[i]
		if person.ID == actorID {
			c.actor = *person
		}
		switch {
		case person.ID == targetID:
			c.target = *person
		case person.isActiveOwner():
			c.otherOwners++
		}
	}
	return &c, c.checkThere()
}

// checkThere says that somebody is not there any more, or not to act any more.
func (c *circle) checkThere() error {
	switch {
	case c.actor.ID == 0:
		return ErrUserNotFound
	case !c.actor.IsActive:
		return ErrInvalidToken
	case !c.actor.Role.Manages():
		return ErrRoleRequired
	case c.target.ID == 0:
		return ErrUserNotFound
	}
	return nil
}

// check says whether the actor may make next of the target.
func (c *circle) check(next *TenantUser) error {
	switch {
	case !c.actor.Role.MayManage(c.target.Role) || !c.actor.Role.MayManage(next.Role):
		return ErrRoleRequired
	case c.target.isActiveOwner() && !next.isActiveOwner() && c.otherOwners == 0:
		return Errorf(KindLastOwner, "A tenant must keep an owner")
	}
	return nil
}

func (u *TenantUser) isActiveOwner() bool { return u.IsActive && u.Role == RoleOwner }
