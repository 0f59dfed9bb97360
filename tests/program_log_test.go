package tests_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// awaitLog waits for the log to say it: a line may be written after its answer.
func awaitLog(t *testing.T, app *testkit.App, want string) {
	t.Helper()
	testkit.Await(t, 5*time.Second, func() error {
		if !strings.Contains(app.Log.String(), want) {
			return errors.New("the log does not say " + want)
		}
		return nil
	})
}

// TestTheFirstLineSaysWhatServesAndWhere, with addresses that a browser on the machine can
// use, and without the password of the database.
func TestTheFirstLineSaysWhatServesAndWhere(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		environ := settings.Environ()
		maps.Copy(environ, map[string]string{
			"HTTP_ADDR": "0.0.0.0:0", "METRICS_ADDR": ":0", "LOG_LEVEL": "info", "GOGC": "100", // serve would set the whole test's
		})
		var log testkit.Log
		serving, stop := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		go func() {
			ended <- commands.Run(serving, &commands.Invocation{Environ: environ, Stdout: &log, Stderr: &log})
		}()
		testkit.Await(t, 20*time.Second, func() error {
			if !strings.Contains(log.String(), "msg=settings") {
				return errors.New("no warning says that all can make tenants: " + log.String())
			}
			return nil
		})
		stop()
		require.Equal(t, commands.ExitOK, <-ended)

		place := filepath.Join(settings.Folder(), "core.db")
		if settings.Engine == testkit.Postgres {
			database, err := url.Parse(settings.Database.URL)
			require.NoError(t, err)
			password, _ := database.User.Password()
			require.NotEmpty(t, password)
			require.NotContains(t, log.String(), password)
			place = database.Host + database.Path
		}
		first, _, _ := strings.Cut(log.String(), "\n")
		require.Regexp(t, `level=INFO msg=serving api=(http://localhost:\d+) docs=http://localhost:\d+/docs console=http://localhost:\d+/console `+
			`metrics=http://localhost:\d+/metrics version=\S+ engine=`+string(settings.Engine)+` data=`+regexp.QuoteMeta(place)+`$`, first)
	})
}

// TestTheLogHoldsNoSecrets, at its most talkative, after all that can happen.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		const marker = "what people write is nobody's business"
		core := app.Token("", "ada@example.com")
		app.Register("", "ada@example.com")
		app.Organization(core, "acme")
		app.CreateOrganization(core, "acme")
		owner, member := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		app.Register("acme", "grace@example.com")
		app.LoginWith("acme", "grace@example.com", "a wrong password")
		app.LoginWith("", "nobody@example.com", "a wrong password")
		app.Put(profilePath, member, testkit.JSON{"full_name": marker, "bio": marker})
		app.Put(profilePath, member, `{"bio":"`+marker)
		app.Put(profilePath, member, `{"bio":"`+marker+"\xff\"}")
		app.Post("/api/auth/login", "", `{"email":5,"password":"`+testkit.Password+`"}`)
		app.Post("/api/auth/register", "", `{"email":"x","password":"`+testkit.Password+`"} `+testkit.Password)
		app.Post(organizationsPath, core, testkit.JSON{"name": marker, "slug": "x y", "description": marker})
		app.Get(profilePath+"?access_token="+member, member+"x")
		app.Get(profilePath, with(t, claimsOf(t, member), testkit.JSON{"exp": 1}))
		app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Header: http.Header{"Authorization": {member}}})
		session := login(t, app, "acme", "grace@example.com")
		next := renew(t, app, session.refresh)
		renew(t, app, next.refresh)
		app.Do(testkit.Refreshing(next.refresh + "x"))
		app.Post("/api/auth/refresh", "", `{"refresh_token":"`+next.refresh)
		app.Get(profilePath+"?refresh_token="+next.refresh, next.refresh)
		app.Do(change(core, "a wrong password", newPassword))
		app.Do(change(core, testkit.Password, newPassword))
		app.Do(testkit.Refreshing(session.refresh)) // used again: it ends the session
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), "ALTER TABLE tenant_users RENAME TO elsewhere")
		broken := app.Put(profilePath, member, testkit.JSON{"bio": marker})
		require.GreaterOrEqual(t, broken.Code, 500, broken.Raw)
		app.Login("acme", "grace@example.com")
		app.Delete(organizationsPath+"acme", core)
		awaitLog(t, app, "method=DELETE")

		secrets := []string{
			testkit.Password, "a wrong password", marker, testkit.Secret, "$2a$", "$2b$", "eyJ", "@example.com", app.Settings.Database.URL,
			"access_token", "Bearer", newPassword, "mtr_", session.refresh[4:], next.refresh[4:],
		}
		for _, token := range []string{core, owner, member} {
			secrets = append(secrets, strings.Split(token, ".")...)
		}
		if _, afterScheme, found := strings.Cut(app.Settings.Database.URL, "://"); found && app.Settings.Engine == testkit.Postgres {
			userinfo, _, _ := strings.Cut(afterScheme, "@")
			_, password, _ := strings.Cut(userinfo, ":")
			require.NotEmpty(t, password)
			secrets = append(secrets, password)
		}
		log := app.Log.String()
		for _, secret := range secrets {
			require.NotContains(t, log, secret)
		}
	})
}

