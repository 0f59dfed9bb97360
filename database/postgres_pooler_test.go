package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

// served is a database that is made for a role, and opened through a pooler.
type served struct {
	backend database.Backend
	pooler  *pgtest.Pooler
	name    string
}

// make makes the database with a mark and opens it to the role.
func (s *served) make(t *testing.T, role, text string) database.Login {
	t.Helper()
	login := database.Login{Role: role, Password: "s3cret of " + role}
	require.NoError(t, s.backend.Roles().Create(s.backend.Core().WithContext(t.Context()), login))
	require.NoError(t, s.pooler.Admit(t.Context()))
	session := lock(t, s.backend, s.name)
	defer session.Unlock()
	require.NoError(t, session.Create(t.Context(), s.name))
	mark(t, s.backend, s.name, text)
	require.NoError(t, s.backend.Roles().Admit(t.Context(), s.name, role))
	db, err := s.backend.OpenDatabase(t.Context(), s.name, nil)
	require.NoError(t, err)
	require.NoError(t, s.backend.Roles().GrantTables(db.WithContext(t.Context()), role, database.Guarded{}))
	require.NoError(t, database.Close(db))
	return login
}

// drop drops the database and the role.
func (s *served) drop(t *testing.T, role string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	session, err := s.backend.Lock(ctx, s.name)
	require.NoError(t, err)
	defer session.Unlock()
	require.NoError(t, session.Drop(ctx, s.name, role))
	require.NoError(t, s.backend.Roles().Drop(s.backend.Core().WithContext(ctx), role))
}

// TestPostgresPoolerAndTheNextDatabase: a connection through a pooler outlives
// the database. What it leads into next must not be another of the same name, that
// nobody checked.
func TestPostgresPoolerAndTheNextDatabase(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	prefix := newName()
	pooler := pgtest.StartPooler(t, pgtest.Server(t), prefix)
	b, err := connect.Open(t.Context(), database.Options{URL: raw, MaxConnections: maxConns, TenantURL: pooler.URL()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	s := &served{backend: b, pooler: pooler, name: newName()}
	first, second := prefix+"_role_1", prefix+"_role_2"
	login := s.make(t, first, "first")
	stamped := func(text string) database.Check {
		return func(ctx context.Context, q database.Querier) error {
			var found string
			err := q.QueryRowContext(ctx, "SELECT text FROM marks").Scan(&found)
			if err == nil && found != text {
				return database.ErrForeign
			}
			return err
		}
	}
	old := must(b.OpenTenant(t.Context(), s.name, login, stamped("first")))(t)
	ours := must(b.OpenTenant(t.Context(), s.name, database.Login{}, stamped("first")))(t)
	require.Equal(t, "first", readMark(t, old))
	require.Equal(t, "first", readMark(t, ours))
	dials := b.Stats().Dials

	s.drop(t, first)
	login = s.make(t, second, "second")
	t.Cleanup(func() { s.drop(t, second) })
	fresh := must(b.OpenTenant(t.Context(), s.name, login, stamped("second")))(t)
	require.Equal(t, "second", readMark(t, fresh))

	requireLost(t, old)
	requireLost(t, ours)
	require.Equal(t, "second", readMark(t, fresh))
	require.Greater(t, b.Stats().Dials, dials)
}

// requireLost requires that a handle leads nowhere any more.
func requireLost(t *testing.T, db *gorm.DB) {
	t.Helper()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		var text string
		err := db.WithContext(ctx).Raw("SELECT text FROM marks").Scan(&text).Error
		cancel()
		require.Error(t, err, "it leads to %q", text)
		require.Empty(t, text)
		require.True(t, database.IsUnavailable(err), "%v", err)
	}
}
