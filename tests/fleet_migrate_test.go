package tests_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/tests/testkit"
)

// What the tenants' migrations of a later release are called.
const (
	notesID = "209901010000_create_notes"
	tagsID  = "209901020000_create_tags"
)

// createTable is a migration that fails where the table is there, and whose way
// back fails where it is not.
func createTable(id, table string) *gormigrate.Migration {
	return &gormigrate.Migration{
		ID:       id,
		Migrate:  func(tx *gorm.DB) error { return tx.Exec("CREATE TABLE " + table + " (id integer)").Error },
		Rollback: func(tx *gorm.DB) error { return tx.Exec("DROP TABLE " + table).Error },
	}
}

// nextRelease is the program with more migrations of tenants.
func nextRelease(settings testkit.Settings, more ...*gormigrate.Migration) testkit.Settings {
	settings.Migrations = append(migrations.Tenant(), more...)
	return settings
}

// fleetOf makes tenants of Ada's, and returns her token.
func fleetOf(app *testkit.App, slugs ...string) (owner string) {
	owner = app.Token("", "ada@example.com")
	for _, slug := range slugs {
		app.Organization(owner, slug)
	}
	return owner
}

// schemaOf returns the tenant's version in the registry.
func schemaOf(t *testing.T, settings *testkit.Settings, slug string) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT schema_version FROM tenants WHERE slug = '"+slug+"'")
}

type moveJSON struct {
	Tenant       string `json:"tenant"`
	DatabaseName string `json:"database_name"`
	From         string `json:"from"`
	To           string `json:"to"`
	Error        string `json:"error"`
}

type coreJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type migrateJSON struct {
	Core     coreJSON   `json:"core"`
	Migrated int        `json:"migrated"`
	Failed   int        `json:"failed"`
	Left     int        `json:"left"`
	Failures []moveJSON `json:"failures"`
}

// One failing tenant of several: the others are migrated, suspended ones too,
// beside a server of the last release that goes on serving all of them. It is
// named, 503 for the new release, and the next run takes it up.
func TestMigrateAttemptsAll(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "acme", "globex", "initech")
		members := map[string]string{}
		for _, slug := range []string{"globex", "initech"} {
			members[slug] = app.TokenOf(slug, "ada@example.com")
		}
		require.Equal(t, http.StatusOK, app.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": false}).Code)
		settings.Exec(t, settings.DatabaseName("globex"), "CREATE TABLE notes (id integer)")
		next := nextRelease(settings, createTable(notesID, "notes"))
		old := schemaOf(t, &settings, "acme")

		outcome := next.Command(t, "migrate").RequireCode(t, 1)
		require.Equal(t, "tenants: 2 migrated, 1 failed, 0 left\n", outcome.Stdout)
		require.Regexp(t, `(?m)^globex: .*notes.*already exists`, outcome.Stderr)
		require.Regexp(t, `(?m)^error: 1 tenant of 3 failed\nhint: .*--only-failed`, outcome.Stderr)
		require.NotContains(t, outcome.Stderr, "acme:")

		require.Equal(t, notesID, schemaOf(t, &settings, "acme"))
		require.Equal(t, notesID, schemaOf(t, &settings, "initech"))
		require.Equal(t, old, schemaOf(t, &settings, "globex"))
		newer := testkit.Start(t, next)
		newer.Get("/api/users/me", members["globex"]).RequireProblem(newer, 503, "tenant_unavailable", "Tenant is unavailable")
		require.Equal(t, http.StatusOK, newer.Get("/api/users/me", members["initech"]).Code)
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", members["globex"]).Code)
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", members["initech"]).Code)

		status := next.Command(t, "migrate", "status").RequireCode(t, 0)
		require.Contains(t, status.Stdout, "tenants: 3, of which 1 pending, 1 failed, 0 of a newer version\n")
		require.Regexp(t, `(?m)^globex: .*already exists`, status.Stdout)
		failed := testkit.Decode[migrateJSON](t, next.Command(t, "migrate", "--json", "--only-failed").RequireCode(t, 1))
		require.Equal(t, 1, failed.Failed)
		require.Len(t, failed.Failures, 1)
		require.Contains(t, failed.Failures[0].Error, "already exists")
		failed.Failures[0].Error = ""
		require.Equal(t, moveJSON{Tenant: "globex", DatabaseName: settings.DatabaseName("globex"), From: old, To: notesID}, failed.Failures[0])

		settings.Exec(t, settings.DatabaseName("globex"), "DROP TABLE notes")
		mended := testkit.Decode[migrateJSON](t, next.Command(t, "migrate", "--only-failed", "--json").RequireCode(t, 0))
		require.Equal(t, 1, mended.Migrated)
		require.Empty(t, mended.Failures)
		testkit.Await(t, 5*time.Second, func() error { // the failure is everybody's answer for a moment
			if me := newer.Get("/api/users/me", members["globex"]); me.Code != http.StatusOK {
				return errors.New(me.Raw)
			}
			return nil
		})
		require.Contains(t, next.Command(t, "migrate", "status").Stdout, "0 pending, 0 failed")
	})
}

