package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
)

// The trials of SQLite go red on a connection that is not confined, and leave
// nothing behind then.
func TestSQLiteTrialsFindAnUnconfinedConnection(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	b := open(t, url)
	s := lock(t, b, "k")
	crossing := &database.Crossing{
		From:   database.Place{Name: makeDatabase(t, b, s)},
		Others: []database.Place{{Kind: "other_tenant", Label: "another", Name: makeDatabase(t, b, s)}},
	}
	results := func(trials []database.Trial, err error) map[string]database.Result {
		require.NoError(t, err)
		named := make(map[string]database.Result)
		for _, trial := range trials {
			named[trial.Name] = trial.Result
		}
		return named
	}
	files, err := os.ReadDir(folderOf(url))
	require.NoError(t, err)

	require.Equal(t, map[string]database.Result{
		"attach_other_tenant": database.ResultFail, "attach_core": database.ResultFail, "vacuum_into": database.ResultFail,
		"load_extension": database.ResultPass, // that is the driver's refusal
	}, results(database.CrossUnconfined(t.Context(), b, crossing)))
	require.Equal(t, map[string]database.Result{
		"attach_other_tenant": database.ResultPass, "attach_core": database.ResultPass, "vacuum_into": database.ResultPass,
		"load_extension": database.ResultPass, "read_files": database.ResultPass,
	}, results(b.Cross(t.Context(), crossing)))

	left, err := os.ReadDir(folderOf(url))
	require.NoError(t, err)
	require.Len(t, left, len(files))
}

func TestListNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	for engine, freshURL := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url := freshURL(t)
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
}
