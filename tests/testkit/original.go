package testkit

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// Hashes of Password that another implementation of bcrypt than ours has made:
// RealHash at the Python original's cost, which takes long, and CheapHash at another.
const (
	RealHash  = "$2b$12$abcdefghijklmnopqrstuuE3j5FFjC71WyDL2KIK7ShSoj8tPD3m6"
	CheapHash = "$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo."
)

// Original is what an installation of the Python original has left: tables made
// by SQLAlchemy, with what its users have put into them.
type Original struct {
	Settings

	tb       testing.TB
	sessions map[string]*Settings // see Inside
}

// NewOriginal makes the original's core database, under the very name that an
// organization with the slug core has led into. It has no rows.
func NewOriginal(tb testing.TB, engine Engine) *Original {
	tb.Helper()
	o := &Original{Settings: Fresh(tb, engine), tb: tb, sessions: make(map[string]*Settings)}
	name := o.DatabaseName("core")
	if engine == Postgres {
		o.CreateDatabase(tb, name)
	}
	o.Settings = *o.Inside(name)
	o.Exec(tb, name, o.columns("core_users", "")...)
	o.Exec(tb, name, o.typed(`CREATE TABLE organizations (
		id SERIAL NOT NULL, name VARCHAR NOT NULL, slug VARCHAR NOT NULL, description VARCHAR, owner_id INTEGER NOT NULL,
		is_active BOOLEAN, created_at TIMESTAMP WITH TIME ZONE DEFAULT now(), updated_at TIMESTAMP WITH TIME ZONE,
		PRIMARY KEY (id), FOREIGN KEY(owner_id) REFERENCES core_users (id))`),
		"CREATE UNIQUE INDEX ix_organizations_slug ON organizations (slug)",
		"CREATE INDEX ix_organizations_id ON organizations (id)",
		"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
		"INSERT INTO alembic_version VALUES ('3f0c1a2b4d5e')")
	return o
}

// Inside returns settings whose core database is the one of that name. On
// PostgreSQL their session lasts until the end of the test.
func (o *Original) Inside(name string) *Settings {
	o.tb.Helper()
	if o.sessions[name] == nil {
		inside := o.Settings
		address, err := url.Parse(inside.Database.URL)
		require.NoError(o.tb, err)
		address.Path = strings.Replace(address.Path, inside.CoreName(), name, 1)
		inside.Database.URL = address.String()
		if inside.Engine == Postgres {
			inside.coreURL, inside.core = inside.Database.URL, inside.open(o.tb, name)
		}
		o.sessions[name] = &inside
	}
	return o.sessions[name]
}

// CoreUser adds a row to core_users; what follows the hash is SQL.
func (o *Original) CoreUser(id int, email, hash, isActive string) {
	o.tb.Helper()
	o.insert(o.CoreName(), "core_users (id, email, hashed_password, full_name, is_active, created_at)",
		"?, ?, ?, 'Some Body', "+isActive+", '2023-04-05 06:07:08.9+00:00'", id, email, hash)
}

// Organization adds a row to organizations; isActive is SQL.
func (o *Original) Organization(id int, slug string, owner int, isActive string) {
	o.tb.Helper()
	o.insert(o.CoreName(), "organizations (id, name, slug, owner_id, is_active, created_at)",
		"?, 'Old ' || ?, ?, ?, "+isActive+", '2023-04-05 06:07:08.9+00:00'", id, slug, slug, owner)
}

// Tenant makes the database of the organization with that slug; PostgreSQL cuts
// its name short.
func (o *Original) Tenant(slug string) {
	o.tb.Helper()
	name := o.OriginalName(slug)
	if o.Engine == Postgres {
		o.CreateDatabase(o.tb, name)
	}
	o.Inside(name).Exec(o.tb, name, o.columns("tenant_users", ", bio TEXT, phone VARCHAR")...)
}

// TenantUser adds a row to the tenant's users; isActive is SQL.
func (o *Original) TenantUser(slug string, id int, email, hash, isActive string) {
	o.tb.Helper()
	o.insert(o.OriginalName(slug), "tenant_users (id, email, hashed_password, is_active, bio, updated_at)",
		"?, ?, ?, "+isActive+", 'of '||?, NULL", id, email, hash, slug)
}

// OriginalName is the name under which the original reached a database.
func (o *Original) OriginalName(slug string) string {
	name := o.DatabaseName(slug)
	return name[:min(len(name), 63)]
}

// MoveIDs makes the next id of the table the one after last, as where rows have
// been deleted. SQLite's tables, as SQLAlchemy makes them, know no such thing.
func (o *Original) MoveIDs(name, table string, last int) {
	o.tb.Helper()
	if o.Engine == Postgres {
		_, err := o.Inside(name).SQL(o.tb, name).ExecContext(o.tb.Context(),
			"SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", table, last)
		require.NoError(o.tb, err)
	}
}

// Hash is what the original kept of a password, but for the cost.
func Hash(tb testing.TB, password string) string {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(tb, err)
	return strings.Replace(string(hash), "$2a$", "$2b$", 1)
}

func (o *Original) insert(name, into, values string, args ...any) {
	o.tb.Helper()
	// The same question marks for both, numbered for PostgreSQL.
	statement := "INSERT INTO " + into + " VALUES (" + values + ")"
	if o.Engine == Postgres {
		for i := range args {
			kind := "::varchar"
			if _, number := args[i].(int); number {
				kind = "::integer"
			}
			statement = strings.Replace(statement, "?", "$"+string(rune('1'+i))+kind, 1)
		}
	}
	_, err := o.Inside(name).SQL(o.tb, name).ExecContext(o.tb.Context(), statement, args...)
	require.NoError(o.tb, err, statement)
}

func (o *Original) columns(table, more string) []string {
	return []string{
		o.typed(`CREATE TABLE ` + table + ` (
		id SERIAL NOT NULL, email VARCHAR NOT NULL, hashed_password VARCHAR NOT NULL, full_name VARCHAR, is_active BOOLEAN,
		created_at TIMESTAMP WITH TIME ZONE DEFAULT now(), updated_at TIMESTAMP WITH TIME ZONE` + more + `, PRIMARY KEY (id))`),
		"CREATE UNIQUE INDEX ix_" + table + "_email ON " + table + " (email)",
		"CREATE INDEX ix_" + table + "_id ON " + table + " (id)",
	}
}

// typed gives SQLite the types that SQLAlchemy gives it.
func (o *Original) typed(statement string) string {
	if o.Engine == Postgres {
		return statement
	}
	return strings.NewReplacer("SERIAL", "INTEGER", "TIMESTAMP WITH TIME ZONE", "DATETIME", "now()", "CURRENT_TIMESTAMP").
		Replace(statement)
}
