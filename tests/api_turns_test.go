package tests_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/tests/testkit"
)

func adding(token, email string) testkit.Request {
	return testkit.Request{
		Method: http.MethodPost, Path: "/api/users/", Token: token,
		Body: testkit.JSON{"email": email, "password": testkit.Password},
	}
}

// TestLoginsGoBeforeATenantThatHashes: its owner makes many users at once. The logins
// that come after them do not wait for one of them.
func TestLoginsGoBeforeATenantThatHashes(t *testing.T) {
	const users = 20
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		var held atomic.Pointer[sync.Mutex]
		var made, before, comparing atomic.Int64
		settings.Passwords = auth.PasswordOptions{Cost: 4, Workers: 1, Wait: 3 * patience, OnCompare: func() {
			before.Add(made.Load())
			if mutex := held.Load(); mutex != nil {
				comparing.Add(1)
				mutex.Lock()
				defer mutex.Unlock()
			}
		}}
		app := testkit.Start(t, settings)
		owner := app.Token("acme", "ada@example.com")
		app.Register("globex", "grace@example.com")
		app.Register("", "hank@example.com")
		var mutex sync.Mutex
		mutex.Lock()
		release := sync.OnceFunc(mutex.Unlock)
		defer release()
		held.Store(&mutex)

		var all sync.WaitGroup
		login := func(tenant, email string) {
			all.Go(func() {
				response, err := app.Try(loggingIn(tenant, email, testkit.Password))
				if err != nil || response.Code != http.StatusOK {
					t.Errorf("%v %v", response, err)
				}
			})
		}
		login("globex", "grace@example.com") // it takes the only worker, and stops there
		testkit.Await(t, patience, func() error {
			if comparing.Load() == 0 {
				return errors.New("the first login has not come to its turn")
			}
			return nil
		})
		for i := range users {
			all.Go(func() {
				response, err := app.Try(adding(owner, fmt.Sprintf("user%d@example.com", i)))
				if err != nil || response.Code != http.StatusCreated {
					t.Errorf("%v %v", response, err)
				}
				made.Add(1)
			})
		}
		testkit.Await(t, patience, func() error { return waitingFor(app, users) })
		for range 2 {
			login("globex", "grace@example.com")
			login("", "hank@example.com")
		}
		testkit.Await(t, patience, func() error { return waitingFor(app, users+4) })
		release()
		all.Wait()
		require.Zero(t, before.Load(), "users were made before a login was compared")
	})
}

func waitingFor(app *testkit.App, turns int) error {
	if waiting := app.Hashing.Waiting(); waiting != turns {
		return fmt.Errorf("%d wait for their turn", waiting)
	}
	return nil
}

// TestNoLeaseIsHeldWhileAPasswordIsHashed: a manager that closes waits for all leases.
func TestNoLeaseIsHeldWhileAPasswordIsHashed(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		var held atomic.Bool
		halt := make(chan struct{})
		settings.Passwords = auth.PasswordOptions{Cost: 4, Workers: 1, Wait: 3 * patience, OnCompare: func() {
			if held.Load() {
				<-halt
			}
		}}
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		owner, member := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		app.Token("acme", "hank@example.com")
		reset := app.Post("/api/users/3/password-reset", owner, nil)
		require.Equal(t, http.StatusCreated, reset.Code, reset.Raw)
		held.Store(true)

		var all sync.WaitGroup
		for i, request := range []testkit.Request{
			change(member, testkit.Password, newPassword),
			change(owner, testkit.Password, newPassword),
			adding(owner, "joan@example.com"),
			{Method: http.MethodPost, Path: "/api/auth/password-reset", Body: testkit.JSON{"token": reset.Text(app, "token"), "new_password": newPassword}},
		} {
			all.Go(func() { _, _ = app.Try(request) }) // the tenants are closed before the answer
			if i > 0 {                                 // the first has the only turn
				testkit.Await(t, patience, func() error { return waitingFor(app, i) })
			}
		}
		defer all.Wait()
		defer close(halt)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // less than a request may take
		defer cancel()
		require.NoError(t, app.Tenants.Close(ctx))
	})
}

