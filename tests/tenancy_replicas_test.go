package tests_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/tests/testkit"
)

// spread is how long a change by one replica may go unseen by another.
const spread = 2 * time.Second

// replicas starts two applications on the same databases, with Ada's acme and
// in it Grace, whose token it returns with Ada's.
func replicas(t *testing.T, settings testkit.Settings) (first, second *testkit.App, owner, member string) {
	t.Helper()
	first, second = testkit.Start(t, settings), testkit.Start(t, settings)
	owner = first.Token("", "ada@example.com")
	first.Organization(owner, "acme")
	member = second.Token("acme", "grace@example.com")
	require.Equal(t, http.StatusOK, first.Get("/api/users/me", member).Code)
	return first, second, owner, member
}

// requireSpread requires that requests which begin after the time it may take
// are answered with that status, and that some are before it is long over.
func requireSpread(t *testing.T, app *testkit.App, token string, status int) {
	t.Helper()
	changed := time.Now()
	testkit.Await(t, spread+5*time.Second, func() error {
		begun := time.Now()
		response := app.Get("/api/users/me", token)
		if response.Code == status {
			return nil
		}
		require.Less(t, begun.Sub(changed), spread, "still %d: %s", response.Code, response.Raw)
		return errors.New(response.Raw)
	})
}

func TestReplicasSeeSuspensionAndResumption(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		first, second, owner, member := replicas(t, settings)

		suspended := first.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": false})
		require.Equal(t, http.StatusOK, suspended.Code, suspended.Raw)
		first.Get("/api/users/me", member).RequireProblem(first, 403, "tenant_suspended", "Tenant is suspended")
		requireSpread(t, second, member, http.StatusForbidden)
		second.Get("/api/users/me", member).RequireProblem(second, 403, "tenant_suspended", "Tenant is suspended")
		second.Login("acme", "grace@example.com").RequireProblem(second, 403, "tenant_suspended", "Tenant is suspended")

		require.Equal(t, http.StatusOK, second.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": true}).Code)
		require.Equal(t, http.StatusOK, second.Get("/api/users/me", member).Code)
		requireSpread(t, first, member, http.StatusOK)
	})
}

// TestReplicasResumeAtOnce: a refusal does not rest on a row that another replica may
// have changed, however many requests are refused.
func TestReplicasResumeAtOnce(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		first, second, owner, member := replicas(t, settings)
		me := testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: member}
		for range 3 {
			require.Equal(t, http.StatusOK, first.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": false}).Code)
			requireSpread(t, second, member, http.StatusForbidden)
			refused := testkit.TryAtOnceBy(t, 8, second, repeat(40, func(int) testkit.Request { return me }))
			require.Equal(t, map[int]int{http.StatusForbidden: 40}, testkit.Count(refused))

			require.Equal(t, http.StatusOK, first.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": true}).Code)

			served := testkit.TryAtOnceBy(t, 8, second, repeat(40, func(int) testkit.Request { return me }))
			require.Equal(t, map[int]int{http.StatusOK: 40}, testkit.Count(served))
		}
	})
}

func TestReplicasSeeDeletion(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		first, second, owner, member := replicas(t, settings)

		require.Equal(t, http.StatusNoContent, first.Delete("/api/organizations/acme", owner).Code)
		first.Get("/api/users/me", member).RequireProblem(first, 401, "invalid_token", "Could not validate credentials")
		requireSpread(t, second, member, http.StatusUnauthorized)

		// The slug's next life is another tenant, whoever made it.
		stranger := second.Token("acme", "grace@example.com")
		for _, app := range []*testkit.App{first, second} {
			app.Get("/api/users/me", member).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", stranger).Code)
			app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		}
		settings.RequireTidy(t)
	})
}

// TestReplicasRefuseADeletedTenantAtOnce: a replica that still has the tenant's row finds
// no database, and looks at the registry again before it answers.
func TestReplicasRefuseADeletedTenantAtOnce(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		first, second, owner, _ := replicas(t, settings)
		inside := login(t, second, "acme", "grace@example.com")
		require.Equal(t, http.StatusOK, second.Get("/api/users/me", inside.access).Code)

		require.Equal(t, http.StatusNoContent, first.Delete("/api/organizations/acme", owner).Code)

		second.Get("/api/users/me", inside.access).RequireProblem(second, 401, "invalid_token", "Could not validate credentials")
		second.Do(testkit.Refreshing(inside.refresh)).RequireProblem(second, 401, "invalid_token", "Could not validate credentials")
	})
}

