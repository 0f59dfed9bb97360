package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"multitenant/database"
)

const (
	// dropTries bounds how often Drop ends sessions and waits for all others.
	dropTries = 2
	// dropWait is how long the server waits for them.
	dropWait = 5 * time.Second
)

// Drop closes the database to new sessions, ends those that our role may end, and
// waits for the others for as long as the server does, which is 5 seconds. It does
// not use WITH (FORCE): if one session belongs to a superuser, the server then ends
// none and refuses. That also holds for autovacuum, which a plain DROP DATABASE ends.
func (s *session) Drop(ctx context.Context, name, role string) error {
	if err := s.backend.checkTenant(name); err != nil {
		return err
	}
	if err := s.joinRole(ctx, role); err != nil {
		return err
	}
	if err := s.drop(ctx, name); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

func (s *session) drop(ctx context.Context, name string) error {
	open, err := s.isOpen(ctx, name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && open { // the server drops no template
		err = s.exec(ctx, "ALTER DATABASE "+quoteIdentifier(name)+" WITH ALLOW_CONNECTIONS false IS_TEMPLATE false")
	}
	if err != nil {
		return fmt.Errorf("close it: %w", err)
	}
	for range dropTries {
		ended, failed := s.endSessions(ctx, name, 0)
		if failed != nil {
			return failed
		}
		if err != nil && (ended == 0 || !hasTime(ctx)) {
			break // our role may not end those that are left, or they do not obey
		}
		err = s.exec(ctx, "DROP DATABASE IF EXISTS "+quoteIdentifier(name))
		if !database.HasState(err, "55006") {
			return err
		}
	}
	return s.explainUse(ctx, name, err)
}

// LiftLimit lifts the CONNECTION LIMIT of a database. A limit below 0 is none, or that of
// a database whose drop was interrupted.
func (s *session) LiftLimit(ctx context.Context, name string) error {
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	if name == s.backend.config.Database { // opening it as a tenant's is refused, and says why
		return nil
	}
	var isLimited bool
	err := s.conn.QueryRowContext(ctx, `SELECT datconnlimit >= 0 AND pg_catalog.pg_has_role(datdba, 'USAGE')
		FROM pg_catalog.pg_database WHERE datname = $1`, name).Scan(&isLimited)
	if err == nil && isLimited {
		err = s.exec(ctx, "ALTER DATABASE "+quoteIdentifier(name)+" WITH CONNECTION LIMIT -1")
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("lift the limit of database %s: %w", name, err)
	}
	return nil
}

// hasTime reports whether ctx lasts for another wait.
func hasTime(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return !bounded || time.Until(deadline) > dropWait
}

// isOpen reports whether a database admits sessions. The server ends a session that
// alters a database whose drop was interrupted; such a database has the limit -2.
func (s *session) isOpen(ctx context.Context, name string) (open bool, err error) {
	if s.unlocked.Load() {
		return false, database.ErrUnlocked
	}
	err = s.conn.QueryRowContext(ctx, `SELECT datallowconn AND datconnlimit <> -2
		FROM pg_catalog.pg_database WHERE datname = $1`, name).Scan(&open)
	return open, err
}

// endSessions ends the sessions in a database that our role may end, but for that of
// process spared, and counts them.
func (s *session) endSessions(ctx context.Context, name string, spared int) (ended int, err error) {
	err = s.conn.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(a.pid))
		FROM pg_catalog.pg_stat_activity a
		JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
		JOIN pg_catalog.pg_roles me ON me.rolname = current_user
		WHERE a.datname = $1 AND a.pid <> $2 AND (me.rolsuper OR NOT r.rolsuper
			AND (pg_catalog.pg_has_role(r.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))`, name, spared).Scan(&ended)
	if err != nil {
		return 0, fmt.Errorf("end its sessions: %w", err)
	}
	return ended, nil
}

// explainUse names the sessions that use the database. If there are none, the server's
// own detail explains the refusal.
func (s *session) explainUse(ctx context.Context, name string, cause error) error {
	var users string
	err := s.conn.QueryRowContext(ctx, `SELECT coalesce(string_agg(usename || ' (process ' || pid || ')', ', '), '')
		FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND usesysid IS NOT NULL`, name).Scan(&users)
	if err != nil {
		return errors.Join(cause, err)
	}
	if server, ok := errors.AsType[*pgconn.PgError](cause); ok && users == "" {
		users = server.Detail
	}
	return fmt.Errorf("%w: %w: %s", database.ErrInUse, cause, users)
}

// joinRole makes the application's role a member of the role. Since PostgreSQL 16
// only a member may end its sessions, and dropping the database must end them. A role
// that another role has made cannot be joined; the drop then goes on without.
func (s *session) joinRole(ctx context.Context, role string) error {
	if role == "" || !s.backend.makesRoles.Load() {
		return nil
	}
	if err := database.CheckName(role); err != nil {
		return err
	}
	exists, err := roleExists(s.backend.core.WithContext(ctx), role)
	if err != nil || !exists {
		return err
	}
	err = s.exec(ctx, "GRANT "+quoteIdentifier(role)+" TO CURRENT_USER")
	if database.HasState(err, "42501") {
		s.backend.log.WarnContext(ctx, "sessions of the role cannot be ended: another role has made it", "role", role)
		return nil
	}
	if err != nil {
		return fmt.Errorf("join role %s: %w", role, err)
	}
	return nil
}

const (
	// leaveTries and leavePause are for the session of a client that has closed it: the
	// server ends it a moment later. closeTries and closePause are for those of our own role,
	// which are ended then.
	leaveTries = 10
	leavePause = 25 * time.Millisecond
	closeTries = 3
	closePause = time.Millisecond
)

// CountSessions also counts prepared transactions, as sessions of others. It does not count
// the server's own workers: they have no role, and the server ends them for a rename.
func (s *session) CountSessions(ctx context.Context, name string) (own, others int, err error) {
	for try := range leaveTries {
		if err := s.pause(ctx, try, leavePause); err != nil {
			return 0, 0, err
		}
		err := s.conn.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE usename = session_user), count(*) FILTER (WHERE usename <> session_user)
				+ (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = $1)
			FROM pg_catalog.pg_stat_activity WHERE datname = $1`, name).Scan(&own, &others)
		if err != nil {
			return 0, 0, fmt.Errorf("look for sessions in database %s: %w", name, err)
		}
		if others == 0 {
			break
		}
	}
	return own, others, nil
}

// pause waits before each try but the first.
func (s *session) pause(ctx context.Context, try int, length time.Duration) error {
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	if try == 0 {
		return nil
	}
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave does not wait until the processes of the sessions have ended, as Close does and the
// server's function would: the server lists a session no more as soon as a rename need not
// wait for it. Sessions that stay are ended, as any role may end its own.
func (s *session) Leave(ctx context.Context, name string, open *gorm.DB) error {
	if open != nil {
		go func() { _ = database.Close(open) }() // a session that stays is looked for here
	}
	began := time.Now()
	for try := 0; time.Since(began) < database.CloseTimeout; try++ {
		if err := s.pause(ctx, try, closePause); err != nil {
			return fmt.Errorf("leave database %s: %w", name, err)
		}
		var stay int
		err := s.conn.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE NOT $2 OR pg_catalog.pg_terminate_backend(pid) IS NOT NULL)
			FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND usename = session_user`, name, try >= closeTries).Scan(&stay)
		if err != nil {
			return fmt.Errorf("end sessions in database %s: %w", name, err)
		}
		if stay == 0 {
			return nil
		}
	}
	return fmt.Errorf("end sessions in database %s: %w", name, database.ErrInUse)
}
