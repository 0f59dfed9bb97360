package tests_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/tests/testkit"
)

// TestOnePasswordHasOneCount: the owner of organizations enters their tenants with the
// password of the core. Guesses at it count together, wherever they are made.
func TestOnePasswordHasOneCount(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		var compared atomic.Int64
		settings.Limits = generous()
		settings.Passwords = auth.PasswordOptions{Cost: 4, OnCompare: func() { compared.Add(1) }}
		app := testkit.Start(t, settings)
		owner := ownerOf(t, app)
		grace := app.Token("", "grace@example.com")
		app.Organization(grace, "initech")
		app.Register("initech", "ada@example.com")

		compared.Store(0)
		doors := []testkit.Request{
			loggingIn("", "ada@example.com", "a wrong password"),
			loggingIn("acme", " ADA@example.com", "a wrong password"),
			loggingIn("globex", "ada@example.com", "a wrong password"),
			change(owner.core.access, "a wrong password", newPassword),
			change(owner.acme.access, "a wrong password", newPassword),
		}
		counted := testkit.Count(testkit.TryAtOnce(t, []*testkit.App{app}, slices.Repeat(doors, 6)))
		require.EqualValues(t, 10, compared.Load())
		require.Equal(t, 10, counted[http.StatusUnauthorized]+counted[http.StatusBadRequest], "%v", counted)
		require.Equal(t, 20, counted[http.StatusTooManyRequests], "%v", counted)
		for _, tenant := range []string{"", "acme", "globex"} {
			requireTooMany(t, app, app.Login(tenant, "ada@example.com"), "too_many_attempts", 1)
		}
		require.EqualValues(t, 10, compared.Load())
		require.Equal(t, http.StatusOK, app.Login("initech", "ada@example.com").Code, "another user with the same address")
	})
}

// TestGuessersKeepNoAddressOut: while many addresses guess, the right password works
// from another one that has waited as long as it was told.
func TestGuessersKeepNoAddressOut(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	var passed atomic.Int64
	started := time.Now()
	settings.Limits, settings.TrustedProxies = generous(), []string{"127.0.0.1"}
	settings.Limits.Now = func() time.Time { return started.Add(time.Duration(passed.Load())) }
	app := testkit.Start(t, settings)
	app.Register("acme", "ada@example.com")
	try := func(from int, password string) testkit.Response {
		request := loggingIn("acme", "ada@example.com", password)
		request.Header = http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.113.%d", from)}}
		return app.Do(request)
	}
	attack := func() {
		for i := range 60 {
			try(i, "a wrong password")
		}
	}
	const newcomer = 200
	for range 8 {
		attack()
		passed.Add(int64(30 * time.Second))
	}
	attack()
	refused := try(newcomer, testkit.Password)
	requireTooMany(t, app, refused, "too_many_attempts", 30)
	wait, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	require.NoError(t, err)
	passed.Add(int64(time.Duration(wait) * time.Second))
	attack()
	require.Equal(t, http.StatusOK, try(newcomer, testkit.Password).Code)
}
