package tests_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// generous are limits that only the callers a test is about reach. Their clock
// stands still: a slow machine gives no request back.
func generous() *limits.Options {
	started := time.Now()
	return &limits.Options{
		LoginsPerMinute: 100_000, RegistrationsPerHour: 1000, TenantsPerHour: 1000, AllTenantsPerHour: 1000,
		Organizations: 1000, PasswordsPerMinute: 1000, WritesPerMinute: 10_000, AllWritesPerMinute: 10_000,
		Guesses: 10, AllGuesses: 100,
		Now: func() time.Time { return started },
	}
}

// eachLimited runs the test on both engines, with these limits.
func eachLimited(t *testing.T, set func(o *limits.Options), test func(t *testing.T, app *testkit.App)) {
	t.Helper()
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Limits = generous()
		set(settings.Limits)
		test(t, testkit.Start(t, settings))
	})
}

// requireTooMany requires the refusal of that code, and a wait of that many
// seconds at most.
func requireTooMany(t *testing.T, app *testkit.App, r testkit.Response, code string, seconds int) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, r.Code, r.Raw)
	require.Equal(t, code, r.Text(app, "code"))
	wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, wait)
	require.LessOrEqual(t, wait, seconds)
}

func loggingIn(tenant, email, password string) testkit.Request {
	return testkit.Request{
		Method: http.MethodPost, Path: "/api/auth/login", Tenant: tenant,
		Body: testkit.JSON{"email": email, "password": password},
	}
}

// TestTwoHundredGuessesAtOnce at one account: hardly any is compared with its
// hash, whether there is such an account or not.
func TestTwoHundredGuessesAtOnce(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		var compared atomic.Int64
		settings.Limits = generous()
		settings.Passwords = auth.PasswordOptions{Cost: 4, OnCompare: func() { compared.Add(1) }}
		app := testkit.Start(t, settings)
		for _, tenant := range []string{"", "acme"} {
			app.Register(tenant, "ada@example.com")
			app.Register(tenant, "gone@example.com")
			deactivate(t, app, tenant, "gone@example.com")
		}
		app.Register("globex", "ada@example.com")
		for _, who := range [][2]string{
			{"", "ada@example.com"},
			{"acme", "ada@example.com"},
			{"acme", "gone@example.com"},
			{"acme", "nobody@example.com"},
			{"nobody", "ada@example.com"},
		} {
			compared.Store(0)
			answers := testkit.TryAtOnce(t, []*testkit.App{app}, repeat(200, func(i int) testkit.Request {
				email := who[1]
				if i%2 == 0 {
					email = " " + strings.ToUpper(email)
				}
				return loggingIn(who[0], email, "a wrong password")
			}))
			require.EqualValues(t, 10, compared.Load(), who)
			counted := testkit.Count(answers)
			require.EqualValues(t, compared.Load(), counted[http.StatusUnauthorized], "%v", counted)
			require.Equal(t, 200, counted[http.StatusUnauthorized]+counted[http.StatusTooManyRequests], "%v", counted)
		}
		require.Equal(t, http.StatusOK, app.Login("globex", "ada@example.com").Code, "another tenant's account is another")
		require.NotContains(t, strings.ToLower(app.Log.String()), "@example.com")
	})
}

// TestRefusedGuessesAreAllAlike: nobody learns from them what exists, nor from
// what is answered to the right password.
func TestRefusedGuessesAreAllAlike(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.Guesses = 2 }, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			app.Register(tenant, "ada@example.com")
			app.Register(tenant, "gone@example.com")
			deactivate(t, app, tenant, "gone@example.com")
		}
		var alike testkit.JSON
		for _, who := range [][2]string{
			{"", "ada@example.com"},
			{"", "gone@example.com"},
			{"", "nobody@example.com"},
			{"acme", "ada@example.com"},
			{"acme", "gone@example.com"},
			{"acme", "nobody@example.com"},
			{"nobody", "ada@example.com"},
			{"core", "ada@example.com"},
		} {
			for _, password := range []string{"a wrong password", strings.Repeat("x", 73)} {
				app.LoginWith(who[0], who[1], password).
					RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			}
			refused := app.Login(who[0], who[1])
			requireTooMany(t, app, refused, "too_many_attempts", 1)
			body := refused.Object(app)
			delete(body, "request_id")
			if alike == nil {
				alike = body
			}
			require.Equal(t, alike, body)
		}
	})
}

