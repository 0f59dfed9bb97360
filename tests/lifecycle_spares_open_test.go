package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/tests/testkit"
)

// TestSparesAreOpen: a server has a session in the next spares, also in one that an earlier
// process has made, and another server claims them all the same.
func TestSparesAreOpen(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Spares = 1
	earlier := testkit.Start(t, settings)
	awaitSpares(t, &settings)
	earlier.Close()
	maker := testkit.Start(t, settings)
	spare := idOf(t, &settings, "status = 'spare'")
	awaitSessions(t, &settings, spareNames(t, &settings)[0], 1)
	other := settings
	other.Spares = 0
	claimer := testkit.Start(t, other)
	core := claimer.Token("", "ada@example.com")

	claimer.Organization(core, "acme")

	require.Equal(t, spare, idOf(t, &settings, "slug = 'acme'"))
	requireWhole(t, maker, "acme")
	maker.Organization(core, "globex") // and the next one is made
	awaitSpares(t, &settings)
	awaitSessions(t, &settings, spareNames(t, &settings)[0], 1)
	require.NotContains(t, maker.Log.String(), "spare database is no good")
	require.NotContains(t, claimer.Log.String(), "spare database")
	settings.RequireTidy(t)
}

// TestASpareLosesItsSession: as by a restart of the server. Nobody notices.
func TestASpareLosesItsSession(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Spares = 1
	app := testkit.Start(t, settings)
	core := app.Token("", "ada@example.com")
	awaitSpares(t, &settings)
	spare := idOf(t, &settings, "status = 'spare'")
	name := spareNames(t, &settings)[0]
	awaitSessions(t, &settings, name, 1)
	settings.Administer(t, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '"+name+"'")

	app.Organization(core, "acme")

	require.Equal(t, spare, idOf(t, &settings, "slug = 'acme'"))
	requireWhole(t, app, "acme")
	settings.RequireTidy(t)
}

// TestNoConnectionForAClaim: others use all connections for making. The caller is told to
// come again, and finds the slug free.
func TestNoConnectionForAClaim(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Spares = 1
	app := testkit.Start(t, settings)
	core := app.Token("", "ada@example.com")
	app.Organization(core, "acme")
	awaitSpares(t, &settings)
	taken := make([]*gorm.DB, 4)
	for i := range taken {
		db, err := app.Backend.OpenDatabase(t.Context(), settings.DatabaseName("acme"), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, database.Close(db)) }()
		taken[i] = db.Begin()
	}

	refused := app.CreateOrganization(core, "globex")

	for _, tx := range taken {
		require.NoError(t, tx.Rollback().Error)
	}
	refused.RequireProblem(app, http.StatusServiceUnavailable, "busy", "Server is busy, try again")
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	testkit.Await(t, time.Minute, func() error {
		if made := app.CreateOrganization(core, "globex"); made.Code != http.StatusOK {
			return errors.New(made.Raw)
		}
		return nil
	})
	requireWhole(t, app, "globex")
	settings.RequireTidy(t)
}

// awaitSessions waits until so many sessions are in a database, and nobody holds a lock any more
// to open one: a claim passes over a spare that is locked.
func awaitSessions(t *testing.T, settings *testkit.Settings, name string, want int) {
	t.Helper()
	testkit.Await(t, 10*time.Second, func() error {
		found := adminText(t, settings, "SELECT count(*)::text FROM pg_stat_activity WHERE usesysid IS NOT NULL AND datname = '"+name+"'")
		locks := adminText(t, settings, "SELECT count(*)::text FROM pg_locks JOIN pg_database d ON d.oid = database "+
			"WHERE locktype = 'advisory' AND datname = '"+settings.CoreName()+"'")
		if found != strconv.Itoa(want) || locks != "0" {
			return fmt.Errorf("%s sessions are in %s, and %s locks are held", found, name, locks)
		}
		return nil
	})
}
