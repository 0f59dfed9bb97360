package testkit

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver sqlite
)

// tidyWithin is how soon the registry and the databases must agree, whatever has
// happened.
const tidyWithin = time.Minute

// Rounds is how often tests repeat what is a matter of luck: KILL_ROUNDS, or
// once.
func Rounds(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("KILL_ROUNDS")
	if text == "" {
		return 1
	}
	rounds, err := strconv.Atoi(text)
	require.NoError(tb, err, "KILL_ROUNDS")
	return rounds
}

// DatabaseName returns the name of the database of the tenant with that slug.
func (s *Settings) DatabaseName(slug string) string { return s.Database.TenantPrefix + slug }

// CoreName returns the name of the core database.
func (s *Settings) CoreName() string {
	address, err := url.Parse(s.Database.URL)
	if err != nil {
		return err.Error() // names no database
	}
	return strings.TrimSuffix(filepath.Base(address.Path), ".db")
}

// Folder returns where SQLite's files are.
func (s *Settings) Folder() string {
	return filepath.Dir(strings.TrimPrefix(s.Database.URL, "sqlite://"))
}

// companions are what SQLite keeps beside a file that is open.
func companions() []string { return []string{"-wal", "-shm"} }

// File returns where SQLite keeps the database of that name.
func (s *Settings) File(name string) string { return filepath.Join(s.Folder(), name+".db") }

// SQL opens a database behind the application's back, until the end of the
// test. On SQLite it is made if it is missing.
func (s *Settings) SQL(tb testing.TB, name string) *sql.DB {
	tb.Helper()
	if s.core != nil && s.Database.URL == s.coreURL && name == s.CoreName() {
		return s.core
	}
	db := s.open(tb, name)
	db.SetMaxIdleConns(0) // an idle session would keep others from renaming or dropping it
	return db
}

func (s *Settings) open(tb testing.TB, name string) *sql.DB {
	tb.Helper()
	driver, source := "sqlite", "file:"+s.File(name)+"?_pragma=busy_timeout(5000)"
	if s.Engine == Postgres {
		address, err := url.Parse(s.Database.URL)
		require.NoError(tb, err)
		address.Path = "/" + name
		driver, source = "pgx", address.String()
	} else {
		require.NoError(tb, os.MkdirAll(s.Folder(), 0o700))
	}
	db, err := sql.Open(driver, source)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// Administer runs statements on PostgreSQL as its administrator.
func (s *Settings) Administer(tb testing.TB, statements ...string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	admin, err := pgx.Connect(ctx, s.Admin)
	require.NoError(tb, err)
	defer func() { _ = admin.Close(ctx) }() // it has done what it was for
	for _, statement := range statements {
		_, err := admin.Exec(ctx, statement)
		require.NoError(tb, err, statement)
	}
}

// Exec runs statements on a database behind the application's back.
func (s *Settings) Exec(tb testing.TB, name string, statements ...string) {
	tb.Helper()
	session := s.session(tb, name)
	defer func() { require.NoError(tb, session.Close()) }()
	for _, statement := range statements {
		_, err := session.ExecContext(tb.Context(), statement)
		require.NoError(tb, err, statement)
	}
}

// session opens one session for several statements: on PostgreSQL a session takes
// longer than most of them. The caller closes it.
func (s *Settings) session(tb testing.TB, name string) *sql.Conn {
	tb.Helper()
	session, err := s.SQL(tb, name).Conn(tb.Context())
	require.NoError(tb, err)
	return session
}

// Scalar returns the one value a query asks for.
func Scalar[T any](tb testing.TB, s *Settings, name, query string) T {
	tb.Helper()
	var value T
	require.NoError(tb, s.SQL(tb, name).QueryRowContext(tb.Context(), query).Scan(&value), query)
	return value
}

// CreateDatabase makes an empty database as somebody else would.
func (s *Settings) CreateDatabase(tb testing.TB, name string) {
	tb.Helper()
	if s.Engine == Postgres {
		s.Exec(tb, s.CoreName(), "CREATE DATABASE "+quote(name)+" TEMPLATE template0")
		return
	}
	s.Exec(tb, name, "PRAGMA journal_mode = WAL")
}

// DropDatabase removes a database as somebody else would, whoever uses it.
func (s *Settings) DropDatabase(tb testing.TB, name string) {
	tb.Helper()
	if s.Engine == Postgres {
		s.Administer(tb, "DROP DATABASE "+quote(name)+" WITH (FORCE)")
		return
	}
	require.NoError(tb, os.Remove(s.File(name)))
	for _, companion := range companions() {
		require.NoError(tb, os.RemoveAll(s.File(name)+companion))
	}
}

// RenameDatabase renames a database as somebody else would, whoever uses it.
func (s *Settings) RenameDatabase(tb testing.TB, from, to string) {
	tb.Helper()
	if s.Engine == Postgres {
		admin, err := pgx.Connect(tb.Context(), s.Admin)
		require.NoError(tb, err)
		defer func() { _ = admin.Close(tb.Context()) }() // it has done what it was for
		// Whoever uses it may come back between the two.
		Await(tb, 5*time.Second, func() error {
			_, err := admin.Exec(tb.Context(),
				"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = $1", from)
			if err == nil {
				_, err = admin.Exec(tb.Context(), "ALTER DATABASE "+quote(from)+" RENAME TO "+quote(to))
			}
			return err
		})
		return
	}
	for _, suffix := range append(companions(), "") {
		err := os.Rename(s.File(from)+suffix, s.File(to)+suffix)
		if suffix == "" || !os.IsNotExist(err) {
			require.NoError(tb, err)
		}
	}
}

// Databases returns the names of all databases that are, or could be, tenants'
// of this application, and of any file that lies about.
func (s *Settings) Databases(tb testing.TB) []string {
	tb.Helper()
	names, err := s.databases(tb.Context(), s.SQL(tb, s.CoreName()))
	require.NoError(tb, err)
	return names
}

func (s *Settings) databases(ctx context.Context, core *sql.DB) ([]string, error) {
	if s.Engine == SQLite {
		return s.files()
	}
	return column(ctx, core, "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname",
		s.Database.TenantPrefix)
}

// files returns the names of the databases in the folder; a file that belongs
// to none is returned as it is.
func (s *Settings) files() ([]string, error) {
	entries, err := os.ReadDir(s.Folder())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() == ".locks" {
			continue
		}
		name := entry.Name()
		for _, suffix := range companions() {
			name = strings.TrimSuffix(name, suffix)
		}
		names = append(names, strings.TrimSuffix(name, ".db"))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == s.CoreName() }), nil
}

