package tests_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/tests/testkit"
)

// decodeLoosely is testkit.Decode for those who look at some fields only.
func decodeLoosely[T any](t *testing.T, outcome testkit.Outcome) T {
	t.Helper()
	outcome.RequireCode(t, 0)
	var value T
	require.NoError(t, json.Unmarshal([]byte(outcome.Stdout), &value), outcome.Stdout)
	return value
}

// requireOneError requires that a command has written an error in one line, besides its log,
// and perhaps a hint in another.
func requireOneError(t *testing.T, outcome testkit.Outcome) {
	t.Helper()
	said := regexp.MustCompile(`(?m)^time=.* level=.*\n`).ReplaceAllString(outcome.Stderr, "")
	require.Regexp(t, `^error: .+\n(hint: .+\n)?$`, said)
}

type organizationJSON struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	OwnerID    int64  `json:"owner_id"`
	OwnerEmail string `json:"owner_email"`
}

type tenantJSON struct {
	ID            string            `json:"id"`
	Slug          *string           `json:"slug"`
	DatabaseName  string            `json:"database_name"`
	Status        string            `json:"status"`
	SchemaVersion string            `json:"schema_version"`
	Error         string            `json:"error"`
	BackupDue     bool              `json:"backup_due"`
	CreatedAt     string            `json:"created_at"`
	UpdatedAt     string            `json:"updated_at"`
	OwnerEmail    *string           `json:"owner_email"`
	AgeSeconds    int64             `json:"age_seconds"`
	SizeBytes     *int64            `json:"size_bytes"`
	Server        string            `json:"server"`
	Organization  *organizationJSON `json:"organization"`
	Backups       *struct{}         `json:"backups"`
}

func TestTenantsAreListedAndShown(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		require.Equal(t, "[]\n", app.Settings.Command(t, "tenants", "list", "--json").RequireCode(t, 0).Stdout)
		fleetOf(app, "acme")
		app.Token("globex", "grace@example.com")

		list := testkit.Decode[[]tenantJSON](t, app.Settings.Command(t, "tenants", "list", "--json").RequireCode(t, 0))
		slugs := map[string]string{}
		for _, tenant := range list {
			slugs[*tenant.Slug] = tenant.Status
		}
		require.Equal(t, map[string]string{"acme": "ready", "globex": "ready"}, slugs)
		text := app.Settings.Command(t, "tenants", "list").RequireCode(t, 0)
		require.Regexp(t, `^TENANT +OWNER +STATUS +SCHEMA +AGE +ERROR\nacme +ada@example.com +ready +\d{12}_\w+ +0 minutes +\nglobex +- +ready `, text.Stdout)

		shown := testkit.Decode[tenantJSON](t, app.Settings.Command(t, "tenants", "show", "acme", "--json").RequireCode(t, 0))
		require.Equal(t, app.Settings.DatabaseName("acme"), shown.DatabaseName)
		require.Greater(t, *shown.SizeBytes, int64(20_000)) // of a file that has tables
		require.Equal(t, &organizationJSON{ID: 1, Name: shown.Organization.Name, OwnerID: 1, OwnerEmail: "ada@example.com"}, shown.Organization)
		require.Contains(t, app.Settings.Database.URL, shown.Server)
		text = app.Settings.Command(t, "tenants", "show", "acme")
		require.Regexp(t, `(?m)^server +`+regexp.QuoteMeta(shown.Server)+`$`, text.Stdout)
		require.Regexp(t, `(?m)^organization +".+", owned by ada@example.com$`, text.Stdout)
		require.Regexp(t, `(?m)^size +\d+\.\d MB$`, text.Stdout)
		require.Contains(t, app.Settings.Command(t, "tenants", "show", "globex", "--json").Stdout, `"organization": null`)

		for _, unknown := range []string{"nobody", "../core"} {
			outcome := app.Settings.Command(t, "tenants", "show", "--json", unknown).RequireCode(t, 1)
			require.Empty(t, outcome.Stdout)
			require.Contains(t, outcome.Stderr, `tenant "`+unknown+`": `)
		}
	})
}

