package tests_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// bystanders are people of a tenant that nothing happens to, who ask all the time.
type bystanders struct {
	stop    chan struct{}
	all     sync.WaitGroup
	mu      sync.Mutex // guards what follows
	served  int
	longest time.Duration
	wrong   []string
}

func watchBystanders(app *testkit.App, token, email string) *bystanders {
	b := &bystanders{stop: make(chan struct{})}
	for range 2 {
		b.all.Go(func() {
			for {
				select {
				case <-b.stop:
					return
				case <-time.After(rest):
				}
				begun := time.Now()
				response, err := app.Try(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token})
				took := time.Since(begun)
				b.mu.Lock()
				b.served++
				b.longest = max(b.longest, took)
				if err != nil || response.Code != http.StatusOK || response.Text(app, "email") != email {
					b.wrong = append(b.wrong, fmt.Sprintf("%v %s", err, response.Raw))
				}
				b.mu.Unlock()
			}
		})
	}
	return b
}

// requireUnharmed requires that they were served all the time, and soon.
func (b *bystanders) requireUnharmed(t *testing.T) {
	t.Helper()
	close(b.stop)
	b.all.Wait()
	t.Logf("%d others were served, each within %s", b.served, b.longest)
	require.Empty(t, b.wrong)
	require.Positive(t, b.served)
	require.Less(t, b.longest, slack)
}

// TestTheWayToOneTenantIsBad: slow by two seconds each time, cut, or closed. Its
// people are served or told within ten seconds to come back, it works again when
// the way does, and nobody else notices.
func TestTheWayToOneTenantIsBad(t *testing.T) {
	t.Parallel()
	proxy, settings := testkit.StartTenantProxy(t, testkit.Fresh(t, testkit.Postgres))
	settings.Database.MaxConnections = 20
	p := newPair(t, settings)
	for name, fault := range map[string]testkit.Fault{
		"slow":    {Delay: 2 * time.Second},
		"cut":     {Cut: true},
		"refused": {Cut: true, Refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			others := watchBystanders(p.App, p.globex, "hank@example.com")
			proxy.Afflict(p.acmeDB, fault)
			for range 2 {
				begun := time.Now()
				answers := testkit.TryAtOnce(t, []*testkit.App{p.App}, repeat(12, func(i int) testkit.Request {
					if i%3 == 0 {
						return testkit.Registration("acme", fmt.Sprintf("new%d@%s.example.com", i, name))
					}
					return testkit.Request{Method: http.MethodGet, Path: profilePath, Token: p.acme}
				}))
				require.Less(t, time.Since(begun), patience+slack)
				for _, answer := range answers {
					require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusServiceUnavailable}, answer.Code, answer.Raw)
					require.Equal(t, answer.Code == http.StatusServiceUnavailable, answer.Header.Get("Retry-After") != "")
				}
				if fault.Refuse {
					require.Equal(t, 12, testkit.Count(answers)[http.StatusServiceUnavailable])
				}
			}

			proxy.Afflict(p.acmeDB, testkit.Fault{})
			testkit.Await(t, recovery+slack, func() error {
				if me := p.Get(profilePath, p.acme); me.Code != http.StatusOK {
					return errors.New(me.Raw)
				}
				return nil
			})
			others.requireUnharmed(t)
			p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
		})
	}
}

// hog takes all the connections that a server gives anybody, and those that
// become free.
type hog struct {
	mu    sync.Mutex // guards conns
	conns []*pgx.Conn
}

func (h *hog) fill(ctx context.Context, address string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		conn, err := pgx.Connect(ctx, address)
		refused := new(pgconn.PgError)
		if errors.As(err, &refused) && refused.Code == "53300" {
			return nil
		}
		if err != nil {
			return err
		}
		h.conns = append(h.conns, conn)
	}
}

func (h *hog) release(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, conn := range h.conns {
		_ = conn.Close(ctx) // it may have been ended
	}
	h.conns = nil
}

// TestOthersHaveAllConnections of the server: requests are told to come back, the
// process lives, and it works again soon after they have let go.
func TestOthersHaveAllConnections(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, "--max_connections=24")
	settings := onCluster(t, cluster)
	settings.Database.MaxConnections = database.MinConnections
	p := newPair(t, settings)
	other := replaceDatabase(t, cluster.Database(t), "postgres")
	var all hog
	defer all.release(context.WithoutCancel(t.Context()))

	// What the application has it keeps: it must lose it first.
	testkit.Await(t, 2*patience, func() error {
		require.NoError(t, all.fill(t.Context(), other))
		settings.Administer(t, `SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
			WHERE usename = '`+appRole(t, &settings)+`' OR starts_with(usename, '`+settings.Database.TenantPrefix+"')")
		require.NoError(t, all.fill(t.Context(), other))
		if ready := p.Get("/ready", ""); ready.Code != http.StatusServiceUnavailable {
			return errors.New("it has found a connection")
		}
		return nil
	})
	require.Greater(t, len(all.conns), 18)
	p.Get("/ready", "").RequireProblem(p.App, 503, "core_unavailable", "Service is unavailable")
	require.Equal(t, http.StatusOK, p.Get("/health", "").Code)
	for _, request := range []testkit.Request{
		{Method: http.MethodGet, Path: profilePath, Token: p.acme},
		{Method: http.MethodGet, Path: profilePath, Token: p.owner},
		testkit.Registration("globex", "new@example.com"),
		testkit.Registration("initech", "new@example.com"),
		testkit.Creation(p.owner, "hooli"),
	} {
		begun := time.Now()
		answer := p.Do(request)
		require.Equal(t, http.StatusServiceUnavailable, answer.Code, answer.Raw)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
		require.Less(t, time.Since(begun), patience)
	}

	all.release(t.Context())
	testkit.Await(t, recovery+slack, func() error {
		for _, token := range []string{p.owner, p.acme, p.globex} {
			if me := p.Get(profilePath, token); me.Code != http.StatusOK {
				return errors.New(me.Raw)
			}
		}
		return nil
	})
	require.Equal(t, http.StatusOK, p.Get("/ready", "").Code)
	settings.RequireTidy(t)
	p.Organization(p.owner, "hooli")
}
