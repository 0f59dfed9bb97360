package database_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

const (
	holdLock = "hold-lock" // the first argument of a test binary that plays another process
	holding  = "holding"   // what that one prints once it has the lock
	patience = 20 * time.Second
	maxConns = 20
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == holdLock {
		if err := playHolder(context.Background(), os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(pgtest.Main{M: m})
}

// playHolder takes a lock and keeps it until it is killed.
func playHolder(ctx context.Context, url, key string) error {
	b, err := connect.Open(ctx, database.Options{URL: url, MaxConnections: maxConns})
	if err != nil {
		return err
	}
	if _, err := b.Lock(ctx, key); err != nil {
		return err
	}
	fmt.Println(holding) //nolint:forbidigo // the word the parent waits for
	_, err = os.Stdin.Read(make([]byte, 1))
	return err
}

// startHolder starts a process that holds key, and returns what kills it.
func startHolder(t *testing.T, url, key string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], holdLock, url, key)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	dead := false
	kill = func() {
		if !dead {
			dead = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = stdin.Close()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, holding, strings.TrimSpace(line))
	return kill
}

// eachEngine runs the test on both engines, in parallel, each with the URL of a fresh core
// database.
func eachEngine(t *testing.T, test func(t *testing.T, engine, url string)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite", sqliteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, "postgres", pgtest.Database(t))
	})
}

func sqliteURL(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "data", "core.db")
}

func open(t *testing.T, url string) database.Backend {
	t.Helper()
	b, err := connect.Open(t.Context(), database.Options{URL: url, MaxConnections: maxConns})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func lock(t *testing.T, b database.Backend, key string) database.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := b.Lock(ctx, key)
	require.NoError(t, err)
	t.Cleanup(s.Unlock)
	return s
}

func openDatabase(t *testing.T, b database.Backend, name string, check database.Check) *gorm.DB {
	t.Helper()
	db, err := b.OpenDatabase(t.Context(), name, check)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Close(db)) })
	return db
}

func openTenant(t *testing.T, b database.Backend, name string, check database.Check) *gorm.DB {
	t.Helper()
	db, err := b.OpenTenant(t.Context(), name, database.Login{}, check)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Close(db)) })
	return db
}

// newName is a name no other test uses: they share a server.
func newName() string { return "t_" + strings.ToLower(rand.Text()) }

// makeDatabase makes a database with a table of one row that tells it apart.
func makeDatabase(t *testing.T, b database.Backend, s database.Session) string {
	t.Helper()
	name := newName()
	require.NoError(t, s.Create(t.Context(), name))
	mark(t, b, name, name)
	return name
}

func mark(t *testing.T, b database.Backend, name, text string) {
	t.Helper()
	db, err := b.OpenDatabase(t.Context(), name, nil)
	require.NoError(t, err)
	require.NoError(t, db.Exec("CREATE TABLE "+database.Qualified(db, "marks")+" (text varchar)").Error)
	require.NoError(t, db.Exec("INSERT INTO "+database.Qualified(db, "marks")+" VALUES (?)", text).Error)
	require.NoError(t, database.Close(db))
}

func readMark(t *testing.T, db *gorm.DB) string {
	t.Helper()
	var text string
	require.NoError(t, db.WithContext(t.Context()).Raw("SELECT text FROM "+database.Qualified(db, "marks")).Scan(&text).Error)
	return text
}

// rename gives a database another name and changes nothing else.
func rename(ctx context.Context, s database.Session, from, to string) error {
	return s.Claim(ctx, from, to, "", func(*gorm.DB) error { return nil })
}

// exists reports whether there is a database of that name.
func exists(t *testing.T, b database.Backend, name string) bool {
	t.Helper()
	found, err := b.List(t.Context(), name)
	require.NoError(t, err)
	return slices.Contains(found.Databases, name)
}
