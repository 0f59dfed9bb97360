package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// janitor removes a cluster once its standard input ends, which happens when
// the cluster is closed and just as well when the test binary crashes, times
// out or is killed: only the binary holds the other end of the pipe. Linux's
// parent-death signal would do less, as it is bound to a thread of the parent
// and cannot remove the folder.
const janitor = `cat >/dev/null
"$1" stop --pgdata="$2/data" --mode=immediate --silent
rm -rf "$2" || { sleep 1; rm -rf "$2"; }`

// prepare makes the folder, its janitor and the files of the cluster.
func (c *Cluster) prepare(ctx context.Context) error {
	var err error
	if c.owner, err = serverProcess(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp(clusterFolder(), "pgtest-"); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	passwordFile := filepath.Join(c.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	if err := give(c.owner, c.dir, passwordFile); err != nil {
		return err
	}
	if err := c.startJanitor(ctx); err != nil {
		return err
	}
	initdb := c.command(ctx, c.programs.path("initdb"), "--pgdata="+c.data(), "--username="+superuser,
		"--pwfile="+passwordFile, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(output))
	}
	return nil
}

func (c *Cluster) startJanitor(ctx context.Context) error {
	input, leash, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make the janitor's pipe: %w", err)
	}
	defer func() { _ = input.Close() }()

	c.leash = leash
	c.janitor = c.command(context.WithoutCancel(ctx), "/bin/sh", "-c", janitor, "janitor", c.programs.path("pg_ctl"), c.dir)
	c.janitor.Stdin = input
	if err := c.janitor.Start(); err != nil {
		c.janitor = nil
		return fmt.Errorf("start the janitor: %w", err)
	}
	return nil
}

// throwAwaySettings are those of a server that need not survive a crash of the
// machine (with -F, which is fsync=off). It must survive one of its own, so commits
// are written before they are acknowledged; new tables are in their files then, and in no
// log. Without autovacuum hundreds of databases do not keep the machine busy. Shared memory
// in files goes with the folder.
func throwAwaySettings() []string {
	return []string{
		"-c", "max_connections=400", "-c", "shared_buffers=4MB", "-c", "dynamic_shared_memory_type=mmap",
		"-c", "full_page_writes=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0",
		"-c", "wal_init_zero=off", "-c", "wal_skip_threshold=0", "-c", "autovacuum=off", "-c", "jit=off",
	}
}

// launch starts the server's process and returns once it answers, or has
// ended.
func (c *Cluster) launch(ctx context.Context) error {
	arguments := slices.Concat([]string{
		"-D", c.data(), "-k", c.dir, "-F", "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
	}, throwAwaySettings(), c.settings) // of two of a name the last counts
	c.process = c.command(context.WithoutCancel(ctx), c.programs.path("postgres"), arguments...)
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()

	c.process.Stdout, c.process.Stderr = log, log
	if err := c.process.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	c.exited = make(chan struct{})
	go func(process *exec.Cmd, exited chan struct{}) {
		defer close(exited)
		_ = process.Wait() // how it ended is in its log
	}(c.process, c.exited)
	return c.awaitReady(ctx)
}

func (c *Cluster) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()

	for {
		err := withConnection(ctx, c.URL(), func(conn *pgx.Conn) error { return conn.Ping(ctx) })
		if err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("the server has ended: %s", c.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-ticker.C:
		}
	}
}

// command runs as the cluster's owner and with none of the caller's settings:
// libpq's own variables would lead elsewhere.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = c.owner
	return cmd
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) log() string { return filepath.Join(c.dir, "log") }

// lastWords returns the end of the server's log.
func (c *Cluster) lastWords() string {
	const length = 1000
	text, err := os.ReadFile(c.log())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-length):]))
}

func freePort(ctx context.Context) (int, error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return int(address.Port()), nil
}
