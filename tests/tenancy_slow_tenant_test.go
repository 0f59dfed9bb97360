package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/tests/testkit"
)

// slowTenants are tenants whose database is locked, as their own role may do.
type slowTenants struct {
	app     *testkit.App
	answers chan testkit.Response
	ends    []func()
}

// lock makes the tenant slow and sends so many requests to it, which wait.
func (s *slowTenants) lock(t *testing.T, tenant, token string, requests int) {
	t.Helper()
	holder, err := s.app.Settings.SQL(t, s.app.Settings.DatabaseName(tenant)).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = holder.Rollback() })
	_, err = holder.ExecContext(t.Context(), "LOCK TABLE tenant_users IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	s.ends = append(s.ends, func() { _ = holder.Rollback() })
	for range requests {
		go func() {
			response, _ := s.app.Try(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: token})
			s.answers <- response
		}()
	}
}

// unlock ends all locks and returns how often each status was answered.
func (s *slowTenants) unlock(requests int) map[int]int {
	for _, end := range s.ends {
		end()
	}
	codes := map[int]int{}
	for range requests {
		codes[(<-s.answers).Code]++
	}
	return codes
}

// awaitLocked waits until so many statements wait for a lock in the databases whose names
// begin with the prefix.
func awaitLocked(t *testing.T, settings *testkit.Settings, prefix string, want int) {
	t.Helper()
	testkit.Await(t, patience, func() error {
		held := adminText(t, settings, `SELECT count(*)::text FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND starts_with(datname, '`+prefix+`')`)
		if held != strconv.Itoa(want) {
			return fmt.Errorf("%s statements wait for a lock", held)
		}
		return nil
	})
}

// TestTenantsAreSlow: however many are, the requests of the others are served. While
// there are few, they cannot even take all connections; then one is taken from them.
func TestTenantsAreSlow(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Database.MaxConnections = database.MinConnections
	app := testkit.Start(t, settings)
	tokens := map[string]string{}
	for _, tenant := range []string{"acme", "globex", "initech", "umbrella", "hooli"} {
		tokens[tenant] = app.Token(tenant, "ada@example.com")
	}
	slow := &slowTenants{app: app, answers: make(chan testkit.Response, 16)}
	well := func() {
		t.Helper()
		for range 3 {
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", tokens["hooli"]).Code)
		}
		require.Equal(t, http.StatusOK, app.Login("hooli", "ada@example.com").Code)
		require.Equal(t, http.StatusOK, app.Get("/ready", "").Code, "core has its own")
	}

	slow.lock(t, "acme", tokens["acme"], 6)
	awaitLocked(t, &settings, settings.Database.TenantPrefix, 2)
	slow.lock(t, "globex", tokens["globex"], 6)
	awaitLocked(t, &settings, settings.Database.TenantPrefix, 3)
	well()
	require.Zero(t, app.Backend.Stats().Interruptions)

	slow.lock(t, "initech", tokens["initech"], 1)
	slow.lock(t, "umbrella", tokens["umbrella"], 1)
	well()
	require.Positive(t, app.Backend.Stats().Interruptions)

	codes := slow.unlock(14)
	require.Equal(t, 14, codes[http.StatusOK]+codes[http.StatusServiceUnavailable], "%v", codes)
	for _, token := range tokens {
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", token).Code)
	}
}

// Locked files keep the users of their own tenants waiting, and nobody else.
func TestFilesAreLocked(t *testing.T) {
	t.Parallel()
	app := testkit.Start(t, testkit.Fresh(t, testkit.SQLite))
	names, tokens := []string{"acme", "globex", "initech", "hooli"}, map[string]string{}
	for _, tenant := range names {
		tokens[tenant] = app.Token(tenant, "ada@example.com")
	}
	write := func(tenant string) testkit.Request {
		return testkit.Request{Method: http.MethodPut, Path: "/api/users/me", Token: tokens[tenant], Body: testkit.JSON{"bio": "busy"}}
	}
	const writers = 6
	slow := &slowTenants{app: app, answers: make(chan testkit.Response, writers)}
	for _, tenant := range names[:3] {
		conn, err := app.Settings.SQL(t, app.Settings.DatabaseName(tenant)).Conn(t.Context())
		require.NoError(t, err)
		_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
		require.NoError(t, err)
		slow.ends = append(slow.ends, func() {
			_, err := conn.ExecContext(t.Context(), "ROLLBACK")
			require.NoError(t, errors.Join(err, conn.Close()))
		})
		for range writers {
			go func() {
				response, _ := app.Try(write(tenant))
				slow.answers <- response
			}()
		}
	}

	for range 3 {
		require.Equal(t, http.StatusOK, app.Do(write("hooli")).Code)
		require.Equal(t, http.StatusOK, app.Login("hooli", "ada@example.com").Code)
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", tokens["hooli"]).Code)
	}
	require.Equal(t, http.StatusOK, app.Register("umbrella", "ada@example.com").Code)
	require.Equal(t, http.StatusOK, app.Get("/ready", "").Code)

	codes := slow.unlock(3 * writers)
	require.Equal(t, 3*writers, codes[http.StatusOK]+codes[http.StatusServiceUnavailable], "%v", codes)
	for _, tenant := range names {
		require.Equal(t, http.StatusOK, app.Do(write(tenant)).Code)
	}
}
