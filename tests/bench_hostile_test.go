package tests_test

import (
	"database/sql"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/config"
	"multitenant/tests/testkit"
)

// hostileTime is how long the others are measured in each sub-benchmark.
const hostileTime = 6 * time.Second

// BenchmarkHostileTenant tells what others notice of a tenant that does all it can:
// how long their logins and their requests for /api/users/me take, and how many of both
// are answered 503. In "quiet" they are alone. In "limits" all settings have their
// defaults, except BCRYPT_COST if it is set. In "none" the limits on abuse are off.
func BenchmarkHostileTenant(b *testing.B) {
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		for _, mode := range []string{"quiet", "limits", "none"} {
			b.Run(string(engine)+"/"+mode, func(b *testing.B) { measureHostile(b, engine, mode) })
		}
	}
}

func measureHostile(b *testing.B, engine testkit.Engine, mode string) {
	b.Helper()
	app, tokens := startHostile(b, engine, mode == "limits")
	clients := testkit.Attach(b, app.URL)
	for b.Loop() {
		hostile := &callers{clients: clients}
		if mode != "quiet" {
			hostile.attack(b, app, tokens)
		}
		logins, profiles := &callers{clients: clients}, &callers{clients: clients}
		for i := range 2 {
			logins.repeat(func(n int) testkit.Request {
				return from(n, loggingIn(otherTenants()[(i+n)%len(otherTenants())], "ada@example.com", testkit.Password))
			})
			profiles.repeat(func(n int) testkit.Request {
				token := tokens[otherTenants()[(i+n)%len(otherTenants())]]
				return from(n, testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token})
			})
		}
		<-time.After(hostileTime)
		logins.report(b, "login")
		profiles.report(b, "me")
		hostile.stop()
		b.ReportMetric(float64(hostile.answered())/hostileTime.Seconds(), "hostile/s")
		b.Log("the hostile tenant got", hostile.codes)
	}
	b.ReportMetric(0, "ns/op") // not what this is about
}

// otherTenants are those that are measured; the empty one is the core.
func otherTenants() []string { return []string{"", "globex", "hooli", "pied", "raviga"} }

// lockedTenants belong to the hostile one too.
func lockedTenants() []string { return []string{"initech", "umbrella", "soylent"} }

// startHostile makes the tenants with cheap hashes and without limits, and then starts
// an application as in production. It returns the tokens of the tenants' owners.
func startHostile(b *testing.B, engine testkit.Engine, isLimited bool) (*testkit.App, map[string]string) {
	b.Helper()
	settings := testkit.Fresh(b, engine)
	settings.Quiet, settings.TrustedProxies = true, []string{"127.0.0.1"}
	app := testkit.Start(b, settings)
	tokens := map[string]string{"acme": app.Token("acme", "ada@example.com")}
	for _, tenant := range append(otherTenants(), lockedTenants()...) {
		tokens[tenant] = app.Token(tenant, "ada@example.com")
	}
	app.Close()
	defaults, err := config.LoadKeyless(map[string]string{"BCRYPT_COST": os.Getenv("BCRYPT_COST")}, b.TempDir())
	require.NoError(b, err)
	settings.Database.MaxConnections = defaults.Database.MaxConnections
	settings.Spares, settings.SlugRest = defaults.TenantSpares, defaults.TenantSlugRest
	settings.Passwords = auth.PasswordOptions{Cost: defaults.Passwords.Cost}
	if isLimited {
		settings.Limits = defaults.Limits
	}
	return testkit.Start(b, settings), tokens
}

// from is the request of a client with an address of its own, as a proxy reports it.
func from(client int, r testkit.Request) testkit.Request {
	r.Header = maps.Clone(r.Header)
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", client>>16&255, client>>8&255, client&255))
	return r
}

// callers are clients that ask as fast as they are answered.
type callers struct {
	clients *testkit.App
	all     sync.WaitGroup
	ended   atomic.Bool
	asked   atomic.Int64
	unlocks []func()

	mu    sync.Mutex // guards what follows
	took  []time.Duration
	codes map[int]int
}