func TestMigrateDryRunChangesNothing(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "acme", "globex")
		next := nextRelease(settings, createTable(notesID, "notes"))
		old := schemaOf(t, &settings, "acme")
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET error = 'it broke' WHERE slug = 'globex'")
		dump := func() string {
			return settings.Dump(t, settings.CoreName()) + settings.Dump(t, settings.DatabaseName("acme"))
		}
		before := dump()

		text := next.Command(t, "migrate", "--dry-run").RequireCode(t, 0)
		for _, slug := range []string{"acme", "globex"} {
			require.Regexp(t, `(?m)^`+slug+` +`+old+` +-> +`+notesID+`$`, text.Stdout)
		}
		require.Contains(t, text.Stdout, "2 tenants would be migrated.")
		type dryRunJSON struct {
			Core  coreJSON   `json:"core"`
			Items []moveJSON `json:"items"`
		}
		one := testkit.Decode[dryRunJSON](t, next.Command(t, "migrate", "--dry-run", "--json", "--tenant", "acme").RequireCode(t, 0))
		require.Equal(t, []moveJSON{{Tenant: "acme", DatabaseName: settings.DatabaseName("acme"), From: old, To: notesID}}, one.Items)
		failed := testkit.Decode[dryRunJSON](t, next.Command(t, "migrate", "--dry-run", "--json", "--only-failed").RequireCode(t, 0))
		require.Len(t, failed.Items, 1)
		require.Equal(t, "globex", failed.Items[0].Tenant)
		none := testkit.Decode[dryRunJSON](t, settings.Command(t, "migrate", "--dry-run", "--json").RequireCode(t, 0))
		require.NotNil(t, none.Items)
		require.Empty(t, none.Items)

		// Core is not migrated either.
		last := database.LatestID(migrations.Core(settings.Database.TenantPrefix))
		settings.Exec(t, settings.CoreName(), "DELETE FROM schema_migrations WHERE id = '"+last+"'")
		older := next.Command(t, "migrate", "--dry-run").RequireCode(t, 0)
		require.Regexp(t, `(?m)^core +.* -> +`+last, older.Stdout)
		settings.Exec(t, settings.CoreName(), "INSERT INTO schema_migrations (id) VALUES ('"+last+"')")
		require.Equal(t, before, dump())
	})
}

func TestMigrateOneTenant(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "acme", "globex")
		next := nextRelease(settings, createTable(notesID, "notes"))
		old := schemaOf(t, &settings, "globex")

		next.Command(t, "migrate", "--tenant", "acme").RequireCode(t, 0)
		require.Equal(t, notesID, schemaOf(t, &settings, "acme"))
		require.Equal(t, old, schemaOf(t, &settings, "globex"))

		for _, unknown := range []string{"nobody", "No_Slug"} {
			outcome := next.Command(t, "migrate", "--tenant", unknown).RequireCode(t, 1)
			require.Contains(t, outcome.Stderr, `tenant "`+unknown+`": `)
			requireOneError(t, outcome)
		}
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'globex'")
		outcome := next.Command(t, "migrate", "--tenant", "globex").RequireCode(t, 1)
		require.Contains(t, outcome.Stderr, `tenant "globex": it is deleting`)
	})
}

