package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
	pollInterval = 20 * time.Millisecond
	portAttempts = 3
	superuser    = "postgres"
)

// Cluster is a PostgreSQL server with a single test as its user, that may
// stop it, kill it and start it again. Its data outlive all of these, and its
// URL stays the same. Its methods are for one goroutine at a time.
type Cluster struct {
	programs programs
	settings []string // arguments of the server's program
	owner    *syscall.SysProcAttr
	dir      string
	port     int
	password string

	janitor *exec.Cmd
	leash   *os.File // the janitor acts when it is closed
	process *exec.Cmd
	exited  chan struct{} // closed once process has ended
}

// Start starts a cluster that is removed after the test, with settings such as
// --max_connections=100. It skips or fails like Server where PostgreSQL is not
// installed.
func Start(tb testing.TB, settings ...string) *Cluster {
	tb.Helper()

	require(tb, checkTime(tb))
	cluster, err := newCluster(tb.Context(), settings...)
	require(tb, err)
	tb.Cleanup(func() {
		if err := cluster.close(); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return cluster
}

func newCluster(ctx context.Context, settings ...string) (*Cluster, error) {
	found, err := findPrograms()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()

	c := &Cluster{programs: found, settings: settings, password: randomHex(16)}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	// The port is free when it is chosen, and may be taken when it is used.
	for range portAttempts {
		if c.port, err = freePort(ctx); err != nil {
			break
		}
		if err = c.launch(ctx); err == nil {
			break
		}
	}
	if err == nil && os.Getenv("PGTEST_OPEN_PUBLIC") == "true" {
		err = c.OpenPublic(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// URL returns the superuser's URL of the database postgres.
func (c *Cluster) URL() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Database is the package's function of that name, on this cluster.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()

	admin, err := openAdmin(c.URL())
	require(tb, err)
	defer func() { _ = admin.Close() }() // it has done what it was for
	account, err := newAccount(admin, c.URL())
	require(tb, err)
	require(tb, account.create(tb.Context()))
	return account.url // it ends with the cluster
}

// OpenPublic gives all databases that are made from now on the schema public of a
// server that was upgraded from PostgreSQL 14: it belongs to the superuser, and every
// role may make tables and functions in it. PGTEST_OPEN_PUBLIC=true does so for every
// cluster.
func (c *Cluster) OpenPublic(ctx context.Context) error {
	template, err := url.Parse(c.URL())
	if err != nil {
		return fmt.Errorf("open schema public: %w", err)
	}
	template.Path = "/template0"
	admit := func(allow string) error {
		return withConnection(ctx, c.URL(), func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "ALTER DATABASE template0 ALLOW_CONNECTIONS "+allow)
			return err
		})
	}
	if err := admit("true"); err != nil {
		return fmt.Errorf("open schema public: %w", err)
	}
	err = withConnection(ctx, template.String(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC")
		return err
	})
	if err := errors.Join(err, admit("false")); err != nil {
		return fmt.Errorf("open schema public: %w", err)
	}
	return nil
}

// Stop ends all sessions and shuts the server down in order.
func (c *Cluster) Stop() error {
	return c.signal(syscall.SIGINT)
}

// Kill kills the server, which comes back through crash recovery. Its
// sessions find out by themselves, within moments.
func (c *Cluster) Kill() error {
	return c.signal(syscall.SIGKILL)
}

// Start starts the server again after Stop or Kill, on the same port, and
// returns once it answers.
func (c *Cluster) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	// Until the last session of a killed server has ended, a new one refuses.
	return retry(ctx, func() error { return c.launch(ctx) })
}

// signal ends the server's process and waits for its end.
func (c *Cluster) signal(sig syscall.Signal) error {
	if err := c.process.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal the server: %w", err)
	}
	select {
	case <-c.exited:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the server has not ended within %s of %s", stopTimeout, sig)
	}
}

// close ends the server, if it runs, and removes its folder.
func (c *Cluster) close() error {
	if c.janitor == nil {
		return os.RemoveAll(c.dir) // nothing has run in it; "" is no error
	}
	_ = c.leash.Close()
	err := c.janitor.Wait()
	if c.exited != nil {
		<-c.exited
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", c.dir, err)
	}
	return nil
}