// repeat adds a client. next makes its requests; n counts those of the whole callers.
func (c *callers) repeat(next func(n int) testkit.Request) {
	c.all.Go(func() {
		for !c.ended.Load() {
			response, took, err := c.clients.Measure(next(int(c.asked.Add(1))))
			if err != nil {
				response.Code = -1
			}
			c.mu.Lock()
			if c.codes == nil {
				c.codes = map[int]int{}
			}
			c.codes[response.Code]++
			c.took = append(c.took, took)
			c.mu.Unlock()
		}
	})
}

// stop ends the callers and waits for its last answers.
func (c *callers) stop() {
	c.ended.Store(true)
	for _, unlock := range c.unlocks {
		unlock()
	}
	c.all.Wait()
}

func (c *callers) answered() int { return len(c.took) }

// report stops the callers and reports what it has got.
func (c *callers) report(b *testing.B, name string) {
	b.Helper()
	c.stop()
	require.Equal(b, c.answered(), c.codes[http.StatusOK]+c.codes[http.StatusServiceUnavailable], "%s: %v", name, c.codes)
	b.ReportMetric(milliseconds(quantile(c.took, 0.5)), name+"-p50-ms")
	b.ReportMetric(milliseconds(quantile(c.took, 0.99)), name+"-p99-ms")
	b.ReportMetric(float64(c.codes[http.StatusServiceUnavailable]), name+"-503")
	b.ReportMetric(float64(c.answered()), name+"-asked")
}

// attack begins all that the tenant acme and its friends do.
func (c *callers) attack(b *testing.B, app *testkit.App, tokens map[string]string) {
	b.Helper()
	for i := range 32 {
		c.repeat(func(int) testkit.Request { return from(i, loggingIn("acme", "ada@example.com", "a wrong password")) })
		c.repeat(func(n int) testkit.Request {
			return from(i, adding(tokens["acme"], fmt.Sprintf("user%d@example.com", n)))
		})
	}
	for range 64 {
		c.repeat(func(n int) testkit.Request { return renaming(tokens["acme"], n) })
		b.Cleanup(neverSend(b, app, tokens["acme"]))
	}
	for i := range 4 {
		slug, isMade := fmt.Sprintf("acme-%d", i), false
		c.repeat(func(int) testkit.Request {
			isMade = !isMade
			if isMade {
				return from(i, testkit.Creation(tokens[""], slug))
			}
			return from(i, testkit.Request{Method: http.MethodDelete, Path: "/api/organizations/" + slug, Token: tokens[""]})
		})
	}
	for _, tenant := range lockedTenants() {
		c.unlocks = append(c.unlocks, lockTenant(b, app, tenant))
		for range 22 {
			c.repeat(func(n int) testkit.Request { return renaming(tokens[tenant], n) })
		}
	}
}

func renaming(token string, n int) testkit.Request {
	body := testkit.JSON{"full_name": fmt.Sprintf("Ada %d", n)}
	return testkit.Request{Method: http.MethodPut, Path: profilePath, Token: token, Body: body}
}

// lockTenant locks all users of the tenant until unlock is called.
func lockTenant(b *testing.B, app *testkit.App, tenant string) (unlock func()) {
	b.Helper()
	session, err := app.Settings.SQL(b, app.Settings.DatabaseName(tenant)).Conn(b.Context())
	require.NoError(b, err)
	statements := []string{"BEGIN EXCLUSIVE"}
	if app.Settings.Engine == testkit.Postgres {
		statements = []string{"BEGIN", "LOCK TABLE tenant_users IN ACCESS EXCLUSIVE MODE"}
	}
	for _, statement := range statements {
		_, err := session.ExecContext(b.Context(), statement)
		require.NoError(b, err)
	}
	return sync.OnceFunc(func() { end(b, session) })
}

func end(b *testing.B, session *sql.Conn) {
	b.Helper()
	_, err := session.ExecContext(b.Context(), "ROLLBACK")
	if err == nil {
		err = session.Close()
	}
	if err != nil {
		b.Errorf("unlock: %v", err)
	}
}

// neverSend sends the head of a request whose body never comes.
func neverSend(b *testing.B, app *testkit.App, token string) (hangUp func()) {
	b.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(b.Context(), "tcp", strings.TrimPrefix(app.URL, "http://"))
	require.NoError(b, err)
	_, err = fmt.Fprintf(conn, "PUT /api/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 20\r\n\r\n", token)
	require.NoError(b, err)
	return func() { _ = conn.Close() }
}
