package tests_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// operate runs a command of the program in that folder, to its end.
func operate(t *testing.T, binary, folder string, arguments ...string) testkit.Outcome {
	t.Helper()
	command, outcome := operation(t.Context(), binary, folder, arguments...)
	_ = command.Run() // the code says how it ended
	return outcome()
}

func operation(ctx context.Context, binary, folder string, arguments ...string) (*exec.Cmd, func() testkit.Outcome) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, binary, arguments...)
	command.Dir, command.Env = folder, []string{"BCRYPT_COST=4"}
	command.Stdout, command.Stderr = &stdout, &stderr
	return command, func() testkit.Outcome {
		return testkit.Outcome{Code: command.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
	}
}

func obeysBesideAServer(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	p := run(t, binary, folder)
	operate(t, binary, folder, "tenants", "create", "acme").RequireCode(t, 0)
	member := p.Token("acme", "grace@example.com")
	require.Equal(t, http.StatusOK, p.Get("/api/users/me", member).Code)

	listed := operate(t, binary, folder, "tenants", "list", "--json").RequireCode(t, 0)
	require.Len(t, testkit.Decode[[]tenantJSON](t, listed), 1)
	require.Empty(t, listed.Stderr)
	operate(t, binary, folder, "migrate").RequireCode(t, 0)
	operate(t, binary, folder, "tenants", "suspend", "acme").RequireCode(t, 0)
	requireSpread(t, p.App, member, http.StatusForbidden)
	operate(t, binary, folder, "tenants", "delete", "acme").RequireCode(t, 2)
	operate(t, binary, folder, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)
	requireSpread(t, p.App, member, http.StatusUnauthorized)
	operate(t, binary, folder, "tenants", "show", "acme").RequireCode(t, 1)
	operate(t, binary, folder, "tenant").RequireCode(t, 2)
}

// stopsBetweenTenants sends SIGINT while a tenant is being migrated: that one is
// finished, the other is left, and the next run does it.
func stopsBetweenTenants(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	operate(t, binary, folder, "migrate").RequireCode(t, 0)
	held := make([]*sql.Conn, 2)
	for i, slug := range []string{"acme", "globex"} {
		operate(t, binary, folder, "tenants", "create", slug).RequireCode(t, 0)
		held[i] = hold(t, filepath.Join(folder, "data", "multitenant_"+slug+".db"))
	}
	core := openFile(t, filepath.Join(folder, "data", "core.db"))
	_, err := core.ExecContext(t.Context(), "UPDATE tenants SET schema_version = '202611290200_adopt_tenant_original'")
	require.NoError(t, err)

	command, outcome := operation(t.Context(), binary, folder, "migrate", "--parallel", "1")
	require.NoError(t, command.Start())
	awaitTenantLock(t, core, folder)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	<-time.After(time.Second) // it says nothing when it has heard, and waits 5 s for the file
	for _, conn := range held {
		_, err := conn.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
	}
	_ = command.Wait() // the code says how it ended
	interrupted := outcome().RequireCode(t, 1)
	require.Equal(t, "tenants: 1 migrated, 0 failed, 1 left\n", interrupted.Stdout)
	require.Contains(t, interrupted.Stderr, "interrupted: 1 tenant left; run it again to go on")

	again := operate(t, binary, folder, "migrate").RequireCode(t, 0)
	require.Equal(t, "tenants: 1 migrated, 0 failed, 0 left\n", again.Stdout)
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// hold keeps others from writing to a database.
func hold(t *testing.T, path string) *sql.Conn {
	t.Helper()
	conn, err := openFile(t, path).Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	return conn
}

// awaitTenantLock waits until somebody holds the lock on a tenant, which on
// SQLite is a file.
func awaitTenantLock(t *testing.T, core *sql.DB, folder string) {
	t.Helper()
	testkit.Await(t, 20*time.Second, func() error {
		var ids string
		if err := core.QueryRowContext(t.Context(), "SELECT group_concat(id) FROM tenants").Scan(&ids); err != nil {
			return err
		}
		for id := range strings.SplitSeq(ids, ",") {
			sum := sha256.Sum256([]byte("tenant " + id))
			if _, err := os.Stat(filepath.Join(folder, "data", ".locks", hex.EncodeToString(sum[:]))); err == nil {
				return nil
			}
		}
		return errors.New("no tenant is locked")
	})
}