// TestTheLogSaysWhatTheAnswerDoesNot: the cause, under the same request id.
func TestTheLogSaysWhatTheAnswerDoesNot(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		member := app.Token("acme", "grace@example.com")
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), "ALTER TABLE tenant_users RENAME TO elsewhere")
		broken := app.Get(profilePath, member)
		require.GreaterOrEqual(t, broken.Code, 500, broken.Raw)
		require.NotContains(t, broken.Raw, "tenant_users")
		line := logLine(t, app, broken)
		require.Contains(t, line, "tenant_users")
		require.Contains(t, line, "tenant=acme")
		require.Contains(t, line, "level=ERROR")

		require.Equal(t, http.StatusOK, app.Get(profilePath, app.Token("globex", "hank@example.com")).Code, "another tenant is unaffected")
	})
}

// TestTheLogSaysOnceWhatIsOutOfReach: one line for the request, and none for
// the statement that found it out.
func TestTheLogSaysOnceWhatIsOutOfReach(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		member := app.Token("acme", "grace@example.com")
		app.Close()
		app = testkit.Start(t, settings)
		settings.DropDatabase(t, settings.DatabaseName("acme"))

		for range 3 {
			lost := app.Get(profilePath, member)
			lost.RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
			require.Contains(t, logLine(t, app, lost), "does not exist")
		}
		require.NotContains(t, app.Log.String(), "SELECT")
	})
}

// TestTheLogKeepsItsLines: nothing that is sent can begin a line of its own.
func TestTheLogKeepsItsLines(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Get("/api/organizations/x%0d%0atime=2026%20level=ERROR%20msg=forged", core)
		app.Get("/x%0atime=2026%20level=ERROR%20msg=forged", core)
		app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: core, Tenant: "x level=ERROR msg=forged"})
		app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Header: http.Header{"X-Request-Id": {"x level=ERROR msg=forged"}}})
		app.Put(profilePath, core, "{\n\"x\":\nlevel=ERROR msg=forged")
		for line := range strings.Lines(app.Log.String()) {
			require.True(t, strings.HasPrefix(line, "time="), line)
			require.NotContains(t, line, " msg=forged", line)
		}
	})
}

// TestPanicsAreAnswered like any other fault, and stop nothing.
func TestPanicsAreAnswered(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		var cause atomic.Value
		cause.Store(any("nothing"))
		settings.OnStep = func(step tenants.Step) {
			if text, ok := cause.Load().(string); ok && text != "nothing" && step == tenants.StepLocked {
				if text == "abort" {
					panic(http.ErrAbortHandler)
				}
				panic(text)
			}
		}
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		cause.Store("the secret cause")
		fault := app.CreateOrganization(core, "acme")
		fault.RequireProblem(app, 500, "internal", "Internal server error")
		require.NotContains(t, fault.Raw, "secret cause")
		line := logLine(t, app, fault)
		require.Contains(t, line, "the secret cause")
		require.Contains(t, line, "provision.go", "the stack says where")
		fault = app.Register("acme", "grace@example.com")
		fault.RequireProblem(app, 500, "internal", "Internal server error")

		cause.Store("abort")
		_, err := app.Try(testkit.Creation(core, "acme"))
		require.Error(t, err, "the connection is given up")

		cause.Store("nothing")
		for _, slug := range []string{"acme", "globex", "initech"} { // nothing is held by those that panicked
			app.Organization(core, slug)
		}
		app.Settings.RequireTidy(t)
	})
}

// TestAddressesInTheLog: X-Forwarded-For is believed of trusted proxies only.
func TestAddressesInTheLog(t *testing.T) {
	cases := []struct {
		name              string
		trusted           []string
		forwarded, logged string
	}{
		{"no proxy is trusted", nil, "203.0.113.9", "127.0.0.1"},
		{"another proxy is trusted", []string{"192.0.2.1"}, "203.0.113.9", "127.0.0.1"},
		{"this proxy is trusted", []string{"127.0.0.1"}, "203.0.113.9", "203.0.113.9"},
		{"a network is trusted", []string{"127.0.0.0/8"}, "203.0.113.9", "203.0.113.9"},
		{"the client forges one", []string{"127.0.0.1"}, "198.51.100.7, 203.0.113.9", "203.0.113.9"},
		{"two proxies", []string{"127.0.0.1", "203.0.113.9"}, "198.51.100.7, 203.0.113.9", "198.51.100.7"},
		{"no address", []string{"127.0.0.1"}, "x level=ERROR", "127.0.0.1"},
	}
	t.Parallel()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			settings := testkit.Fresh(t, testkit.SQLite) // the engine has no part in it
			settings.TrustedProxies = tc.trusted
			app := testkit.Start(t, settings)
			answer := app.Do(testkit.Request{
				Method: http.MethodGet, Path: "/health", Header: http.Header{"X-Forwarded-For": {tc.forwarded}},
			})
			require.Contains(t, logLine(t, app, answer), "ip="+tc.logged)
		})
	}
}

// logLine returns what the log says of a request.
func logLine(t *testing.T, app *testkit.App, answer testkit.Response) string {
	t.Helper()
	id := "request_id=" + answer.Header.Get("X-Request-Id")
	awaitLog(t, app, id)
	for line := range strings.Lines(app.Log.String()) {
		if strings.Contains(line, id) {
			return line
		}
	}
	require.Fail(t, "no line")
	return ""
}