// Where nothing is to be done, the registry is all that is looked at: these
// tenants have no databases that could be opened.
func TestMigrateOpensNothingWithoutNeed(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		testkit.Start(t, settings).Close()
		id := "md5(i::text)::uuid"
		series := "generate_series(1, 1000) AS s(i)"
		if settings.Engine == testkit.SQLite {
			id = "printf('00000000-0000-4000-8000-%012d', value)"
			series = "(WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 1000) SELECT value, value AS i FROM s)"
		}
		settings.Exec(t, settings.CoreName(), "INSERT INTO tenants (id, slug, database_name, role, status, schema_version, error, created_at, updated_at) "+
			"SELECT "+id+", 't' || i, 'none' || i, 'none' || i, 'ready', '"+database.LatestID(migrations.Tenant())+"', '', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM "+series)

		require.Equal(t, "tenants: 0 migrated, 0 failed, 0 left\n", settings.Command(t, "migrate").RequireCode(t, 0).Stdout)
		type tenant struct {
			Slug string `json:"slug"`
		}
		require.Len(t, decodeLoosely[[]tenant](t, settings.Command(t, "tenants", "list", "--json")), 1000, "more than one page")
		next := nextRelease(settings, createTable(notesID, "notes"))
		require.Contains(t, next.Command(t, "migrate", "status").Stdout, "1000 pending")
	})
}

// A run that is told to stop finishes what is under way and begins no more; the
// next takes up the rest.
func TestMigrateIsInterruptedBetweenTenants(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "one", "two", "three", "four")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var migrated atomic.Int32
		notes := createTable(notesID, "notes")
		create := notes.Migrate
		notes.Migrate = func(tx *gorm.DB) error {
			if migrated.Add(1) == 2 {
				cancel()
			}
			return create(tx)
		}
		next := nextRelease(settings, notes)

		outcome := next.CommandUntil(ctx, "migrate", "--parallel", "1").RequireCode(t, 1)
		require.Equal(t, "tenants: 2 migrated, 0 failed, 2 left\n", outcome.Stdout)
		require.Contains(t, outcome.Stderr, "interrupted: 2 tenants left; run it again to go on")
		require.Equal(t, 2, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM tenants WHERE schema_version = '"+notesID+"' AND error = ''"))

		again := next.Command(t, "migrate").RequireCode(t, 0)
		require.Equal(t, "tenants: 2 migrated, 0 failed, 0 left\n", again.Stdout)
		require.EqualValues(t, 4, migrated.Load(), "nobody is migrated twice")
	})
}

// Progress is a line now and then where there is no terminal, on stderr.
func TestMigrateSaysHowFarItIs(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "acme")
		slow := createTable(notesID, "notes")
		create := slow.Migrate
		slow.Migrate = func(tx *gorm.DB) error {
			<-time.After(3500 * time.Millisecond) // longer than it may be silent
			return create(tx)
		}
		next := nextRelease(settings, slow)

		outcome := next.Command(t, "migrate").RequireCode(t, 0)
		require.Contains(t, outcome.Stderr, "migrating: 0 of 1 tenants, 0 failed\n")
		require.Equal(t, "tenants: 1 migrated, 0 failed, 0 left\n", outcome.Stdout)
	})
}

// Several runs and a server at once: each tenant is migrated once.
func TestMigrateManyAtOnce(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		slugs := []string{"one", "two", "three", "four"} // more than a server migrates at once
		fleetOf(app, slugs...)
		tokens := testkit.AtOnce(len(slugs), func(i int) string { return app.TokenOf(slugs[i], "ada@example.com") })
		next := nextRelease(settings, createTable(notesID, "notes"))
		newer := testkit.Start(t, next)

		codes := testkit.AtOnce(2+len(slugs), func(i int) int {
			if i < 2 {
				return next.Command(t, "migrate").Code
			}
			return newer.Get("/api/users/me", tokens[i-2]).Code
		})

		require.Equal(t, []int{0, 0, 200, 200, 200, 200}, codes)
		require.Equal(t, len(slugs), testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM tenants WHERE schema_version = '"+notesID+"'"))
	})
}
