package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

const countSpares = "SELECT count(*) FROM tenants WHERE status = 'spare' AND slug IS NULL"

// awaitSpares waits for the stock to be as full as it should be.
func awaitSpares(t testing.TB, settings *testkit.Settings) {
	t.Helper()
	testkit.Await(t, 20*time.Second, func() error {
		if count := testkit.Scalar[int](t, settings, settings.CoreName(), countSpares); count != settings.Spares {
			return fmt.Errorf("%d spares", count)
		}
		return nil
	})
}

func idOf(t *testing.T, settings *testkit.Settings, where string) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT CAST(id AS varchar) FROM tenants WHERE "+where)
}

// TestSparesAreClaimed: an organization gets a database that was there, whole,
// before anybody asked for it; and another takes its place.
func TestSparesAreClaimed(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		for _, slug := range []string{"acme", "globex"} {
			awaitSpares(t, &settings)
			spare := idOf(t, &settings, "status = 'spare'")
			name := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT database_name FROM tenants WHERE status = 'spare'")
			require.Contains(t, name, settings.Database.TenantPrefix+"_spare_")
			require.Zero(t, testkit.Scalar[int](t, &settings, name, "SELECT count(*) FROM tenant_users"))
			before := time.Now()

			if slug == "acme" {
				app.Organization(core, slug)
			} else {
				app.Token(slug, "ada@example.com") // as good as by an organization
			}

			require.Equal(t, spare, idOf(t, &settings, "slug = '"+slug+"'"))
			claimed, err := models.FindTenantBySlug(t.Context(), app.Tenants.Core(), models.Slug(slug))
			require.NoError(t, err)
			require.WithinRange(t, claimed.CreatedAt, before, time.Now(), "a tenant is not as old as its database")
			requireWhole(t, app, slug)
		}
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", core).Code)
		awaitSpares(t, &settings)
		settings.RequireTidy(t)
	})
}

// TestSparesAreClaimedOnce, by whichever replica, and where there are not enough
// databases are made.
func TestSparesAreClaimedOnce(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 2
		apps := []*testkit.App{testkit.Start(t, settings), testkit.Start(t, settings)}
		core := apps[0].Token("", "ada@example.com")
		awaitSpares(t, &settings)
		requests := make([]testkit.Request, 2*settings.Spares)
		for i := range requests {
			requests[i] = testkit.Creation(core, fmt.Sprintf("acme-%d", i))
		}

		answers := testkit.TryAtOnce(t, apps, requests)

		require.Equal(t, map[int]int{http.StatusOK: len(requests)}, testkit.Count(answers), "%v", answers)
		for i := range requests {
			requireWhole(t, apps[i%2], fmt.Sprintf("acme-%d", i))
		}
		awaitSpares(t, &settings)
		settings.RequireTidy(t)
	})
}

// TestOneStockForAllReplicas: a spare that one replica is making counts for the others.
func TestOneStockForAllReplicas(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		slow := settings
		reserved, goOn := standAt(&slow, tenants.StepReserved)
		defer goOn()
		first := testkit.Start(t, slow)
		<-reserved

		second := testkit.Start(t, settings)
		second.Organization(second.Token("", "ada@example.com"), "acme")
		goOn()

		awaitSpares(t, &settings)
		awaitUnfinished(t, &settings, 0)
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), countSpares))
		first.Organization(first.TokenOf("", "ada@example.com"), "globex")
		requireWhole(t, first, "globex")
	})
}

// TestASpareOutlivesARefusal: a claim that fails leaves it as it was.
func TestASpareOutlivesARefusal(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		awaitSpares(t, &settings)
		spare := idOf(t, &settings, "status = 'spare'")
		settings.CreateDatabase(t, settings.DatabaseName("initech"))

		app.CreateOrganization(core, "initech").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")

		require.Equal(t, spare, idOf(t, &settings, "status = 'spare'"))
		settings.RequireTidy(t, settings.DatabaseName("initech"))
		app.Organization(core, "acme")
		require.Equal(t, spare, idOf(t, &settings, "slug = 'acme'"))
	})
}

// TestASpareIsLost: somebody has dropped it, or its role. It is nobody's, so
// nobody need notice.
func TestASpareIsLost(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 2
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		awaitSpares(t, &settings)
		const oldest = " FROM tenants WHERE status = 'spare' ORDER BY created_at LIMIT 1"
		settings.DropDatabase(t, testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT database_name"+oldest))

		app.Organization(core, "acme")
		requireWhole(t, app, "acme")

		if settings.Engine == testkit.Postgres {
			awaitSpares(t, &settings)
			role := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT role"+oldest)
			name := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT database_name"+oldest)
			inside := settings
			inside.Admin = replaceDatabase(t, settings.Admin, name)
			inside.Administer(t, `DROP OWNED BY "`+role+`"`, `DROP ROLE "`+role+`"`)
		}
		app.Organization(core, "globex")
		requireWhole(t, app, "globex")
		require.Contains(t, app.Log.String(), "spare database is no good")
		awaitSpares(t, &settings)
		settings.RequireTidy(t)
	})
}

