package sqlite_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/sqlite"
)

// The trials of SQLite go red on a connection that is not confined, and leave
// nothing behind then.
func TestSQLiteTrialsFindAnUnconfinedConnection(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	b, err := sqlite.Open(t.Context(), database.Options{URL: "sqlite://" + filepath.Join(folder, "core.db"), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	s, err := b.Lock(t.Context(), "k")
	require.NoError(t, err)
	t.Cleanup(s.Unlock)
	for _, name := range []string{"t_one", "t_two"} {
		require.NoError(t, s.Create(t.Context(), name))
	}
	crossing := &database.Crossing{
		From:   database.Place{Name: "t_one"},
		Others: []database.Place{{Kind: "other_tenant", Label: "another", Name: "t_two"}},
	}
	results := func(trials []database.Trial, err error) map[string]database.Result {
		require.NoError(t, err)
		named := make(map[string]database.Result)
		for _, trial := range trials {
			named[trial.Name] = trial.Result
		}
		return named
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)

	require.Equal(t, map[string]database.Result{
		"attach_other_tenant": database.ResultFail, "attach_core": database.ResultFail, "vacuum_into": database.ResultFail,
		"load_extension": database.ResultPass, // that is the driver's refusal
	}, results(sqlite.CrossUnconfined(t.Context(), b, crossing)))
	require.Equal(t, map[string]database.Result{
		"attach_other_tenant": database.ResultPass, "attach_core": database.ResultPass, "vacuum_into": database.ResultPass,
		"load_extension": database.ResultPass, "read_files": database.ResultPass,
	}, results(b.Cross(t.Context(), crossing)))

	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, len(files))
}
