package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// ErrNoPooler says that PgBouncer was not found.
var ErrNoPooler = errors.New("no PgBouncer: install it (pgbouncer)")

const (
	// poolSize is how many connections to the server PgBouncer makes for one role.
	poolSize = 2
	// asksElsewhere is the first minor version of PgBouncer 1 that can ask for
	// verifiers in a database of its own.
	asksElsewhere = 19
	consoleUser   = "console"
)

// poolerJanitor starts PgBouncer, and ends and removes it once its standard
// input ends, as with a cluster's.
const poolerJanitor = `"$1" "$2/pgbouncer.ini" >"$2/log" 2>&1 &
cat >/dev/null
kill -KILL $!
wait $!
rm -rf "$2"`

// Pooler is a PgBouncer before a PostgreSQL server, for a
// single test.
type Pooler struct {
	admin    string // the URL of a superuser of the server
	prefix   string // of the roles that may pass
	mode     string // transaction or session
	size     int    // how many connections it makes for one role and database
	program  string
	asks     bool // it asks the server for verifiers, else it must be told
	name     string
	password string // of its own role on the server, and of its console
	port     int
	dir      string
}

// StartSessionPooler is StartPooler in session mode and for all roles, for a
// program that also reaches core through it. The program's own role passes once
// Admit was called.
func StartSessionPooler(tb testing.TB, admin string) *Pooler {
	tb.Helper()
	return startPooler(tb, &Pooler{admin: admin, mode: "session", size: 20})
}

// StartTransactionPooler is StartSessionPooler in transaction mode, in which a program
// cannot reach core.
func StartTransactionPooler(tb testing.TB, admin string) *Pooler {
	tb.Helper()
	return startPooler(tb, &Pooler{admin: admin, mode: "transaction", size: 4})
}

// StartPooler puts a PgBouncer before the server of the superuser's URL, until
// the end of the test. Roles whose name begins with prefix may pass, see Admit. It
// skips or fails like Server where PgBouncer is not installed.
func StartPooler(tb testing.TB, admin, prefix string) *Pooler {
	tb.Helper()
	return startPooler(tb, &Pooler{admin: admin, prefix: prefix, mode: "transaction", size: poolSize})
}

func startPooler(tb testing.TB, p *Pooler) *Pooler {
	tb.Helper()
	p.name, p.password = "pooler_"+randomHex(6), randomHex(16)
	require(tb, p.find(tb.Context()))
	if p.asks {
		require(tb, p.createLookup(tb.Context()))
		tb.Cleanup(func() { p.dropLookup(tb) })
	}
	stop, err := p.start(tb.Context())
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("pgtest: remove the pooler: %v", err)
		}
	})
	require(tb, err)
	require(tb, p.await(tb.Context()))
	return p
}

// URL leads through the pooler; it names no user and no database.
func (p *Pooler) URL() string {
	return "postgres://127.0.0.1:" + strconv.Itoa(p.port) + "/?sslmode=disable&application_name=" + p.name
}

// Name is what the server calls the application on connections that come
// through the pooler.
func (p *Pooler) Name() string { return p.name }

// PoolSize is how many connections to the server there may be for one role.
func (*Pooler) PoolSize() int { return poolSize }

