package tests_test

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// backsUpWholeOrNotAtAll kills a run in the middle of a tenant: what it has written of
// that tenant counts for nothing, and the next run works.
func backsUpWholeOrNotAtAll(t *testing.T, binary string) {
	t.Helper()
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			settings := testkit.Fresh(t, engine)
			folder := keepBackups(t, &settings, nil)
			settings.Command(t, "migrate").RequireCode(t, 0)
			settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
			fill(t, &settings, settings.DatabaseName("acme"))
			command := startProgram(t, binary, &settings, "backup", "run")
			awaitPart(t, folder)
			require.NoError(t, command.Process.Kill())
			_ = command.Wait() // it was killed

			require.NotContains(t, listBackups(t, &settings), "acme")
			settings.Command(t, "backup", "verify").RequireCode(t, 0)
			settings.Command(t, "backup", "run").RequireCode(t, 0)
			require.Contains(t, listBackups(t, &settings), "acme")
			settings.Command(t, "backup", "verify").RequireCode(t, 0)
			settings.RequireTidy(t)
		})
	}
}

// restoresWholeOrNotAtAll kills a restoration, a proof and a clone in the middle of
// loading: a server removes what is left of it.
func restoresWholeOrNotAtAll(t *testing.T, binary string) {
	t.Helper()
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			settings := testkit.Fresh(t, engine)
			keepBackups(t, &settings, nil)
			settings.Command(t, "migrate").RequireCode(t, 0)
			settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
			fill(t, &settings, settings.DatabaseName("acme"))
			settings.Command(t, "backup", "run").RequireCode(t, 0)
			for _, arguments := range [][]string{
				{"tenants", "restore", "acme", "--as", "acme-2", "--yes"},
				{"backup", "verify", "--level", "3"},
				{"tenants", "clone", "acme", "acme-2", "--yes"},
			} {
				command := startProgram(t, binary, &settings, arguments...)
				testkit.Await(t, 60*time.Second, func() error {
					if len(settings.Databases(t)) < 2 {
						return errors.New("nothing is being made")
					}
					return nil
				})
				require.NoError(t, command.Process.Kill())
				_ = command.Wait() // it was killed
			}
			app := testkit.Start(t, settings)
			settings.RequireTidy(t)
			require.Len(t, settings.Databases(t), 1)
			app.Close()

			settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 0)
			settings.Command(t, "tenants", "clone", "acme", "acme-3", "--yes").RequireCode(t, 0)
			const users = "SELECT id, email, full_name FROM tenant_users ORDER BY id"
			for _, made := range []string{"acme-2", "acme-3"} {
				require.Equal(t, settings.Query(t, settings.DatabaseName("acme"), users), settings.Query(t, settings.DatabaseName(made), users))
			}
			settings.RequireTidy(t)
		})
	}
}

// comesBackWholeOrNotAtAll kills the restoration of a fleet while a tenant is loaded: the
// next one makes that tenant again.
func comesBackWholeOrNotAtAll(t *testing.T, binary string) {
	t.Helper()
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			settings := testkit.Fresh(t, engine)
			keepBackups(t, &settings, nil)
			settings.Command(t, "migrate").RequireCode(t, 0)
			settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
			fill(t, &settings, settings.DatabaseName("acme"))
			settings.Command(t, "backup", "run").RequireCode(t, 0)
			const users = "SELECT id, email, full_name FROM tenant_users ORDER BY id"
			before := settings.Query(t, settings.DatabaseName("acme"), users)
			place := loseAll(t, &settings)
			command := startProgram(t, binary, &place, "backup", "restore-fleet", "--yes")
			testkit.Await(t, 60*time.Second, func() error {
				if !slices.ContainsFunc(place.Databases(t), func(name string) bool { return !strings.HasPrefix(name, ".") }) {
					return errors.New("nothing is being made")
				}
				return nil
			})
			require.NoError(t, command.Process.Kill())
			_ = command.Wait() // it was killed

			require.NotContains(t, place.Databases(t), place.DatabaseName("acme"))
			place.Command(t, "backup", "restore-fleet", "--yes").RequireCode(t, 0)
			require.Equal(t, before, place.Query(t, place.DatabaseName("acme"), users))
			place.Command(t, "tenants", "doctor").RequireCode(t, 0)
			place.RequireTidy(t)
		})
	}
}

// startProgram starts a command of the program, which the caller waits for.
func startProgram(t *testing.T, binary string, settings *testkit.Settings, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, arguments...)
	command.Dir = t.TempDir()
	for name, value := range settings.Environ() {
		command.Env = append(command.Env, name+"="+value)
	}
	require.NoError(t, command.Start())
	return command
}

// fill gives a tenant rows that take a while to copy.
func fill(t *testing.T, settings *testkit.Settings, name string) {
	t.Helper()
	random, series := "hex(randomblob(1500))", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT"
	if settings.Engine == testkit.Postgres {
		random = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 90) WHERE n.i > 0)"
	}
	settings.Exec(t, name, "INSERT INTO tenant_users (email, email_canonical, hashed_password, full_name, is_active, role, created_at) "+
		series+" 'user-' || i || '@example.com', 'user-' || i || '@example.com', '', "+random+", true, 'member', '2026-01-01 00:00:00' FROM n")
}

// awaitPart waits until a tenant's archive is being written, after core's.
func awaitPart(t *testing.T, folder string) {
	t.Helper()
	testkit.Await(t, 60*time.Second, func() error {
		found := errors.New("no tenant is being backed up")
		_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error { // it changes meanwhile
			if err == nil && strings.HasSuffix(path, ".part") && filepath.Base(filepath.Dir(path)) != "core" {
				found = nil
			}
			return nil
		})
		return found
	})
}