func TestTenantsAreListedInOrder(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		fleetOf(app, "globex", "acme")
		app.Token("initech", "grace@example.com")
		app.Token("", "grace@example.com")
		settings := &app.Settings
		settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET created_at = '2020-01-01 00:00:00' WHERE slug = 'initech'",
			"UPDATE tenants SET schema_version = '' WHERE slug = 'globex'")
		settings.Exec(t, settings.DatabaseName("acme"), "CREATE TABLE large (text varchar)")
		var large strings.Builder // that PostgreSQL cannot compress much
		for i := range 60_000 {
			large.WriteString(strconv.FormatUint(uint64(i)*0x9e3779b97f4a7c15, 36))
		}
		settings.Exec(t, settings.DatabaseName("acme"), "INSERT INTO large VALUES ('"+large.String()+"')")
		list := func(flags ...string) []tenantJSON {
			return testkit.Decode[[]tenantJSON](t, settings.Command(t, append([]string{"tenants", "list", "--json"}, flags...)...).RequireCode(t, 0))
		}
		slugs := func(flags ...string) (all []string) {
			for _, tenant := range list(flags...) {
				all = append(all, *tenant.Slug)
			}
			return all
		}

		require.Equal(t, []string{"acme", "globex", "initech"}, slugs())
		require.Equal(t, []string{"initech", "globex", "acme"}, slugs("--sort", "created"))
		require.Equal(t, []string{"acme"}, slugs("--sort", "size", "--limit", "1"))
		require.Equal(t, []string{"acme"}, slugs("--status", "suspended"))
		require.Equal(t, []string{"globex"}, slugs("--behind"))
		require.Equal(t, []string{"acme", "globex"}, slugs("--owner", "ADA@example.com"))
		require.Empty(t, slugs("--owner", "grace@example.com"))
		require.Empty(t, slugs("--owner", "ada@example.com", "--status", "deleting"))

		plain, sized := list(), list("--size")
		require.Nil(t, plain[0].SizeBytes, "a size that nobody asked for costs time")
		require.Greater(t, *sized[0].SizeBytes, *sized[1].SizeBytes)
		require.Equal(t, "ada@example.com", *sized[1].OwnerEmail)
		require.Nil(t, sized[2].OwnerEmail)
		require.Greater(t, sized[2].AgeSeconds, int64(365*24*3600))
		require.Regexp(t, `(?m)^TENANT +OWNER +STATUS +SIZE +SCHEMA +AGE +ERROR\nacme +ada@example.com +suspended +\d+\.\d MB +\d{12}_\w+ +0 minutes`,
			settings.Command(t, "tenants", "list", "--size").Stdout)
		require.Regexp(t, `(?m)^initech +- +ready +\d{12}_\w+ +\d{4} days`, settings.Command(t, "tenants", "list").Stdout)
		require.Contains(t, settings.Command(t, "tenants", "list", "--owner", "nobody@example.com").RequireCode(t, 1).Stderr, "owner: ")
	})
}

// A running server sees what commands do, within the time that a replica may
// take.
func TestCommandsBesideAServer(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner := app.Token("", "ada@example.com")
		app.Settings.Command(t, "tenants", "create", "acme", "--owner", "ADA@example.com", "--name", "Acme & Sons").RequireCode(t, 0)
		require.Contains(t, app.Get("/api/organizations/acme", owner).Raw, "Acme \\u0026 Sons")
		member := app.TokenOf("acme", "ada@example.com")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)

		app.Settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		requireSpread(t, app, member, http.StatusForbidden)
		require.Contains(t, app.Get("/api/organizations/acme", owner).Raw, `"is_active":false`)
		app.Settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0) // twice does no harm
		app.Settings.Command(t, "tenants", "resume", "acme").RequireCode(t, 0)
		requireSpread(t, app, member, http.StatusOK)
		require.Contains(t, app.Get("/api/organizations/acme", owner).Raw, `"is_active":true`)

		alone := app.Settings.Command(t, "tenants", "delete", "acme").RequireCode(t, 2)
		require.Contains(t, alone.Stderr, "\nhint: --yes ")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)
		app.Settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)
		requireSpread(t, app, member, http.StatusUnauthorized)
		require.Equal(t, http.StatusNotFound, app.Get("/api/organizations/acme", owner).Code)
		app.Settings.RequireTidy(t)
		app.Settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 1)
	})
}

func TestTenantsCreateWithoutOwner(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		created := app.Settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
		require.Equal(t, "tenant \"acme\" is created\n", created.Stdout)
		member := app.Token("acme", "grace@example.com")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)

		app.Settings.CreateDatabase(t, app.Settings.DatabaseName("squatter"))
		for _, refused := range [][]string{
			{"acme"}, {"squatter"}, {"Acme"}, {"core"}, {"-"}, {"globex", "--owner", "nobody@example.com"},
		} {
			outcome := app.Settings.Command(t, append([]string{"tenants", "create"}, refused...)...)
			require.NotZero(t, outcome.Code, refused)
			requireOneError(t, outcome)
			require.Empty(t, outcome.Stdout)
		}
		app.Settings.RequireTidy(t, app.Settings.DatabaseName("squatter"))
	})
}

func TestTenantsThatAreUnfinished(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		app.Close()
		settings.Exec(t, settings.CoreName(),
			"UPDATE tenants SET status = 'provisioning' WHERE slug = 'acme'", "UPDATE tenants SET status = 'deleting' WHERE slug = 'globex'")

		for _, command := range []string{"suspend acme", "resume globex", "delete acme --yes"} {
			outcome := settings.Command(t, append([]string{"tenants"}, strings.Fields(command)...)...).RequireCode(t, 1)
			require.Contains(t, outcome.Stderr, ": it is ")
		}
		require.Contains(t, settings.Command(t, "migrate", "status").Stdout, "tenants: 0, of which")
		settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 0) // finishes it
		require.NotContains(t, settings.Databases(t), settings.DatabaseName("globex"))
	})
}