// TestPasswordsOfOneTenantAreLimited, whichever way they are set. Another tenant's are
// not.
func TestPasswordsOfOneTenantAreLimited(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.PasswordsPerMinute = 3 }, func(t *testing.T, app *testkit.App) {
		owner := app.Token("acme", "ada@example.com")
		member := app.Token("acme", "grace@example.com")
		other := app.Token("globex", "ada@example.com")
		require.Equal(t, http.StatusCreated, app.Do(adding(owner, "one@example.com")).Code)
		require.Equal(t, http.StatusOK, app.Do(change(member, testkit.Password, newPassword)).Code)
		reset := app.Post("/api/users/3/password-reset", owner, nil)
		redemption := testkit.Request{
			Method: http.MethodPost, Path: "/api/auth/password-reset",
			Body: testkit.JSON{"token": reset.Text(app, "token"), "new_password": newPassword},
		}
		require.Equal(t, http.StatusNoContent, app.Do(redemption).Code)

		requireTooMany(t, app, app.Do(adding(owner, "two@example.com")), "too_many_requests", 20)
		requireTooMany(t, app, app.Do(change(owner, testkit.Password, newPassword)), "too_many_requests", 20)
		again := app.Post("/api/users/3/password-reset", owner, nil)
		redemption.Body = testkit.JSON{"token": again.Text(app, "token"), "new_password": newPassword}
		requireTooMany(t, app, app.Do(redemption), "too_many_requests", 20)
		require.Equal(t, http.StatusOK, app.LoginWith("acme", "grace@example.com", newPassword).Code)
		require.Equal(t, http.StatusCreated, app.Do(adding(other, "one@example.com")).Code)
	})
}

// TestRefreshesAreLimited, as changes are: each writes the session's row.
func TestRefreshesAreLimited(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.WritesPerMinute = 5 }, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			app.Token(tenant, "ada@example.com")
			tokens := login(t, app, tenant, "ada@example.com")
			for range 5 {
				tokens = renew(t, app, tokens.refresh)
			}
			requireTooMany(t, app, app.Do(testkit.Refreshing(tokens.refresh)), "too_many_requests", 12)
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", tokens.access).Code)
		}
	})
}

// TestChangesOfOneUserAreLimited, at the core and in a tenant; reading is not.
func TestChangesOfOneUserAreLimited(t *testing.T) {
	set := func(o *limits.Options) { o.WritesPerMinute, o.AllWritesPerMinute = 5, 8 }
	eachLimited(t, set, func(t *testing.T, app *testkit.App) {
		profile := testkit.JSON{"full_name": "Ada"}
		core, owner := app.Token("", "ada@example.com"), app.Token("acme", "ada@example.com")
		member, other := app.Token("acme", "grace@example.com"), app.Token("globex", "ada@example.com")
		for _, token := range []string{core, owner} {
			for range 5 {
				require.Equal(t, http.StatusOK, app.Put("/api/users/me", token, profile).Code)
			}
			requireTooMany(t, app, app.Put("/api/users/me", token, profile), "too_many_requests", 12)
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", token).Code)
		}
		requireTooMany(t, app, app.CreateOrganization(core, "initech"), "too_many_requests", 12)
		invitation := testkit.JSON{"email": "hank@example.com"}
		requireTooMany(t, app, app.Post("/api/invitations/", owner, invitation), "too_many_requests", 12)
		requireTooMany(t, app, app.Do(adding(owner, "one@example.com")), "too_many_requests", 12)

		for range 3 {
			require.Equal(t, http.StatusOK, app.Put("/api/users/me", member, profile).Code)
		}
		requireTooMany(t, app, app.Put("/api/users/me", member, profile), "too_many_requests", 8)
		require.Equal(t, http.StatusOK, app.Put("/api/users/me", other, profile).Code)
	})
}