// Admit lets the roles that there are now pass. It does nothing where PgBouncer
// asks the server itself; one before 1.19 can do so only in the database that is
// wanted, where it has no business, and reads a file.
func (p *Pooler) Admit(ctx context.Context) error {
	if p.asks {
		return nil
	}
	var users strings.Builder
	fmt.Fprintf(&users, "%q %q\n", consoleUser, p.password)
	err := withConnection(ctx, p.admin, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT format('"%s" "%s"', rolname, rolpassword) FROM pg_authid
			WHERE starts_with(rolname, $1) AND rolpassword IS NOT NULL`, p.prefix)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		users.WriteString(strings.Join(lines, "\n") + "\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("list the roles for the pooler: %w", err)
	}
	// In one step, since the pooler looks at it by itself, too.
	temporary := p.path("users." + randomHex(4))
	if err := p.write(temporary, users.String()); err != nil {
		return err
	}
	if err := os.Rename(temporary, p.path("users")); err != nil {
		return fmt.Errorf("tell the pooler its users: %w", err)
	}
	return p.console(ctx, "RELOAD")
}

// find finds PgBouncer and its version.
func (p *Pooler) find(ctx context.Context) error {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if found, err := exec.LookPath(name); err == nil {
			p.program = found
			break
		}
	}
	if p.program == "" {
		return ErrNoPooler
	}
	text, err := exec.CommandContext(ctx, p.program, "--version").Output()
	if err != nil {
		return fmt.Errorf("ask PgBouncer for its version: %w", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(text), "PgBouncer %d.%d", &major, &minor); err != nil {
		return fmt.Errorf("PgBouncer says it is %q: %w", text, err)
	}
	// The lookup knows tenants' roles only.
	p.asks = p.prefix != "" && (major > 1 || minor >= asksElsewhere)
	return nil
}

// start returns what ends PgBouncer and removes its folder, also with an error.
func (p *Pooler) start(ctx context.Context) (stop func() error, err error) {
	stop = func() error { return os.RemoveAll(p.dir) } // "" is no error
	owner, err := serverProcess()
	if err != nil {
		return stop, err
	}
	if p.dir, err = os.MkdirTemp("", "pgtest-pooler-"); err != nil {
		return stop, fmt.Errorf("make the pooler's folder: %w", err)
	}
	if err := p.prepare(ctx, owner); err != nil {
		return stop, err
	}
	input, leash, err := os.Pipe()
	if err != nil {
		return stop, fmt.Errorf("make the pooler's pipe: %w", err)
	}
	defer func() { _ = input.Close() }()
	janitor := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", poolerJanitor, "janitor", p.program, p.dir)
	janitor.Dir, janitor.Env, janitor.SysProcAttr = p.dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}, owner
	janitor.Stdin = input
	if err := janitor.Start(); err != nil {
		return stop, errors.Join(fmt.Errorf("start the pooler: %w", err), leash.Close())
	}
	return func() error { return errors.Join(leash.Close(), janitor.Wait()) }, nil
}

// prepare writes PgBouncer's files.
func (p *Pooler) prepare(ctx context.Context, owner *syscall.SysProcAttr) (err error) {
	if p.port, err = freePort(ctx); err != nil {
		return err
	}
	settings, err := p.Settings()
	if err != nil {
		return err
	}
	users := fmt.Sprintf("%q %q\n%q %q\n", consoleUser, p.password, p.name, p.password)
	return errors.Join(give(owner, p.dir), p.write(p.path("pgbouncer.ini"), settings), p.write(p.path("users"), users))
}

// await waits until PgBouncer answers.
func (p *Pooler) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := retry(ctx, func() error { return p.console(ctx, "SHOW VERSION") }); err != nil {
		said, reading := os.ReadFile(p.path("log"))
		return errors.Join(fmt.Errorf("PgBouncer does not answer: %w: %s", err, said), reading)
	}
	return nil
}

// Settings are those of docs/postgresql.md, on a server of the test's.
func (p *Pooler) Settings() (string, error) {
	server, err := url.Parse(p.admin)
	if err != nil {
		return "", errors.New("the server's URL cannot be read")
	}
	lines := []string{
		"[databases]",
		"* = host=" + server.Hostname() + " port=" + server.Port(),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		"listen_port = " + strconv.Itoa(p.port),
		"unix_socket_dir =",
		"auth_type = scram-sha-256",
		"auth_file = " + p.path("users"),
		"pool_mode = " + p.mode,
		"default_pool_size = " + strconv.Itoa(p.size),
		"server_idle_timeout = 60",
		"server_login_retry = 1",
		"query_wait_timeout = 3",
		"max_client_conn = 1000",
		"ignore_startup_parameters = extra_float_digits",
		"admin_users = " + consoleUser,
	}
	if p.asks {
		lines = append(lines,
			"auth_user = "+p.name,
			"auth_dbname = "+p.name,
			"auth_query = SELECT name, verifier FROM login($1)")
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// console says something to PgBouncer's own database.
func (p *Pooler) console(ctx context.Context, command string) error {
	address, err := url.Parse(p.URL())
	if err != nil {
		return fmt.Errorf("reach the pooler's console: %w", err)
	}
	address.User, address.Path = url.UserPassword(consoleUser, p.password), "/pgbouncer"
	address.RawQuery = "sslmode=disable&default_query_exec_mode=simple_protocol"
	return withConnection(ctx, address.String(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, command)
		return err
	})
}

func (p *Pooler) path(name string) string { return filepath.Join(p.dir, name) }

// write makes a file that PgBouncer can read, and nobody else.
func (*Pooler) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the pooler's settings: %w", err)
	}
	owner, err := serverProcess()
	if err != nil {
		return err
	}
	return give(owner, path)
}