// Only serve and migrate touch core's schema. All others refuse another one in
// a sentence, and do nothing.
func TestCommandsRefuseAnotherSchema(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		fleetOf(app, "acme")
		app.Close()
		last := database.LatestID(migrations.Core(settings.Database.TenantPrefix))
		all := [][]string{
			{"tenants", "list"},
			{"tenants", "show", "acme"},
			{"tenants", "create", "globex"},
			{"tenants", "suspend", "acme"},
			{"tenants", "resume", "acme"},
			{"tenants", "delete", "acme", "--yes"},
			{"tenants", "doctor", "--repair", "--json"},
			{"tenants", "isolation", "--json"},
			{"users", "reset-password", "hank@example.com"},
			{"migrate", "rollback", "--to", last, "--yes"},
		}
		refuse := func(sentence string, commands [][]string) {
			before := settings.Dump(t, settings.CoreName())
			for _, command := range commands {
				outcome := settings.Command(t, command...).RequireCode(t, 1)
				require.Contains(t, outcome.Stderr, sentence, command)
				require.Empty(t, outcome.Stdout)
			}
			require.Equal(t, before, settings.Dump(t, settings.CoreName()))
		}

		settings.Exec(t, settings.CoreName(), "DELETE FROM schema_migrations WHERE id = '"+last+"'")
		refuse("core database was not migrated by this version of the software yet: run migrate first\n", all)
		require.Contains(t, settings.Command(t, "migrate", "status").RequireCode(t, 0).Stdout, last)
		settings.Exec(t, settings.CoreName(), "INSERT INTO schema_migrations (id) VALUES ('"+last+"'), ('209901010000_from_the_future')")
		refuse("database was migrated by a newer version of this software", all)
		refuse("database was migrated by a newer version of this software", [][]string{{"migrate"}, {"migrate", "--dry-run"}})
	})
}

// On an empty core database nothing is made by looking.
func TestCommandsOnNothing(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		outcome := settings.Command(t, "tenants", "list").RequireCode(t, 1)
		require.Regexp(t, "run migrate", outcome.Stderr)
		if settings.Engine == testkit.SQLite {
			require.NoDirExists(t, settings.Folder())
		}

		migrated := settings.Command(t, "migrate").RequireCode(t, 0)
		require.Regexp(t, `^core: migrated from none to \d{12}_\w+\ntenants: 0 migrated, 0 failed, 0 left\n$`, migrated.Stdout)
		require.Equal(t, "[]\n", settings.Command(t, "tenants", "list", "--json").RequireCode(t, 0).Stdout)
		if settings.Engine == testkit.SQLite {
			_, err := os.Stat(settings.Folder() + "/core.db.jwt_secret")
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	})
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	for _, command := range []string{
		"srve", "tenants lst", "tenants show", "tenants delete", "tenants list acme", "migrate rollback", "migrate statsu",
		"migrate --parallel 0", "migrate --parallel 65", "migrate --parallel many", "migrate --nope", "tenants create acme --name Acme",
		"users reset-password", "users reset-password a@example.com b@example.com", "users reset-password a@example.com --tenant",
		"tenants doctor acme", "tenants doctor --parallel 0", "tenants isolation acme",
		"tenants list --status spare", "tenants list --sort name", "tenants list --limit -1", "tenants exec", "tenants exec acme", "tenants sql",
		"tenants exec acme SELECT 1", "tenants exec --all acme SELECT", "tenants exec --all", "tenants exec acme -- COMMIT", "tenants exec acme --",
		"tenants exec acme SELECT --max-rows 0", "tenants exec acme SELECT --timeout 0s", "tenants exec acme SELECT --parallel 0",
	} {
		outcome := settings.Command(t, strings.Fields(command)...).RequireCode(t, 2)
		require.Empty(t, outcome.Stdout, command)
		requireOneError(t, outcome)
	}
	for _, command := range []string{"--help", "tenants --help", "migrate rollback --help"} {
		outcome := settings.Command(t, strings.Fields(command)...).RequireCode(t, 0)
		require.Contains(t, outcome.Stdout, "Usage: multitenant")
		require.Empty(t, outcome.Stderr)
	}
	require.NoDirExists(t, settings.Folder())
}

// What goes wrong is said in a line, without the password of the database.
func TestCommandsHideThePassword(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Database.URL = "postgres://ada:lovelace@127.0.0.1:1/core"
	for _, command := range []string{"tenants list", "tenants doctor", "tenants isolation", "users reset-password a@example.com", "migrate", "migrate status"} {
		outcome := settings.Command(t, strings.Fields(command)...).RequireCode(t, 1)
		require.Contains(t, outcome.Stderr, "core database")
		require.NotContains(t, outcome.Stderr, "lovelace")
		requireOneError(t, outcome)
	}
}
