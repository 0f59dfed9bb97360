package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Pair is two servers. The standby copies the primary, which acknowledges nothing that
// the standby does not have.
type Pair struct{ Primary, Standby *Cluster }

// StartPair starts a pair that is removed after the test. It skips or fails like Start.
func StartPair(tb testing.TB) *Pair {
	tb.Helper()

	primary := Start(tb, replicates()...)
	standby := &Cluster{programs: primary.programs, settings: replicates(), owner: primary.owner, password: primary.password}
	pair := &Pair{Primary: primary, Standby: standby}
	tb.Cleanup(func() {
		if err := standby.close(); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	require(tb, pair.prepareStandby(tb.Context()))
	require(tb, pair.copy(tb.Context()))
	return pair
}

// replicates are the settings of a server that may be primary or standby.
func replicates() []string {
	return []string{"-c", "wal_level=replica", "-c", "max_wal_senders=4", "-c", "wal_keep_size=256MB", "-c", "hot_standby=on"}
}

// Promote makes the standby the primary. It no longer waits for the other.
func (p *Pair) Promote(ctx context.Context) error {
	p.Primary, p.Standby = p.Standby, p.Primary
	return p.Primary.tell(ctx, "SELECT pg_promote()")
}

// Demote makes the former primary a standby of the new one, on its old port.
func (p *Pair) Demote(ctx context.Context) error {
	if err := os.RemoveAll(p.Standby.data()); err != nil {
		return fmt.Errorf("remove the old data: %w", err)
	}
	return p.copy(ctx)
}

// prepareStandby makes the folder of the standby and its janitor, and chooses its port.
func (p *Pair) prepareStandby(ctx context.Context) (err error) {
	c := p.Standby
	if c.dir, err = os.MkdirTemp(clusterFolder(), "pgtest-"); err != nil {
		return fmt.Errorf("make the standby's folder: %w", err)
	}
	if err := give(c.owner, c.dir); err != nil {
		return err
	}
	if err := c.startJanitor(ctx); err != nil {
		return err
	}
	c.port, err = freePort(ctx)
	return err
}

// copy copies the data of the primary to the standby, and starts that.
func (p *Pair) copy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	source := "host=127.0.0.1 port=" + strconv.Itoa(p.Primary.port) + " user=" + superuser + " password=" + p.Primary.password
	backup := p.Standby.command(ctx, p.Standby.programs.path("pg_basebackup"), "--pgdata="+p.Standby.data(), "--dbname="+source,
		"--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if output, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, bytes.TrimSpace(output))
	}
	if err := p.Standby.launch(ctx); err != nil {
		return err
	}
	// Only now, or the standby would copy the setting and wait for itself once it is primary.
	return p.Primary.tell(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
}

// tell runs statements as the superuser.
func (c *Cluster) tell(ctx context.Context, statements ...string) error {
	return withConnection(ctx, c.URL(), func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// Host returns the address and the port of the server.
func (c *Cluster) Host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }
