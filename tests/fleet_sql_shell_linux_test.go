package tests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

func TestSQLShell(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		settings := &app.Settings
		requirePrograms(t, inEngine(settings, "psql", "sqlite3"))
		owner := fleetOf(app, "acme", "globex")
		shell := func(flags, arguments []string) testkit.Outcome {
			return settings.Command(t, append(append(append([]string{"tenants", "sql"}, flags...), "acme", "--"), arguments...)...)
		}
		statement := func(text string) []string {
			if settings.Engine == testkit.Postgres {
				return []string{"-X", "-At", "-c", text}
			}
			return []string{text}
		}
		write := []string{"--write"}

		require.Equal(t, "1\n", shell(nil, statement("SELECT count(*) FROM tenant_users")).RequireCode(t, 0).Stdout)
		refused := shell(nil, statement("DELETE FROM tenant_users"))
		require.NotZero(t, refused.Code)
		require.Regexp(t, "read-only transaction|readonly database", refused.Stderr)
		require.NotContains(t, app.Get("/api/audit/", owner).Raw, "organization.sql_run")
		shell(write, statement("UPDATE tenant_users SET full_name = 'Ada L.'")).RequireCode(t, 0)
		require.Equal(t, "Ada L.\n", shell(nil, statement("SELECT full_name FROM tenant_users")).Stdout)
		require.Contains(t, app.Get("/api/audit/?action=organization.sql_run", owner).Raw, `"detail":"shell"`)

		read := settings.CommandReading(t, "SELECT 'from stdin';\n", "tenants", "sql", "acme")
		require.Contains(t, read.RequireCode(t, 0).Stdout, "from stdin")
		require.Contains(t, settings.Command(t, "tenants", "sql", "nobody").RequireCode(t, 1).Stderr, `tenant "nobody": Tenant not found`)
		if settings.Engine == testkit.Postgres {
			trySQLShellOfPostgres(t, settings, shell)
		} else {
			trySQLShellOfSQLite(t, settings, shell)
		}
	})
}

func trySQLShellOfPostgres(t *testing.T, settings *testkit.Settings, shell func(flags, arguments []string) testkit.Outcome) {
	t.Helper()
	role := testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT role FROM tenants WHERE slug = 'acme'")
	require.Equal(t, role+"\n", shell(nil, []string{"-X", "-At", "-c", "SELECT current_user"}).RequireCode(t, 0).Stdout)
	// What other users of the machine can see has no password, and the settings do not reach it.
	seen := shell(nil, []string{"-X", "-c", `\! tr '\000' ' ' </proc/$PPID/cmdline; echo; env`}).RequireCode(t, 0).Stdout
	line, environment, _ := strings.Cut(seen, "\n")
	require.Regexp(t, `psql -X -c`, line)
	password := password(t, environment)
	require.NotContains(t, line, password)
	for name := range settings.Environ() {
		require.NotContains(t, environment, "\n"+name+"=")
	}
	require.NotContains(t, environment, testkit.Secret)

	outside := shell([]string{"--write"}, []string{"-X", "-c", `\c ` + settings.DatabaseName("globex")})
	require.NotZero(t, outside.Code)
	require.Contains(t, outside.Stderr, "permission denied for database")
	script := filepath.Join(t.TempDir(), "script.sql")
	require.NoError(t, os.WriteFile(script, []byte("SELECT 1/0;"), 0o600))
	require.Equal(t, 3, shell(nil, []string{"-X", "-v", "ON_ERROR_STOP=1", "-f", script}).Code, "psql's own code for a script that failed")
	require.Equal(t, 2, shell(nil, []string{"-X", "-d", "postgresql://127.0.0.1:1/x"}).Code, "psql's own code for no connection")
}

func password(t *testing.T, environment string) string {
	t.Helper()
	for line := range strings.Lines(environment) {
		if text, found := strings.CutPrefix(line, "PGPASSWORD="); found {
			return strings.TrimSpace(text)
		}
	}
	t.Fatal("there is no password")
	return ""
}

func trySQLShellOfSQLite(t *testing.T, settings *testkit.Settings, shell func(flags, arguments []string) testkit.Outcome) {
	t.Helper()
	file := filepath.Join(settings.Folder(), "own.txt")
	for _, text := range []string{
		"ATTACH '" + settings.File(settings.DatabaseName("globex")) + "' AS other", ".open " + settings.File(settings.CoreName()),
		".shell touch " + file, ".output " + file, ".load x", "SELECT writefile('" + file + "', 'x')", "SELECT readfile('/etc/passwd')",
		"VACUUM INTO '" + file + "'",
	} {
		refused := shell([]string{"--write"}, []string{text})
		require.NotZero(t, refused.Code, text)
		require.Empty(t, refused.Stdout, text)
	}
	require.NoFileExists(t, file)
	require.Equal(t, "1\n", shell(nil, []string{"PRAGMA foreign_keys"}).RequireCode(t, 0).Stdout)
}