// TestDeletionWithARecreationBetween: a replica that has had no request while a
// tenant was deleted and made again serves nobody from its old handle.
func TestReplicaDoesNotServeThePreviousLife(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		first, second, owner, member := replicas(t, settings)
		old := second.TokenOf("acme", "ada@example.com")

		require.Equal(t, http.StatusNoContent, first.Delete("/api/organizations/acme", owner).Code)
		first.Organization(owner, "acme")
		requireSpread(t, second, member, http.StatusUnauthorized)

		second.Get("/api/users/me", old).RequireProblem(second, 401, "invalid_token", "Could not validate credentials")
		second.Login("acme", "grace@example.com").RequireProblem(second, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, second.Get("/api/users/me", second.TokenOf("acme", "ada@example.com")).Code)
	})
}

// TestAnotherPrefixIsRefused: with it the databases that a dead process left in
// the making would never be found.
func TestAnotherPrefixIsRefused(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		app.Token("acme", "grace@example.com")
		app.Close()
		another := settings
		another.Database.TenantPrefix = "another_"

		_, err := testkit.Open(t, another)

		require.ErrorContains(t, err, "set TENANT_DATABASE_PREFIX back")
		require.ErrorContains(t, err, settings.Database.TenantPrefix)
		require.Equal(t, http.StatusOK, testkit.Start(t, settings).Login("acme", "grace@example.com").Code)
	})
}

// TestStartedTwiceAtOnce: however many start at once on an empty core, it is
// set up once.
func TestStartedManyAtOnce(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		processes := testkit.AtOnce(3, func(int) *testkit.Process {
			return testkit.StartProcess(t, settings, "")
		})

		for _, process := range processes {
			require.NotEmpty(t, process.URL, process.Log)
		}
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM core_installation"))
		require.Equal(t,
			testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(DISTINCT id) FROM schema_migrations"),
			testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM schema_migrations"))
		owner := processes[0].Token("", "ada@example.com")
		processes[1].Organization(owner, "acme")
		member := processes[2].TokenOf("acme", "ada@example.com")
		require.Equal(t, http.StatusOK, processes[0].Get("/api/users/me", member).Code)
		settings.RequireTidy(t)
	})
}

func TestStartedAgain(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme")
		member := app.Token("acme", "grace@example.com")
		before := settings.Dump(t, settings.CoreName()) + settings.Dump(t, settings.DatabaseName("acme"))
		app.Close()

		again := testkit.Start(t, settings)
		require.Equal(t, http.StatusOK, again.Get("/api/users/me", member).Code)
		require.Equal(t, before, settings.Dump(t, settings.CoreName())+settings.Dump(t, settings.DatabaseName("acme")))
	})
}

// TestANewerCoreIsRefused: code that is older than the core's schema does not
// touch it.
func TestANewerCoreIsRefused(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		testkit.Start(t, settings).Close()
		settings.Exec(t, settings.CoreName(), "INSERT INTO schema_migrations (id) VALUES ('209901010000_from_the_future')")
		before := settings.Dump(t, settings.CoreName())

		_, err := testkit.Open(t, settings)

		require.ErrorIs(t, err, database.ErrNewerSchema)
		require.ErrorContains(t, err, "core database")
		require.ErrorContains(t, err, "newer version")
		require.Equal(t, before, settings.Dump(t, settings.CoreName()))
	})
}

// TestLocksLeaveNoFiles: on SQLite a lock is a file, which goes with it.
func TestLocksLeaveNoFiles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	app := testkit.Start(t, settings)
	owner := app.Token("", "ada@example.com")
	app.Organization(owner, "acme")
	require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", owner).Code)

	left, err := os.ReadDir(filepath.Join(settings.Folder(), ".locks"))
	require.NoError(t, err)
	require.Empty(t, left)
}
