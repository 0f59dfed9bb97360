package tests_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// multitude is many tenants with one user each.
type multitude struct {
	settings testkit.Settings
	copies   []testkit.Copy
	tokens   []string
}

// newMultitude makes the tenant seed, with its user, and n copies of it.
func newMultitude(t *testing.T, settings testkit.Settings, n int) *multitude {
	t.Helper()
	if settings.Engine == testkit.Postgres { // copies have no role, and must not get one while they are looked at
		settings.Administer(t, "ALTER ROLE "+appRole(t, &settings)+" NOCREATEROLE")
	}
	app := testkit.Start(t, settings)
	session := sessionOf(t, app.Token("seed", "somebody@example.com"))
	app.Close()
	c := &multitude{settings: settings, copies: settings.CopyTenant(t, "seed", "somebody@example.com", n)}
	for _, one := range c.copies { // each with the session that seed's user has
		token, err := app.TokenKit.Sign(auth.Claims{UserID: 1, Realm: auth.RealmTenant, Tenant: one.Slug, TenantID: one.ID, Session: session})
		require.NoError(t, err)
		c.tokens = append(c.tokens, token)
	}
	return c
}

// ask asks for a member's profile, and says what is wrong with the answer.
func (c *multitude) ask(app *testkit.App, i int) error {
	answer, err := app.Try(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: c.tokens[i]})
	if err != nil {
		return err
	}
	if answer.Code != http.StatusOK || answer.Text(app, "email") != c.copies[i].Email {
		return fmt.Errorf("%s is answered %s", c.copies[i].Email, answer.Raw)
	}
	return nil
}

// askAtRandom asks so many times, by so many workers, and returns what went wrong.
func (c *multitude) askAtRandom(app *testkit.App, workers, times int) []error {
	return testkit.AtOnce(workers, func(int) error {
		for range times / workers {
			if err := c.ask(app, rand.IntN(len(c.copies))); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestMoreFilesThanMayBeOpen, sockets included: all users are served. Each of the 300
// tenants has three files when it is open, and the process may have few more than it
// means to. With KILL_ROUNDS there are 2,000 tenants, and the limit is a usual one.
func TestMoreFilesThanMayBeOpen(t *testing.T) {
	t.Parallel()
	size, openFiles := 300, sqliteFiles+64
	if testkit.Rounds(t) > 1 {
		size, openFiles = 2000, 1024
	}
	c := newMultitude(t, testkit.Fresh(t, testkit.SQLite), size)
	c.settings.OpenFiles = openFiles
	process := testkit.StartProcess(t, c.settings, "")

	for _, err := range c.askAtRandom(process.App, 16, 960) {
		require.NoError(t, err)
	}
	require.NotContains(t, process.Log.String(), "too many open files")
}

// crowdedServer returns settings, and how many tenants there are to be.
func crowdedServer(t *testing.T) (settings testkit.Settings, size int) {
	t.Helper()
	if testkit.Rounds(t) == 1 {
		return testkit.Fresh(t, testkit.Postgres), 10
	}
	return onCluster(t, pgtest.Start(t)), 1000 // its cluster goes at once: a thousand databases would be dropped one by one
}

// askAllTheTime has so many ask for the first tenant until the test calls what it
// returns.
func (c *multitude) askAllTheTime(t *testing.T, app *testkit.App, workers int) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range workers {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(breath):
				}
				if err := c.ask(app, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return func() {
		close(done)
		asking.Wait()
	}
}

// TestACrowdOnFewConnections: one tenant is asked all the time by more at once than
// it may have connections, and nobody in the crowd, nor there, is refused. With
// KILL_ROUNDS the crowd is a thousand, which takes minutes to make.
func TestACrowdOnFewConnections(t *testing.T) {
	t.Parallel()
	settings, size := crowdedServer(t)
	settings.Database.MaxConnections = 16 // of which tenants have 8, and one of them 6
	c := newMultitude(t, settings, size)
	most := watch(t, settings)
	app := testkit.Start(t, settings)
	stop := c.askAllTheTime(t, app, 8)

	errs := c.askAtRandom(app, 12, 3*size)
	stop()

	for _, err := range errs {
		require.NoError(t, err)
	}
	requireWithin(t, app, most())
	require.Zero(t, app.Backend.Stats().BusyRefusals)
}

// TestAMigrationFailsOnOneOfMany: all others are done, it is named, and the next
// run takes it up.
func TestAMigrationFailsOnOneOfMany(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		size := map[testkit.Engine]int{testkit.SQLite: 60, testkit.Postgres: 6}[settings.Engine]
		c := newMultitude(t, settings, size-1)
		bad := c.copies[size/2]
		settings.Exec(t, settings.DatabaseName(bad.Slug), "CREATE TABLE notes (id integer)")
		before := settings.Dump(t, settings.DatabaseName(bad.Slug))
		next := nextRelease(settings, createTable(notesID, "notes"))

		outcome := next.Command(t, "migrate").RequireCode(t, 1)
		require.Equal(t, fmt.Sprintf("tenants: %d migrated, 1 failed, 0 left\n", size-1), outcome.Stdout)
		require.Regexp(t, "(?m)^"+bad.Slug+": .*already exists", outcome.Stderr)
		require.Equal(t, size-1, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM tenants WHERE schema_version = '"+notesID+"'"))
		require.Equal(t, before, settings.Dump(t, settings.DatabaseName(bad.Slug)))
		app := testkit.Start(t, next)
		app.Get(profilePath, c.tokens[size/2]).RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
		require.NoError(t, c.ask(app, size/2-1))

		settings.Exec(t, settings.DatabaseName(bad.Slug), "DROP TABLE notes")
		outcome = next.Command(t, "migrate").RequireCode(t, 0)
		require.Equal(t, "tenants: 1 migrated, 0 failed, 0 left\n", outcome.Stdout)
	})
}
