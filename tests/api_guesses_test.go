package tests_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/tests/testkit"
)

// TestOnePasswordHasOneCount: the owner of organizations enters their tenants with the
// password of the core. Guesses at it count together, wherever they are made.
func TestOnePasswordHasOneCount(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
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

// TestOnlyTheRightPasswordTellsOfASuspension: until then a suspended tenant is like one
// that serves, and like none at all. Every refusal compares once and is recorded once.
func TestOnlyTheRightPasswordTellsOfASuspension(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		var compared atomic.Int64
		settings.Passwords = auth.PasswordOptions{Cost: 4, OnCompare: func() { compared.Add(1) }}
		app := testkit.Start(t, settings)
		app.Organization(app.Token("", "ada@example.com"), "acme")
		member := app.Token("acme", "grace@example.com")
		app.Register("acme", "gone@example.com")
		deactivate(t, app, "acme", "gone@example.com")
		settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		app = testkit.Start(t, settings) // has no tenant open
		app.Get(profilePath, member).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")

		compared.Store(0)
		for i, who := range [][2]string{
			{"ada@example.com", "a wrong password"},
			{"grace@example.com", "a wrong password"},
			{"nobody@example.com", testkit.Password},
			{"gone@example.com", testkit.Password},
			{"grace@example.com", strings.Repeat("x", 73)},
		} {
			app.LoginWith("acme", who[0], who[1]).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			require.EqualValues(t, i+1, compared.Load())
		}
		for _, email := range []string{"ada@example.com", "grace@example.com"} {
			app.Login("acme", email).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		}
		app.Get(profilePath, member).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'user.sign_in_refused'"))

		settings.Command(t, "tenants", "resume", "acme").RequireCode(t, 0)
		owner := app.TokenOf("acme", "ada@example.com") // at once: the row is read again
		const refused = "user.sign_in_refused refused by "
		require.Equal(t, []string{
			refused + "ada to nothing wrong_password", refused + "grace to nothing wrong_password",
			refused + "nobody to nothing unknown_user", refused + "gone to nothing deactivated",
			refused + "grace to nothing wrong_password", refused + "ada to nothing tenant_suspended",
			refused + "grace to nothing tenant_suspended",
		}, audited(t, app, owner, "?action=user.sign_in_refused"))
	})
}

// TestRightPasswordsAtOnce, as of many devices, are no guesses: all of them wait for their
// turn, also where one miss closes the account.
func TestRightPasswordsAtOnce(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.Guesses, o.AllGuesses = 1, 1 }, func(t *testing.T, app *testkit.App) {
		const devices = 12
		for _, tenant := range []string{"", "acme"} {
			app.Register(tenant, "ada@example.com")
			logins := repeat(devices, func(int) testkit.Request { return loggingIn(tenant, "ada@example.com", testkit.Password) })
			answers := testkit.TryAtOnce(t, []*testkit.App{app}, logins)
			require.Equal(t, map[int]int{http.StatusOK: devices}, testkit.Count(answers), "%+v", answers)
		}
	})
}

// TestAnAttemptWaitsForOthersOnlySoLong: then it is refused, and not for wrong passwords.
func TestAnAttemptWaitsForOthersOnlySoLong(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	begun, goOn := make(chan struct{}), make(chan struct{})
	finish := sync.OnceFunc(func() { close(goOn) })
	defer finish()
	settings.Limits = generous()
	settings.Limits.Guesses = 1
	settings.Passwords = auth.PasswordOptions{Cost: 4, Workers: 2, OnCompare: func() { begun <- struct{}{}; <-goOn }}
	app := testkit.Start(t, settings)
	app.Register("", "ada@example.com")
	first := make(chan testkit.Response)
	go func() {
		answer, _ := app.Try(loggingIn("", "ada@example.com", testkit.Password))
		first <- answer
	}()
	<-begun

	refused := app.Login("", "ada@example.com")
	refused.RequireProblem(app, 429, "too_many_attempts", "Too many attempts at once, try again later")
	requireTooMany(t, app, refused, "too_many_attempts", 1)
	finish()
	require.Equal(t, http.StatusOK, (<-first).Code)
}
