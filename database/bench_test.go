package database_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

// engineURLs maps each engine to what makes a fresh core database of it.
func engineURLs() map[string]func(*testing.B) string {
	return map[string]func(*testing.B) string{
		"sqlite":   func(b *testing.B) string { b.Helper(); return "sqlite://" + b.TempDir() + "/core.db" },
		"postgres": func(b *testing.B) string { b.Helper(); return pgtest.Database(b) },
	}
}

func begin(b *testing.B, url string) (database.Backend, database.Session) {
	b.Helper()
	backend, err := connect.Open(b.Context(), database.Options{URL: url, MaxConnections: maxConns})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, backend.Close()) })
	session, err := backend.Lock(b.Context(), "k")
	require.NoError(b, err)
	b.Cleanup(session.Unlock)
	return backend, session
}

func BenchmarkCreate(b *testing.B) {
	for engine, freshURL := range engineURLs() {
		b.Run(engine, func(b *testing.B) {
			_, session := begin(b, freshURL(b))
			for b.Loop() {
				require.NoError(b, session.Create(b.Context(), newName()))
			}
		})
	}
}

func BenchmarkOpenQueryClose(b *testing.B) {
	for engine, freshURL := range engineURLs() {
		b.Run(engine, func(b *testing.B) {
			backend, session := begin(b, freshURL(b))
			name := newName()
			require.NoError(b, session.Create(b.Context(), name))
			for b.Loop() {
				db, err := backend.OpenDatabase(b.Context(), name, nil)
				require.NoError(b, err)
				require.NoError(b, database.Close(db))
			}
		})
	}
}

func BenchmarkCloseThenRename(b *testing.B) {
	for engine, freshURL := range engineURLs() {
		b.Run(engine, func(b *testing.B) {
			backend, session := begin(b, freshURL(b))
			name := newName()
			require.NoError(b, session.Create(b.Context(), name))
			for b.Loop() {
				b.StopTimer()
				db, err := backend.OpenDatabase(b.Context(), name, nil)
				require.NoError(b, err)
				b.StartTimer()
				require.NoError(b, database.Close(db))
				next := newName()
				require.NoError(b, rename(b.Context(), session, name, next))
				name = next
			}
		})
	}
}

func BenchmarkLock(b *testing.B) {
	for engine, freshURL := range engineURLs() {
		b.Run(engine, func(b *testing.B) {
			backend, _ := begin(b, freshURL(b))
			for b.Loop() {
				s, err := backend.Lock(b.Context(), "another")
				require.NoError(b, err)
				s.Unlock()
			}
		})
	}
}

func BenchmarkOneRow(b *testing.B) {
	for engine, freshURL := range engineURLs() {
		b.Run(engine, func(b *testing.B) {
			backend, _ := begin(b, freshURL(b))
			db := backend.Core()
			require.NoError(b, db.Exec("CREATE TABLE rows (id integer PRIMARY KEY, name varchar)").Error)
			require.NoError(b, db.Exec("INSERT INTO rows VALUES (1, 'a')").Error)
			for b.Loop() {
				var row struct {
					ID   int
					Name string
				}
				require.NoError(b, db.WithContext(b.Context()).Table("rows").Where("id = ?", 1).Take(&row).Error)
			}
		})
	}
}