// RequireTidy waits until the registry and the databases agree: every tenant is
// whole and has its database, every organization has its tenant, and there is
// no other database. Those of others that the test knows of do not count.
func (s *Settings) RequireTidy(tb testing.TB, others ...string) {
	tb.Helper()
	core := s.SQL(tb, s.CoreName())
	Await(tb, tidyWithin, func() error { return s.checkTidy(tb.Context(), core, others) })
}

func (s *Settings) checkTidy(ctx context.Context, core *sql.DB, others []string) error {
	unfinished, err := column(ctx, core, "SELECT database_name || ' is ' || status FROM tenants WHERE status NOT IN ('ready', 'suspended', 'spare')")
	if err != nil {
		return err
	}
	lost, err := column(ctx, core, `SELECT 'organization ' || slug || ' has no tenant' FROM organizations
		WHERE tenant_id IS NULL OR tenant_id NOT IN (SELECT id FROM tenants)`)
	if err != nil {
		return err
	}
	registered, err := column(ctx, core, "SELECT database_name FROM tenants UNION SELECT database_name FROM replaced_databases")
	if err != nil {
		return err
	}
	found, err := s.databases(ctx, core)
	if err != nil {
		return err
	}
	if s.Engine == Postgres {
		roles, err := column(ctx, core, `SELECT rolname || ' lives on' FROM pg_roles
			WHERE starts_with(rolname, $1) AND rolname NOT IN (SELECT role FROM tenants)`, s.Database.TenantPrefix)
		if err != nil {
			return err
		}
		unfinished = append(unfinished, roles...)
	}
	found = slices.DeleteFunc(found, func(name string) bool { return slices.Contains(others, name) })
	slices.Sort(registered)
	slices.Sort(found)
	if len(unfinished)+len(lost) > 0 || !slices.Equal(registered, found) {
		return fmt.Errorf("%q %q: registered are %q, there are %q", unfinished, lost, registered, found)
	}
	return nil
}

// querier is *sql.DB or *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func column(ctx context.Context, db querier, query string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	var values []string
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, rows.Err()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
