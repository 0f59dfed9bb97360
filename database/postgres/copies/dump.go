package copies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"multitenant/database"
	"multitenant/database/postgres/libpq"
)

const (
	dumpProgram    = "pg_dump"
	restoreProgram = "pg_restore"

	// killWait bounds the wait for the pipes of a program that was killed.
	killWait = 5 * time.Second
	// maxSaid bounds the messages of a program that are kept.
	maxSaid = 4 << 10
)

// dump gives the source's Dump a dump of this transaction's snapshot, by pg_dump. It is
// not compressed, since archives are. Privileges are in it: a restoration may leave them out.
func (c *copier) dump(ctx context.Context) error {
	var snapshot string
	if err := c.conn.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	return c.source.Dump.Take(func(w io.Writer) error {
		p := &program{
			path: c.source.Dump.Program, environ: environ(c.conn.Config()), stdout: w,
			arguments: []string{
				"--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=30s", "--snapshot=" + snapshot,
			},
		}
		return p.run(ctx)
	})
}

// environ says how pg_dump and pg_restore connect to the server that this connection is
// with. pgx may have found the user, the password and the mode of TLS elsewhere than in the
// URL.
func environ(config *pgx.ConnConfig) []string {
	parameters, _ := libpq.Parameters(config.ConnString()) // it has been parsed before
	variables := libpq.Variables(parameters)
	delete(variables, libpq.Attributes)
	if parameters.Has("options") {
		variables["PGOPTIONS"] = parameters.Get("options")
	}
	variables["PGHOST"], variables["PGPORT"] = config.Host, strconv.Itoa(int(config.Port))
	variables["PGDATABASE"], variables["PGUSER"], variables["PGPASSWORD"] = config.Database, config.User, config.Password
	variables["PGAPPNAME"], variables["PGSSLMODE"] = config.RuntimeParams["application_name"], sslMode(config)
	list := make([]string, 0, len(variables))
	for name, value := range variables {
		list = append(list, name+"="+value)
	}
	return list
}

// sslMode is libpq's word for how the connection is protected, wherever pgx has found that.
func sslMode(config *pgx.ConnConfig) string {
	secured, isAlone := config.TLSConfig, len(config.Fallbacks) == 0
	switch {
	case secured == nil && isAlone:
		return "disable"
	case secured == nil || !isAlone:
		return "prefer"
	case !secured.InsecureSkipVerify:
		return "verify-full"
	case secured.VerifyPeerCertificate != nil:
		return "verify-ca"
	}
	return "require"
}

// Version returns the version of a program of PostgreSQL, such as "15.8 (Debian …)".
func Version(ctx context.Context, path string) (string, error) {
	said := &strings.Builder{}
	p := &program{path: path, arguments: []string{"--version"}, stdout: said}
	if err := p.run(ctx); err != nil {
		return "", err
	}
	_, version, isKnown := strings.Cut(strings.TrimSpace(said.String()), "(PostgreSQL) ")
	if !isKnown {
		return "", fmt.Errorf("%s says that it is %q", path, said)
	}
	return version, nil
}

// ReadDump has the pg_restore beside a pg_dump read the dump that feed writes, to its end: a
// list of its content would not find the end missing.
func ReadDump(ctx context.Context, pgDump string, feed func(io.Writer) error) error {
	path, err := exec.LookPath(besides(pgDump))
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return feed(io.Discard)
	}
	if err != nil {
		return err
	}
	return (&program{path: path, arguments: []string{"--file=-"}, stdout: io.Discard}).eat(ctx, feed)
}

// LoadDump has the pg_restore beside a pg_dump make the content of the empty database that conn
// is connected to of the dump that feed writes.
func LoadDump(ctx context.Context, conn *pgx.Conn, pgDump string, feed func(io.Writer) error) error {
	path, err := exec.LookPath(besides(pgDump))
	if err != nil {
		return fmt.Errorf("%w: %w: install PostgreSQL's client programs", database.ErrNoDump, err)
	}
	p := &program{path: path, environ: environ(conn.Config()), stdout: io.Discard, arguments: []string{
		"--dbname=" + conn.Config().Database, "--no-password", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error",
	}}
	return p.eat(ctx, feed)
}

// eat runs the program on the output of feed.
func (p *program) eat(ctx context.Context, feed func(io.Writer) error) error {
	from, to := io.Pipe()
	fed := make(chan error, 1)
	go func() {
		err := feed(to)
		_ = to.CloseWithError(err) // it never fails
		fed <- err
	}()
	p.stdin = from
	err := p.run(ctx)
	if err == nil {
		_, _ = io.Copy(io.Discard, from) // it ends with feed, whose error follows
	}
	_ = from.CloseWithError(err) // feed must not wait for a reader that has left
	if cause := <-fed; cause != nil && !errors.Is(cause, err) {
		return cause
	}
	return err
}

// besides is the pg_restore of a pg_dump.
func besides(pgDump string) string {
	folder, name := filepath.Split(pgDump)
	if !strings.Contains(name, dumpProgram) {
		return folder + restoreProgram
	}
	return folder + strings.Replace(name, dumpProgram, restoreProgram, 1)
}

// program is a program of PostgreSQL that is run once.
type program struct {
	path      string
	arguments []string
	environ   []string
	stdin     io.Reader
	stdout    io.Writer
}

// run waits for the program. It is killed when ctx ends, with all that it has started.
func (p *program) run(ctx context.Context) error {
	command := exec.CommandContext(ctx, p.path, p.arguments...) //nolint:gosec // the operator names the program
	command.Env = append(slices.DeleteFunc(command.Environ(), isNeedless), p.environ...)
	out, said := &output{to: p.stdout}, &messages{}
	command.Stdin, command.Stdout, command.Stderr, command.WaitDelay = p.stdin, out, said, killWait
	killTogether(command)
	err := command.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case out.err != nil:
		return out.err
	}
	why := strings.TrimSpace(said.text.String())
	if why == "" {
		return fmt.Errorf("%s: %w", filepath.Base(p.path), err)
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(p.path), err, why)
}

// isNeedless reports whether a program can do without a variable of this process: it may be a
// secret, or lead pg_dump to another server.
func isNeedless(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return !slices.Contains([]string{"PATH", "HOME", "APPDATA", "LD_LIBRARY_PATH"}, name) && !strings.HasPrefix(name, "PGSSL")
}

// output remembers why a program could not write.
type output struct {
	to  io.Writer
	err error
}

// Write writes.
func (o *output) Write(piece []byte) (n int, err error) {
	n, o.err = o.to.Write(piece)
	return n, o.err
}

// messages keeps the beginning of a program's messages.
type messages struct{ text strings.Builder }

// Write does not fail: the program must not wait.
func (m *messages) Write(piece []byte) (int, error) {
	m.text.Write(piece[:min(len(piece), maxSaid-m.text.Len())])
	return len(piece), nil
}