// TestChangingThePasswordCountsAsGuessing: whoever has got hold of a session
// does not find out the password by it. The owner's is the core's, everywhere.
func TestChangingThePasswordCountsAsGuessing(t *testing.T) {
	eachLimited(t, func(*limits.Options) {}, func(t *testing.T, app *testkit.App) {
		owner := ownerOf(t, app)
		member := app.Token("acme", "grace@example.com")
		hank := app.Token("globex", "grace@example.com")
		for _, guess := range []struct{ token, tenant, email string }{
			{owner.acme.access, "", "ada@example.com"}, {member, "acme", "grace@example.com"},
		} {
			for i := range 10 {
				if i%2 == 0 {
					app.Do(change(guess.token, "another password", newPassword)).
						RequireProblem(app, 400, "wrong_password", "Incorrect password")
					continue
				}
				app.LoginWith(guess.tenant, guess.email, "another password").
					RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			}
			requireTooMany(t, app, app.Do(change(guess.token, testkit.Password, newPassword)), "too_many_attempts", 1)
			requireTooMany(t, app, app.Login(guess.tenant, guess.email), "too_many_attempts", 1)
		}
		requireTooMany(t, app, app.Do(change(owner.core.access, testkit.Password, newPassword)), "too_many_attempts", 1)
		requireLives(t, app, owner.core, owner.acme, tokens{access: member})
		requireChange(t, app, hank)
	})
}

func TestLoginsFromOneAddress(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.LoginsPerMinute = 5 }, func(t *testing.T, app *testkit.App) {
		app.Register("acme", "ada@example.com")
		app.Do(loggingIn("", "", "")).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		for range 10 { // what is malformed does not count
			require.Equal(t, http.StatusUnprocessableEntity, app.Post("/api/auth/login", "", `{}`).Code)
		}
		answers := map[int]int{}
		for i := range 20 {
			request := loggingIn("acme", "ada@example.com", testkit.Password)
			request.Header = http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.113.%d", i)}, "X-Real-Ip": {"203.0.113.1"}}
			answers[app.Do(request).Code]++
		}
		require.Equal(t, map[int]int{http.StatusOK: 4, http.StatusTooManyRequests: 16}, answers, "forged headers change nothing")
		requireTooMany(t, app, app.Login("", "grace@example.com"), "too_many_logins", 12)
		require.Equal(t, 1, strings.Count(app.Log.String(), "TRUSTED_PROXIES"), "it is said once")
	})
}

func TestAddressesBehindAProxy(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Limits, settings.TrustedProxies = generous(), []string{"127.0.0.1"}
	settings.Limits.LoginsPerMinute = 2
	app := testkit.Start(t, settings)
	for i, client := range []struct {
		forwarded []string
		status    int
	}{
		{[]string{"203.0.113.1"}, 401},
		{[]string{"203.0.113.1"}, 401},
		{[]string{"203.0.113.1"}, 429},
		{[]string{"198.51.100.9, 203.0.113.1"}, 429}, // the client has sent the first itself
		{[]string{"198.51.100.9", "203.0.113.1"}, 429},
		{[]string{"203.0.113.2"}, 401},
		{[]string{"2001:db8::1"}, 401},
		{[]string{"2001:db8::2"}, 401},
		{[]string{"2001:db8::3"}, 429},
		{[]string{"[2001:db8::4]:443"}, 429},
		{[]string{"[2001:db8::4]"}, 429},
		{[]string{"2001:db8:0:1::3"}, 401},
		{[]string{"203.0.113.9:50000"}, 401},
		{[]string{"203.0.113.9:50001"}, 401},
		{[]string{"203.0.113.9:50002"}, 429},
		{[]string{"203.0.113.9"}, 429},
		{[]string{"unknown, 203.0.113.9:50003"}, 429},
		{[]string{"203.0.113.10:50003"}, 401},
		{nil, 401},
		{nil, 401},
		{nil, 429}, // the proxy itself, whatever X-Real-Ip says
		{[]string{"203.0.113.11, unknown"}, 429},
	} {
		request := loggingIn("", "ada@example.com", "a wrong password")
		request.Header = http.Header{"X-Forwarded-For": client.forwarded, "X-Real-Ip": {fmt.Sprintf("198.51.100.%d", i)}}
		require.Equal(t, client.status, app.Do(request).Code, client.forwarded)
	}
	require.NotContains(t, app.Log.String(), "TRUSTED_PROXIES")
}

// TestRegistrationsFromOneAddress: those refused leave nothing.
func TestRegistrationsFromOneAddress(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.RegistrationsPerHour = 6 }, func(t *testing.T, app *testkit.App) {
		app.Register("acme", "ada@example.com")
		before := app.Settings.Databases(t)
		for range 10 {
			app.Post("/api/auth/register", "", `{"email":"x"}`) // malformed, so it does not count
		}
		answers := testkit.TryAtOnce(t, []*testkit.App{app}, repeat(24, func(i int) testkit.Request {
			return testkit.Registration([]string{"", "acme"}[i%2], fmt.Sprintf("user%d@example.com", i))
		}))
		require.Equal(t, map[int]int{http.StatusOK: 5, http.StatusTooManyRequests: 19}, testkit.Count(answers))
		requireTooMany(t, app, app.Register("globex", "ada@example.com"), "too_many_registrations", 600)
		require.Equal(t, before, app.Settings.Databases(t))
		inCore := testkit.Scalar[int](t, &app.Settings, app.Settings.CoreName(), "SELECT count(*) FROM core_users")
		require.Equal(t, 6, inCore+usersOf(t, app, "acme"))
	})
}

