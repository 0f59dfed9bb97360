package tests_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/tests/testkit"
)

// inUse is the most that was seen of something while it was watched.
type inUse struct {
	connections int // on SQLite, open files
	databases   int // tenants', with a connection or an open file
}

// watch looks at what the application has in use until the test calls what it
// returns, which waits for the last look.
func watch(t *testing.T, settings testkit.Settings) (most func() inUse) {
	t.Helper()
	look := filesOf(settings)
	if settings.Engine == testkit.Postgres {
		look = connectionsOf(t, settings)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var seen inUse
	var failure error
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(breath)
		defer ticker.Stop()
		for ctx.Err() == nil && failure == nil {
			var now inUse
			now, failure = look(context.WithoutCancel(ctx))
			seen = inUse{max(seen.connections, now.connections), max(seen.databases, now.databases)}
			<-ticker.C
		}
	})
	end := func() {
		stop()
		watching.Wait()
	}
	t.Cleanup(end) // before its connection is closed, also where the test has failed
	return func() inUse {
		end()
		require.NoError(t, failure)
		return seen
	}
}

// connectionsOf asks the server as its superuser, whom no setting of the
// application's limits.
func connectionsOf(t *testing.T, settings testkit.Settings) func(context.Context) (inUse, error) {
	t.Helper()
	address, err := url.Parse(settings.Database.URL)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), settings.Admin)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	return func(ctx context.Context) (inUse, error) {
		var now inUse
		err := conn.QueryRow(ctx, `SELECT count(*), count(DISTINCT datname) FILTER (WHERE starts_with(datname, $2))
			FROM pg_stat_activity WHERE usename = $1 OR starts_with(usename, $2)`, address.User.Username(), settings.Database.TenantPrefix).
			Scan(&now.connections, &now.databases)
		return now, err
	}
}

// filesOf counts this process's open files in the settings' folder, which other
// tests have nothing in.
func filesOf(settings testkit.Settings) func(context.Context) (inUse, error) {
	return func(context.Context) (inUse, error) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return inUse{}, err
		}
		var now inUse
		databases := make(map[string]bool)
		for _, entry := range entries {
			target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
			if err != nil || !strings.HasPrefix(target, settings.Folder()) {
				continue // closed meanwhile, or another's
			}
			now.connections++
			if name := filepath.Base(target); strings.HasSuffix(name, ".db") && strings.HasPrefix(name, settings.Database.TenantPrefix) {
				databases[name] = true
			}
		}
		now.databases = len(databases)
		return now, nil
	}
}

// sqliteFiles is how many files SQLite's databases may be, as its limit is meant, see
// maxOpen there.
const sqliteFiles = 64*9 + 17

// makingAtOnce is how many databases may be open in the making, or to be deleted,
// besides those that are lent. As many again may be opened or closed while the
// files are being counted, one by one.
const makingAtOnce = 2

// TestMoreTenantsInUseThanMayBeOpen, or on PostgreSQL than there are connections:
// whoever asks is served, from the right database, or told to come back;
// connections stay within the setting while tenants are opened, closed, made,
// migrated and deleted.
func TestMoreTenantsInUseThanMayBeOpen(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Database.MaxConnections = database.MinConnections // of which tenants have four
		crowdSize := 8
		if settings.Engine == testkit.SQLite {
			crowdSize = 72 * min(testkit.Rounds(t), 4) // 64 may be open, and those that are made or deleted
		}
		most := watch(t, settings)
		app := testkit.Start(t, settings)
		tokens := make([]string, crowdSize)
		for i, response := range testkit.TryAtOnceBy(t, 4, app, repeat(crowdSize, member)) {
			require.Equal(t, http.StatusOK, response.Code, response.Raw)
			tokens[i] = app.TokenOf(member(i).Tenant, emailOf(i))
		}

		stop := churn(t, app)
		wanted := make([]string, 3*crowdSize)
		answers := testkit.TryAtOnceBy(t, 8, app, repeat(len(wanted), func(request int) testkit.Request {
			i := rand.IntN(crowdSize)
			wanted[request] = emailOf(i)
			return testkit.Request{
				Method: http.MethodGet, Path: "/api/users/me", Token: tokens[i], Tenant: member(i).Tenant,
			}
		}))
		stop()

		for i, answer := range answers {
			if answer.Code == http.StatusServiceUnavailable {
				answer.RequireProblem(app, 503, "busy", "Server is busy, try again")
				require.NotEmpty(t, answer.Header.Get("Retry-After"))
				continue
			}
			require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
			require.Equal(t, wanted[i], answer.Text(app, "email"), "another's row")
		}
		served := testkit.Count(answers)[http.StatusOK]
		require.Greater(t, served, len(answers)*9/10)
		requireWithin(t, app, most())
		settings.RequireTidy(t)
	})
}

func requireWithin(t *testing.T, app *testkit.App, most inUse) {
	t.Helper()
	t.Logf("at most %+v in use, %+v", most, app.Backend.Stats())
	if app.Settings.Engine == testkit.Postgres {
		require.LessOrEqual(t, most.connections, app.Settings.Database.MaxConnections)
		require.Greater(t, most.connections, app.Settings.Database.MaxConnections/2, "not what this test is about")
		require.Positive(t, app.Backend.Stats().Evictions, "not what this test is about")
		return
	}
	require.LessOrEqual(t, most.connections, sqliteFiles)
	require.LessOrEqual(t, most.databases, app.Backend.MaxOpen()+2*makingAtOnce)
	require.GreaterOrEqual(t, most.databases, app.Backend.MaxOpen(), "not what this test is about")
}

// churn makes and deletes organizations until the test calls what it returns.
func churn(t *testing.T, app *testkit.App) (stop func()) {
	t.Helper()
	owner := app.Token("", "ada@example.com")
	done := make(chan struct{})
	var churning sync.WaitGroup
	churning.Go(func() {
		for i := 0; ; i++ {
			slug := fmt.Sprintf("churn-%d", i)
			for _, request := range []testkit.Request{
				testkit.Creation(owner, slug),
				{Method: http.MethodDelete, Path: "/api/organizations/" + slug, Token: owner},
			} {
				select {
				case <-done:
					return
				case <-time.After(breath):
				}
				response, err := app.Try(request)
				if err != nil || response.Code >= 500 && response.Code != http.StatusServiceUnavailable {
					t.Errorf("%s %s: %v %s", request.Method, slug, err, response.Raw)
				}
			}
		}
	})
	return func() {
		close(done)
		churning.Wait()
	}
}

func member(i int) testkit.Request {
	return testkit.Registration(fmt.Sprintf("tenant-%d", i), emailOf(i))
}

func emailOf(i int) string { return fmt.Sprintf("user%d@example.com", i) }
