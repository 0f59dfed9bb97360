// Package pgtest gives tests a real PostgreSQL: the server that
// TEST_DATABASE_URL names, or a throw-away cluster made from the installed
// server programs.
//
// A package that uses Server or Database ends its cluster in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
// and where goroutine leaks are looked for as well, the cluster is gone
// before the look:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main{M: m}) }
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"
)

// ErrNotInstalled says that no PostgreSQL server programs were found.
var ErrNotInstalled = errors.New("no PostgreSQL: set TEST_DATABASE_URL to a superuser's URL, or install the server (initdb)")

// shared is the one package-level variable here. Starting a cluster takes
// most of a second, so all tests of a binary use the same one, and nothing
// else in a test binary lives as long as all its tests.
var shared lazyCluster

// Runner is what *testing.M is to TestMain.
type Runner interface {
	Run() int
}

// Main runs tests and then ends the cluster that they shared.
type Main struct {
	M Runner
}

// Run runs the tests and returns their exit code, once the cluster is gone.
func (m Main) Run() int {
	code := m.M.Run()
	if err := shared.close(); err != nil {
		_, _ = os.Stderr.WriteString("pgtest: " + err.Error() + "\n")
		return max(code, 1)
	}
	return code
}

// Run is Main for packages that do not look for goroutine leaks.
func Run(m *testing.M) int {
	return Main{M: m}.Run()
}

// Server returns the URL of a PostgreSQL server, as a superuser, connected to
// the database postgres. Where there is none the test is skipped, or, with
// CI=true, fails.
func Server(tb testing.TB) string {
	tb.Helper()

	require(tb, checkTime(tb))
	if configured := os.Getenv("TEST_DATABASE_URL"); configured != "" {
		return configured
	}
	cluster, err := shared.get(tb)
	require(tb, err)
	return cluster.URL()
}

// Database makes a role and an empty database that it owns, and returns their
// URL. The role may create databases and roles, and nothing else.
// Afterwards every database of the role is dropped, and the role itself.
//
// All tests share the server: whoever makes further databases gives them a
// prefix of their own.
func Database(tb testing.TB) string {
	tb.Helper()

	server := Server(tb)
	admin, err := shared.administrator(server)
	require(tb, err)
	account, err := newAccount(admin, server)
	require(tb, err)
	require(tb, account.create(tb.Context()))
	tb.Cleanup(func() { account.drop(tb) })
	return account.url
}

// Clear drops what the role of a URL of Database has made since: its other databases,
// and the roles whose names begin with prefix.
func Clear(tb testing.TB, address, prefix string) {
	tb.Helper()

	parsed, err := url.Parse(address)
	require(tb, err)
	admin, err := shared.administrator(Server(tb))
	require(tb, err)
	a := &account{admin: admin, name: parsed.User.Username()}
	ctx, cancel := context.WithTimeout(tb.Context(), dropTimeout)
	defer cancel()
	require(tb, retry(ctx, func() error { return a.clear(ctx, prefix) }))
}

// errNoTime says that all tests must end soon.
var errNoTime = errors.New("the time of -timeout is nearly over: give the tests more, such as 30m")

// enoughTime is how long a test must have before all must end. Go would end them in the
// middle, and call all of them failed.
const enoughTime = 2 * time.Minute

func checkTime(tb testing.TB) error {
	tb.Helper()
	limited, ok := tb.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return nil
	}
	if deadline, ok := limited.Deadline(); ok && time.Until(deadline) < enoughTime {
		return errNoTime
	}
	return nil
}

// require ends the test on an error: a missing server is a reason to skip, as is a lack of
// time, except in CI, where it would hide half of the tests.
func require(tb testing.TB, err error) {
	tb.Helper()

	isExcused := errors.Is(err, ErrNotInstalled) || errors.Is(err, ErrNoPooler) || errors.Is(err, errNoTime)
	if isExcused && os.Getenv("CI") != "true" {
		tb.Skipf("not run: %v", err)
	}
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
}

// lazyCluster is a cluster that the first test to need it starts.
type lazyCluster struct {
	mu      sync.Mutex // guards all below
	tried   bool
	cluster *Cluster
	err     error
	admin   *sql.DB // of the cluster, or of the server that TEST_DATABASE_URL names
}

func (l *lazyCluster) get(tb testing.TB) (*Cluster, error) {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()

	if !l.tried {
		l.tried = true
		l.cluster, l.err = newCluster(tb.Context())
	}
	return l.cluster, l.err
}

// administrator returns the sessions of the server's superuser.
func (l *lazyCluster) administrator(server string) (*sql.DB, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	var err error
	if l.admin == nil {
		l.admin, err = openAdmin(server)
	}
	return l.admin, err
}

func (l *lazyCluster) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()

	var err error
	if l.admin != nil {
		err = l.admin.Close()
	}
	if l.cluster != nil {
		err = errors.Join(err, l.cluster.close())
	}
	return err
}
