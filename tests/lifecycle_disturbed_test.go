package tests_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// sitIn opens a session in a database, as an administrator's agent does, until
// leave is called.
func sitIn(t *testing.T, settings testkit.Settings, name string) (leave func()) {
	t.Helper()
	if settings.Engine == testkit.Postgres {
		settings.Database.URL = settings.Admin
	}
	ctx := context.WithoutCancel(t.Context())
	session, err := settings.SQL(t, name).Conn(ctx)
	require.NoError(t, err)
	require.NoError(t, session.QueryRowContext(ctx, "SELECT count(*) FROM tenant_users").Scan(new(int)))
	return func() {
		require.NoError(t, session.Close())
		if settings.Engine == testkit.SQLite {
			return
		}
		awaitSessions(t, &settings, name, 0) // the server takes a moment to end it
	}
}

// spareNames returns the databases of the spares, the oldest first.
func spareNames(t *testing.T, settings *testkit.Settings) []string {
	t.Helper()
	rows, err := settings.SQL(t, settings.CoreName()).QueryContext(t.Context(),
		"SELECT database_name FROM tenants WHERE status = 'spare' ORDER BY created_at")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

// TestAClientSitsInASpare: the next spare is claimed, or a new database, and the
// spare is claimed when the client has left.
func TestAClientSitsInASpare(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 2
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		awaitSpares(t, &settings)
		app.Close()
		disturbed := spareNames(t, &settings)
		leaves := []func(){sitIn(t, settings, disturbed[0]), sitIn(t, settings, disturbed[1])}
		settings.Spares = 0 // no more are made
		app = testkit.Start(t, settings)

		app.Organization(core, "acme")
		requireWhole(t, app, "acme")
		require.Equal(t, disturbed, spareNames(t, &settings))
		require.Contains(t, app.Log.String(), "spare database passed over")

		leaves[1]()
		app.Token("globex", "ada@example.com") // by a registration
		requireWhole(t, app, "globex")
		require.Equal(t, disturbed[:1], spareNames(t, &settings))

		leaves[0]()
		app.Organization(core, "initech")
		requireWhole(t, app, "initech")
		require.Empty(t, spareNames(t, &settings))
		settings.RequireTidy(t)
	})
}

// TestAClientEntersASpareAtTheLastMoment: after it was chosen.
func TestAClientEntersASpareAtTheLastMoment(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		awaitSpares(t, &settings)
		app.Close()
		disturbed := spareNames(t, &settings)
		enter := make(chan func(), 1)
		settings.Spares = 0
		settings.OnStep = func(step tenants.Step) {
			if step == tenants.StepLocked && len(enter) == 0 { // once
				enter <- sitIn(t, settings, disturbed[0])
			}
		}
		app = testkit.Start(t, settings)

		app.Organization(core, "acme")

		(<-enter)()
		requireWhole(t, app, "acme")
		settings.RequireTidy(t)
	})
}

// TestAPoolerSitsInSpares: a pooler in session mode, through which all connections
// go, keeps its own sessions in the databases that are made.
func TestAPoolerSitsInSpares(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	pooler := pgtest.StartSessionPooler(t, settings.Admin)
	settings = allThrough(t, pooler, settings)
	settings.Spares = 1
	settings.OnStep = func(step tenants.Step) {
		if step == tenants.StepReserved {
			_ = pooler.Admit(t.Context()) // if the role may not pass, the test fails
		}
	}
	app := testkit.Start(t, settings)
	core := app.Token("", "ada@example.com")

	for i := range 3 { // more than there are spares
		slug := fmt.Sprintf("acme-%d", i)
		app.Organization(core, slug)
		requireWhole(t, app, slug)
		if i == 0 {
			awaitSpares(t, &settings)
		}
	}
	require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme-0", core).Code)
	testkit.Await(t, 20*time.Second, func() error {
		if left := tenantsOf(t, app, "acme-0"); left != 0 {
			return fmt.Errorf("%d tenants are left", left)
		}
		return nil
	})
}