// TestSparesFollowMigrations: one that the last version has made is brought up
// to date before anybody gets it.
func TestSparesFollowMigrations(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		app := testkit.Start(t, settings)
		awaitSpares(t, &settings)
		app.Close()

		settings = nextRelease(settings, createTable(notesID, "notes"))
		app = testkit.Start(t, settings)

		testkit.Await(t, 20*time.Second, func() error {
			version := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT schema_version FROM tenants")
			if version != notesID {
				return errors.New("the spare is at " + version)
			}
			return nil
		})
		app.Organization(app.Token("", "ada@example.com"), "acme")
		requireWhole(t, app, "acme")
		require.Contains(t, settings.Dump(t, settings.DatabaseName("acme")), "notes")
	})
}

// TestSparesGetTheirRole: a spare that was made before the application could make roles
// gets one, and no tenant claims it until then.
func TestSparesGetTheirRole(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Spares = 1
	role := appRole(t, &settings)
	settings.Administer(t, `ALTER ROLE "`+role+`" NOCREATEROLE`)
	app := testkit.Start(t, settings)
	core := app.Token("", "ada@example.com")
	awaitSpares(t, &settings)
	settings.Administer(t, `ALTER ROLE "`+role+`" CREATEROLE`)
	testkit.Await(t, 10*time.Second, func() error {
		if !app.Backend.Roles().CanCreate() {
			return errors.New("the server has not noticed its right yet")
		}
		return nil
	})

	app.Organization(core, "acme")

	require.NotEmpty(t, roleOf(t, &settings, "acme"))
	testkit.Await(t, 20*time.Second, func() error {
		const roleless = "SELECT count(*) FROM tenants WHERE status = 'spare' AND role = ''"
		if count := testkit.Scalar[int](t, &settings, settings.CoreName(), roleless); count > 0 {
			return errors.New("the spare has no role")
		}
		return nil
	})
	trials := settings.Command(t, "tenants", "isolation").Stdout
	// The spare's role may not connect yet. Schema public may be open, which is no matter of roles.
	for _, trial := range []string{"fleet_closed", "fleet_roles", "fleet_powers", "fleet_members", "fleet_connect"} {
		require.Contains(t, trials, "pass  "+trial)
	}
	app.Organization(core, "globex")
	requireWhole(t, app, "globex")
}

// TestKilledWhileFillingTheStock, again and again: nothing is left over, and it is
// filled.
func TestKilledWhileFillingTheStock(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		for range testkit.Rounds(t) {
			for _, step := range []tenants.Step{tenants.StepReserved, tenants.StepCreated, tenants.StepBuilt, tenants.StepSpare} {
				testkit.StartProcess(t, settings, step).RequireKilled()
			}
			app := testkit.Start(t, settings)
			awaitSpares(t, &settings)
			settings.RequireTidy(t)
			app.Close()
			settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting'")
		}
	})
}

// TestKilledWhileClaiming: the organization is whole or gone after a restart,
// and the spare is its, or gone, or a spare.
func TestKilledWhileClaiming(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Database.MaxConnections = 40 // of which each claim pins one
		steps := []tenants.Step{tenants.StepLocked, tenants.StepNamed, tenants.StepSeeded, tenants.StepReady}
		core := bystander(t, settings)
		for round := range testkit.Rounds(t) {
			slugAt := func(step tenants.Step) string { return fmt.Sprintf("acme-%s-%d", step, round) }
			settings.Spares = len(steps)
			process := testkit.StartProcess(t, settings, steps...)
			awaitSpares(t, &settings)
			requireKilled(t, process, steps, func(step tenants.Step) testkit.Request { return testkit.Creation(core, slugAt(step)) })

			settings.Spares = 1
			app := testkit.Start(t, settings)
			awaitSpares(t, &settings)
			settings.RequireTidy(t)
			for _, step := range steps {
				slug := slugAt(step)
				found := app.Get("/api/organizations/"+slug, core).Code == http.StatusOK
				require.Equal(t, step == tenants.StepReady, found, step)
				if !found {
					app.Organization(core, slug)
				}
				requireWhole(t, app, slug)
			}
			requireWhole(t, app, "bystander")
			awaitSpares(t, &settings)
			settings.RequireTidy(t)
			app.Close()
		}
	})
}

// TestKilledWhileRenaming: a file is renamed before its tenant is ready, and there is a
// moment in between.
func TestKilledWhileRenaming(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Spares = 1
	app := testkit.Start(t, settings)
	awaitSpares(t, &settings)
	app.Close()
	settings.RenameDatabase(t, spareNames(t, &settings)[0], settings.DatabaseName("acme"))
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'provisioning', slug = 'acme', database_name = '"+
		settings.DatabaseName("acme")+"'")

	app = testkit.Start(t, settings)

	awaitUnfinished(t, &settings, 0)
	require.Zero(t, tenantsOf(t, app, "acme"))
	awaitSpares(t, &settings)
	settings.RequireTidy(t)
	app.Organization(app.Token("", "ada@example.com"), "acme")
}
