package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"multitenant/database"
)

const (
	// replaceTimeout bounds how long a database is closed to writes before it is replaced.
	replaceTimeout = 8 * time.Second
	// fencePatience is how long transactions may hold out against the locks on the tables
	// before their sessions are ended. Writes queue behind the locks meanwhile.
	fencePatience = 200 * time.Millisecond
	// fenceStatements bound the wait for a lock, for sessions that do not end.
	fenceStatements = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
	// renameStatements bound how long the server waits for the last sessions.
	renameStatements = "SET LOCAL statement_timeout = '3s'"
	// shutEvery is how often Replace looks whether new sessions are kept out.
	shutEvery = 5 * time.Millisecond
)

// Replace locks the tables against writes, carries over, and renames. The lock on the
// tables ends only when the rename, which waits for the last session, keeps all new
// sessions out and the other ones have ended: no write comes in between.
func (s *session) Replace(ctx context.Context, r *database.Replacement) error {
	if err := errors.Join(s.backend.checkTenant(r.Name), s.backend.checkTenant(r.With), s.backend.checkTenant(r.Kept)); err != nil {
		return err
	}
	if err := s.joinRole(ctx, r.Role); err != nil {
		return err
	}
	if err := s.checkGuests(ctx, r.Name); err != nil {
		return err
	}
	if err := s.Leave(ctx, r.With, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	return s.replace(ctx, r)
}

// Reopen does nothing: a database that was not replaced was never closed for good.
func (*session) Reopen(context.Context, string) error { return nil }

// checkGuests fails with ErrInUse if a session has the database open that our role may
// not end, as one of a superuser, or that no role ends: a prepared transaction.
func (s *session) checkGuests(ctx context.Context, name string) error {
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	var guests string
	err := s.conn.QueryRowContext(ctx, `SELECT coalesce(string_agg(guest, ', '), '') FROM (
			SELECT a.usename || ' (process ' || a.pid || ')' AS guest FROM pg_catalog.pg_stat_activity a
			JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid JOIN pg_catalog.pg_roles me ON me.rolname = current_user
			WHERE a.datname = $1 AND NOT me.rolsuper AND (r.rolsuper
				OR NOT pg_catalog.pg_has_role(r.oid, 'USAGE') AND NOT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))
			UNION ALL SELECT 'the prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1
		) guests`, name).Scan(&guests)
	if err == nil && guests != "" {
		err = fmt.Errorf("%w: %s", database.ErrInUse, guests)
	}
	if err != nil {
		return fmt.Errorf("replace database %s: %w", name, err)
	}
	return nil
}

// replace opens the database, for the locks, and renames it over core.
func (s *session) replace(ctx context.Context, r *database.Replacement) error {
	db, err := s.backend.OpenDatabase(ctx, r.Name, nil)
	if err != nil {
		return err
	}
	renaming, cancel := context.WithCancel(ctx)
	defer cancel()
	renamed := make(chan error, 1)
	isRenaming := false
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		own, err := s.lockTables(ctx, r.Name, tx)
		if err != nil {
			return err
		}
		if err := r.Carry(ctx, tx); err != nil {
			return err
		}
		isRenaming = true
		go func() { renamed <- s.backend.renameBoth(renaming, r) }()
		return s.endOthers(ctx, r.Name, own, renamed)
	})
	err = errors.Join(err, database.Close(db))
	if !isRenaming {
		return err
	}
	if err != nil {
		cancel()
	}
	if failed := <-renamed; failed != nil {
		return errors.Join(failed, err)
	}
	return nil
}

// lockTables keeps others from writing to our tables, and returns the id of its own
// process. It locks the table of events last, since a transaction writes to it last. While
// one holds out all the same, it ends all other sessions in the database.
func (s *session) lockTables(ctx context.Context, name string, tx *gorm.DB) (pid int, err error) {
	tables, _, err := listOwn(tx)
	if err == nil {
		err = tx.Raw("SELECT pg_catalog.pg_backend_pid()").Scan(&pid).Error
	}
	if err != nil {
		return 0, err
	}
	slices.Reverse(tables) // they are sorted by name, with audit_events before those of users
	locked := make(chan error, 1)
	go func() {
		locked <- execIn(tx, fenceStatements+"LOCK TABLE "+strings.Join(tables, ", ")+" IN SHARE MODE")
	}()
	for {
		select {
		case err := <-locked:
			return pid, explainLock(err, name)
		case <-time.After(fencePatience):
			if _, failed := s.endSessions(ctx, name, pid); failed != nil {
				return pid, errors.Join(failed, <-locked)
			}
		}
	}
}

// explainLock returns ErrInUse where a session held a lock and did not end.
func explainLock(err error, name string) error {
	if database.HasState(err, "55P03", "40P01") {
		return fmt.Errorf("replace database %s: %w: %w", name, database.ErrInUse, err)
	}
	return err
}

// renameBoth runs Switch and renames both databases, in one transaction of core.
func (b *backend) renameBoth(ctx context.Context, r *database.Replacement) error {
	return b.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := r.Switch(tx, r.Name, r.Kept); err != nil {
			return err
		}
		if err := execIn(tx, renameStatements); err != nil {
			return err
		}
		if err := explainRename(execIn(tx, renameStatement(r.Name, r.Kept)), r.Name, r.Kept); err != nil {
			return err
		}
		if err := explainRename(execIn(tx, renameStatement(r.With, r.Name)), r.With, r.Name); err != nil {
			return err
		}
		if r.Role == "" {
			return nil
		}
		err := execIn(tx, "REVOKE ALL ON DATABASE "+quoteIdentifier(r.Kept)+" FROM "+quoteIdentifier(r.Role))
		if err != nil {
			return fmt.Errorf("close database %s to role %s: %w", r.Kept, r.Role, err)
		}
		return admit(tx, r.Name, r.Role)
	})
}

// endOthers waits until the rename keeps new sessions out of a database, and then until
// those have ended that it has, but for our own. It gives up once the rename has ended.
func (s *session) endOthers(ctx context.Context, name string, own int, renamed chan error) error {
	tick := time.NewTicker(shutEvery)
	defer tick.Stop()
	for {
		isShut, err := s.isShut(ctx, name)
		if err != nil {
			return err
		}
		if isShut {
			if ended, err := s.endSessions(ctx, name, own); err != nil || ended == 0 {
				return err
			}
		}
		select {
		case <-tick.C:
		case failed := <-renamed:
			renamed <- failed
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isShut reports whether the lock of a rename keeps new sessions out of a database.
func (s *session) isShut(ctx context.Context, name string) (shut bool, err error) {
	err = s.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.objid
		WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND l.granted
			AND l.mode = 'AccessExclusiveLock' AND d.datname = $1)`, name).Scan(&shut)
	if err != nil {
		return false, fmt.Errorf("look whether database %s is closed: %w", name, err)
	}
	return shut, nil
}