// TestTenantsFromOneAddress: just as many are made as may be, however many are
// asked for at once, and nothing is left of the others.
func TestTenantsFromOneAddress(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.TenantsPerHour = 5 }, func(t *testing.T, app *testkit.App) {
		before := app.Settings.Databases(t)
		together := testkit.TryAtOnce(t, []*testkit.App{app}, repeat(24, func(i int) testkit.Request {
			return testkit.Registration("acme", fmt.Sprintf("user%d@example.com", i))
		}))
		require.Equal(t, map[int]int{http.StatusOK: 24}, testkit.Count(together), "one tenant counts once")
		answers := testkit.TryAtOnce(t, []*testkit.App{app}, repeat(24, func(i int) testkit.Request {
			return testkit.Registration(fmt.Sprintf("tenant-%d", i), "ada@example.com")
		}))
		require.Equal(t, map[int]int{http.StatusOK: 4, http.StatusTooManyRequests: 20}, testkit.Count(answers))
		requireTooMany(t, app, app.Register("globex", "ada@example.com"), "too_many_tenants", 720)
		require.Equal(t, http.StatusOK, app.Register("acme", "late@example.com").Code, "those there are stay open")
		requireTooMany(t, app, app.CreateOrganization(app.Token("", "ada@example.com"), "initech"), "too_many_tenants", 720)
		require.Len(t, app.Settings.Databases(t), len(before)+5)
		app.Settings.RequireTidy(t)
	})
}

// TestOrganizationsCountAsTenants: those that several users make from one address count
// together, and to delete them gives nothing back.
func TestOrganizationsCountAsTenants(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.TenantsPerHour = 3 }, func(t *testing.T, app *testkit.App) {
		ada, grace := app.Token("", "ada@example.com"), app.Token("", "grace@example.com")
		app.Organization(ada, "acme")
		app.CreateOrganization(grace, "acme").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		app.Organization(grace, "globex")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", ada).Code)
		app.Organization(ada, "hooli")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/hooli", ada).Code)

		for _, token := range []string{ada, grace} {
			requireTooMany(t, app, app.CreateOrganization(token, "initech"), "too_many_tenants", 1200)
		}
		requireTooMany(t, app, app.Register("initech", "ada@example.com"), "too_many_tenants", 1200)
		app.Settings.RequireTidy(t)
	})
}

// TestOrganizationsOfOneUser: somebody who owns 19 and asks for 24 more at once,
// of two processes, gets just one.
func TestOrganizationsOfOneUser(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Limits = generous()
		settings.Limits.Organizations = 4
		line := newStartingLine(4) // two processes make two databases at once each
		settings.OnStep = line.pass
		apps := []*testkit.App{testkit.Start(t, settings), testkit.Start(t, settings)}
		app := apps[0]
		ada, grace := app.Token("", "ada@example.com"), app.Token("", "grace@example.com")
		for i := range 3 {
			app.Organization(ada, fmt.Sprintf("acme-%d", i))
		}
		suspend := app.Put("/api/organizations/acme-0", ada, testkit.JSON{"is_active": false})
		require.Equal(t, http.StatusOK, suspend.Code, suspend.Raw)

		line.isUp.Store(true)
		answers := testkit.TryAtOnce(t, apps, repeat(24, func(i int) testkit.Request {
			return testkit.Creation(ada, fmt.Sprintf("globex-%d", i))
		}))

		counted := testkit.Count(answers)
		require.Equal(t, 1, counted[http.StatusOK], "%v", counted)
		require.GreaterOrEqual(t, counted[http.StatusTooManyRequests], 4, "%v", counted)
		require.Equal(t, 23, counted[http.StatusTooManyRequests]+counted[http.StatusServiceUnavailable], // where making took too long
			"%v", counted)
		refused := app.CreateOrganization(ada, "initech")
		requireTooMany(t, app, refused, "too_many_organizations", 3600)
		require.Equal(t, "Nobody may own more than 4 organizations", refused.Text(app, "detail"))
		require.Equal(t, 4, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM organizations"))
		app.Settings.RequireTidy(t)

		app.Organization(grace, "initech")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme-0", ada).Code)
		app.Organization(ada, "acme-0")
		requireTooMany(t, app, app.CreateOrganization(ada, "hooli"), "too_many_organizations", 3600)
		command := settings.Command(t, "tenants", "create", "hooli", "--owner", "ada@example.com")
		command.RequireCode(t, 0) // the operator decides
	})
}

// startingLine holds up those who have made a database until so many have, so
// that they claim theirs at the same time.
type startingLine struct {
	isUp    atomic.Bool
	missing atomic.Int64
	open    chan struct{}
}

func newStartingLine(number int64) *startingLine {
	l := &startingLine{open: make(chan struct{})}
	l.missing.Store(number)
	return l
}

func (l *startingLine) pass(step tenants.Step) {
	if step != tenants.StepBuilt || !l.isUp.Load() {
		return
	}
	if l.missing.Add(-1) == 0 {
		close(l.open)
	}
	<-l.open
}
