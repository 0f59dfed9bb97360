package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"multitenant/tests/pgtest"
)

// holdCluster makes this binary start a cluster and wait to be killed.
const holdCluster = "PGTEST_HOLD_CLUSTER"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Main{M: m})
}

func TestDatabaseBelongsToAnOrdinaryRole(t *testing.T) {
	t.Parallel()

	conn := connect(t, pgtest.Database(t))

	const attributes = `SELECT rolsuper, rolcreaterole, rolcreatedb, datdba = pg_roles.oid,
		(SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public')
		FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`
	var superuser, createRole, createDB, owner bool
	var tables int
	require.NoError(t, conn.QueryRow(t.Context(), attributes).Scan(&superuser, &createRole, &createDB, &owner, &tables))
	require.False(t, superuser)
	require.True(t, createRole)
	require.True(t, createDB)
	require.True(t, owner)
	require.Zero(t, tables)
}

func TestDatabaseChecksPasswords(t *testing.T) {
	t.Parallel()

	address, err := url.Parse(pgtest.Database(t))
	require.NoError(t, err)
	address.User = url.UserPassword(address.User.Username(), "guess")

	_, err = pgx.Connect(t.Context(), address.String())

	refused := new(pgconn.PgError)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "28P01", refused.Code)
}

func TestDatabaseLeavesNothing(t *testing.T) {
	t.Parallel()

	admin := connect(t, pgtest.Server(t))
	var role string
	t.Run("use", func(t *testing.T) { // not parallel: what it leaves is looked at below
		address := pgtest.Database(t)
		parsed, err := url.Parse(address)
		require.NoError(t, err)
		role = parsed.User.Username()

		conn, err := pgx.Connect(t.Context(), address) // not closed: cleaning up must end it
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "CREATE DATABASE "+role+"_more")
		require.NoError(t, err)
	})

	const left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1) + (SELECT count(*) FROM pg_database WHERE starts_with(datname, $1))"
	var count int
	require.NoError(t, admin.QueryRow(t.Context(), left, role).Scan(&count))
	require.Zero(t, count)
}

func TestClusterOutlivesStopAndKill(t *testing.T) {
	t.Parallel()

	cluster := pgtest.Start(t)
	address := cluster.Database(t)
	_, err := connect(t, address).Exec(t.Context(), "CREATE TABLE kept AS SELECT 1 AS id")
	require.NoError(t, err)

	for _, end := range []func() error{cluster.Stop, cluster.Kill} {
		require.NoError(t, end())
		_, err := pgx.Connect(t.Context(), address)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)

		require.NoError(t, cluster.Start())
		var id int
		require.NoError(t, connect(t, address).QueryRow(t.Context(), "SELECT id FROM kept").Scan(&id))
	}
}

// TestHoldCluster is the child of TestClusterEndsWithItsTestBinary and does
// nothing when run by itself.
func TestHoldCluster(t *testing.T) {
	t.Parallel()

	if os.Getenv(holdCluster) == "" {
		return
	}
	_, err := os.Stdout.WriteString(pgtest.Start(t).URL() + "\n")
	require.NoError(t, err)
	<-t.Context().Done() // never: the parent kills this process
}

func TestClusterEndsWithItsTestBinary(t *testing.T) {
	t.Parallel()

	pgtest.Start(t) // skips where there is no PostgreSQL to start
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldCluster$")
	child.Env = append(os.Environ(), holdCluster+"=1")
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	address, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	address = strings.TrimSpace(address)
	var folder string
	require.NoError(t, connect(t, address).QueryRow(t.Context(), "SHOW data_directory").Scan(&folder))

	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())

	require.Eventually(t, func() bool {
		_, folderErr := os.Stat(filepath.Dir(folder))
		_, serverErr := pgx.Connect(t.Context(), address)
		return errors.Is(folderErr, fs.ErrNotExist) && errors.Is(serverErr, syscall.ECONNREFUSED)
	}, time.Minute, 50*time.Millisecond)
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()

	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
