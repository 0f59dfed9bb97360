package testkit

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Copy is a tenant that was made by copying another, at a fraction of the cost of
// making one. Its only difference from others is whose it is.
type Copy struct {
	ID    string
	Slug  string
	Email string
}

// CopyTenant makes n tenants of one that has a single user with that address. No
// application may be running. On PostgreSQL they have no role.
func (s *Settings) CopyTenant(tb testing.TB, slug, email string, n int) []Copy {
	tb.Helper()
	id := Scalar[string](tb, s, s.CoreName(), "SELECT id FROM tenants WHERE slug = '"+slug+"'")
	copies := make([]Copy, n)
	for i := range copies {
		number := fmt.Sprintf("%05d", i)
		copies[i] = Copy{ID: uuid.NewString(), Slug: slug + "-" + number, Email: number + email[len(number):]}
	}
	if s.Engine == Postgres {
		s.copyDatabases(tb, slug, copies)
	} else {
		s.copyFiles(tb, slug, map[string]func(*Copy) string{
			id:    func(c *Copy) string { return c.ID },
			email: func(c *Copy) string { return c.Email },
		}, copies)
	}
	rows := make([]string, n)
	for i, c := range copies {
		rows[i] = fmt.Sprintf("('%s', '%s', '%s')", c.ID, c.Slug, s.DatabaseName(c.Slug))
	}
	key := map[Engine]string{SQLite: "column1", Postgres: "column1::uuid"}[s.Engine]
	s.Exec(tb, s.CoreName(), `INSERT INTO tenants (id, slug, database_name, role, status, schema_version, error, created_at, updated_at)
		SELECT `+key+`, column2, column3, '', status, schema_version, error, created_at, updated_at
		FROM tenants CROSS JOIN (VALUES `+strings.Join(rows, ", ")+") AS copies WHERE slug = '"+slug+"'")
	return copies
}

// copyFiles puts what is a copy's own in the place of what is the original's: it
// is as long.
func (s *Settings) copyFiles(tb testing.TB, slug string, own map[string]func(*Copy) string, copies []Copy) {
	tb.Helper()
	original, err := os.ReadFile(s.File(s.DatabaseName(slug)))
	require.NoError(tb, err)
	for i := range copies {
		content := original
		for old, of := range own {
			require.Contains(tb, string(content), old)
			content = bytes.ReplaceAll(content, []byte(old), []byte(of(&copies[i])))
		}
		require.Len(tb, content, len(original))
		require.NoError(tb, os.WriteFile(s.File(s.DatabaseName(copies[i].Slug)), content, 0o600)) //nolint:gosec // a name of the test's own
	}
}

func (s *Settings) copyDatabases(tb testing.TB, slug string, copies []Copy) {
	tb.Helper()
	core := s.SQL(tb, s.CoreName())
	for _, c := range copies {
		name := s.DatabaseName(c.Slug)
		for _, statement := range []string{
			"CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(s.DatabaseName(slug)),
			"REVOKE ALL ON DATABASE " + quote(name) + " FROM PUBLIC",
		} {
			_, err := core.ExecContext(tb.Context(), statement)
			require.NoError(tb, err, statement)
		}
		s.Exec(tb, name, "UPDATE tenant_stamp SET tenant_id = '"+c.ID+"'",
			"UPDATE tenant_users SET email = '"+c.Email+"', email_canonical = '"+c.Email+"'")
	}
}
