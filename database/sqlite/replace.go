package sqlite

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"multitenant/database"
)

// replacedPrefix begins the names of the triggers that refuse writes to a database that
// was replaced.
const replacedPrefix = "replaced_"

// replacedTriggers selects their names.
const replacedTriggers = `SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'replaced\_%' ESCAPE '\'`

// Replace holds the lock on writing to the replaced file while carry works, and gives it
// back together with triggers that refuse writes: a connection that waited for the lock
// could otherwise write to a file that is no longer the tenant's.
func (s *session) Replace(ctx context.Context, r *database.Replacement) error {
	if err := s.check(ctx, r.Name, r.With); err != nil {
		return fmt.Errorf("replace database %s: %w", r.Name, err)
	}
	err := s.backend.shut(ctx, r)
	if err == nil {
		err = s.backend.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return r.Switch(tx, r.With, r.Name) })
	}
	if err != nil {
		return fmt.Errorf("replace database %s: %w", r.Name, err)
	}
	return nil
}

// shut closes the file to writes for good.
func (b *backend) shut(ctx context.Context, r *database.Replacement) error {
	return b.write(ctx, r.Name, func(tx *gorm.DB) error {
		if err := r.Carry(ctx, tx); err != nil {
			return err
		}
		var tables []string
		err := tx.Raw(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`).Scan(&tables).Error
		for _, table := range tables {
			for _, act := range []string{"INSERT", "UPDATE", "DELETE"} {
				err = errors.Join(err, tx.Exec("CREATE TRIGGER "+quoteName(replacedPrefix+act+"_"+table)+" BEFORE "+act+" ON "+quoteName(table)+
					" BEGIN SELECT RAISE(ABORT, '"+database.ErrReplaced.Error()+"'); END").Error)
			}
		}
		return err
	})
}

// Reopen removes the triggers.
func (s *session) Reopen(ctx context.Context, name string) error {
	err := s.check(ctx, name)
	if err == nil {
		err = s.backend.reopen(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("reopen database %s: %w", name, err)
	}
	return nil
}

func (b *backend) reopen(ctx context.Context, name string) error {
	return b.write(ctx, name, func(tx *gorm.DB) error {
		var triggers []string
		err := tx.Raw(replacedTriggers).Scan(&triggers).Error
		for _, trigger := range triggers {
			err = errors.Join(err, tx.Exec("DROP TRIGGER "+quoteName(trigger)).Error)
		}
		return err
	})
}

// write runs do in a transaction that holds the lock on writing to a file from its
// beginning.
func (b *backend) write(ctx context.Context, name string, do func(tx *gorm.DB) error) error {
	db, err := b.OpenDatabase(ctx, name, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.WithContext(ctx).Transaction(do), database.Close(db))
}

// inPlace returns a check that also refuses a database that was replaced.
func inPlace(check database.Check) database.Check {
	return func(ctx context.Context, q database.Querier) error {
		var isReplaced bool
		if err := q.QueryRowContext(ctx, "SELECT EXISTS ("+replacedTriggers+")").Scan(&isReplaced); err != nil {
			return err
		}
		if isReplaced {
			return database.ErrReplaced
		}
		if check == nil {
			return nil
		}
		return check(ctx, q)
	}
}
