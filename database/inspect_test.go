package database_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
)

func TestListNamesWhatThereIs(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine, url string) {
		b := open(t, url)
		name := makeDatabase(t, b, lock(t, b, "k"))
		want := database.Inventory{Databases: []string{name}}
		if engine == "sqlite" {
			for _, file := range []string{name + "gone.db-wal", name + "gone.db.bak", name + ".db-shm", "other.db-wal"} {
				require.NoError(t, os.WriteFile(filepath.Join(folderOf(url), file), nil, 0o600))
			}
			want.Files = []string{name + "gone.db-wal"}
		}

		found, err := b.List(t.Context(), name[:len(name)-1])

		require.NoError(t, err)
		require.Equal(t, want, found)
		found, err = b.List(t.Context(), "core") // is no tenant's, however it is called
		require.NoError(t, err)
		if engine == "sqlite" {
			require.Empty(t, found.Databases)
		}
	})
}

func TestSize(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		name := makeDatabase(t, b, lock(t, b, "k"))
		db := openDatabase(t, b, name, nil)
		require.NoError(t, db.Exec("CREATE TABLE "+database.Qualified(db, "big")+" (content text)").Error)
		before, err := b.Size(t.Context(), name)
		require.NoError(t, err)
		require.NoError(t, db.Exec("INSERT INTO "+database.Qualified(db, "big")+" VALUES (?)", rand.Text()+strings.Repeat(rand.Text(), 40_000)).Error)

		after, err := b.Size(t.Context(), name)

		require.NoError(t, err)
		require.Greater(t, after, before)
		_, err = b.Size(t.Context(), name+"_gone")
		require.ErrorIs(t, err, database.ErrNotExist)
	})
}
