package database_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/connect"
)

func folderOf(url string) string { return filepath.Dir(strings.TrimPrefix(url, "sqlite://")) }

func TestSQLiteFilesArePrivateAndFew(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	b := open(t, url)
	s := lock(t, b, "k")
	name := makeDatabase(t, b, s)
	db := openDatabase(t, b, name, nil)
	require.NoError(t, db.Exec("INSERT INTO marks VALUES ('x')").Error)
	s.Unlock()

	err := filepath.WalkDir(folderOf(url), func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		found, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, found.Mode().Perm()&0o077, path)
		return nil
	})
	require.NoError(t, err)
	left, err := os.ReadDir(filepath.Join(folderOf(url), ".locks"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	b := open(t, sqliteURL(t))
	db := openDatabase(t, b, makeDatabase(t, b, lock(t, b, "k")), nil)
	for _, handle := range []struct{ pragma, want string }{
		{"journal_mode", "wal"},
		{"foreign_keys", "1"},
		{"synchronous", "1"},
		{"busy_timeout", "5000"},
		{"trusted_schema", "0"},
	} {
		var core, tenant string
		require.NoError(t, b.Core().Raw("PRAGMA "+handle.pragma).Row().Scan(&core))
		require.NoError(t, db.Raw("PRAGMA "+handle.pragma).Row().Scan(&tenant))
		require.Equal(t, handle.want, core, handle.pragma)
		require.Equal(t, handle.want, tenant, handle.pragma)
	}
	require.ErrorContains(t, db.Exec("ATTACH ? AS other", "file:core.db").Error, "too many attached")

	now := time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.FixedZone("", 3600))
	require.NoError(t, db.Exec("CREATE TABLE times (at datetime)").Error)
	require.NoError(t, db.Exec("INSERT INTO times VALUES (?)", now).Error)
	var read time.Time
	require.NoError(t, db.Raw("SELECT at FROM times").Scan(&read).Error)
	require.True(t, now.Equal(read))
	require.Equal(t, time.UTC, read.Location())
}

func TestSQLiteRelativeURL(t *testing.T) {
	t.Chdir(t.TempDir())
	b := open(t, "sqlite://data/core.db")
	require.NoError(t, b.Core().Exec("SELECT 1").Error)
	require.FileExists(t, "data/core.db")
}

func TestSQLiteOddFolder(t *testing.T) {
	t.Parallel()
	url := "sqlite://" + filepath.Join(t.TempDir(), "a #b%20 ü", "core.db")
	b := open(t, url)
	name := makeDatabase(t, b, lock(t, b, "k"))
	require.FileExists(t, filepath.Join(folderOf(url), name+".db"))
	require.Equal(t, name, readMark(t, openDatabase(t, b, name, nil)))
}

func TestSQLiteConcurrentFirstStart(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			b, err := connect.Open(t.Context(), database.Options{URL: url})
			if assertNoError(t, err) {
				assertNoError(t, b.Core().Exec("CREATE TABLE IF NOT EXISTS x (id integer)").Error)
				assertNoError(t, b.Close())
			}
		})
	}
	group.Wait()
}

func TestSQLiteLinksAndCoreAreNoTenants(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	b := open(t, url)
	outside := filepath.Join(t.TempDir(), "outside.db")
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(folderOf(url), "linked.db")))
	s := lock(t, b, "k")

	_, err := b.OpenDatabase(t.Context(), "linked", nil)
	require.ErrorIs(t, err, database.ErrForeign)
	for _, name := range []string{"core", "CORE"} {
		require.ErrorIs(t, s.Drop(t.Context(), name, ""), database.ErrForeign)
		require.ErrorIs(t, rename(t.Context(), s, name, newName()), database.ErrForeign)
		require.ErrorIs(t, s.Create(t.Context(), name), database.ErrForeign)
	}
	_, err = b.OpenDatabase(t.Context(), "core", nil)
	require.ErrorIs(t, err, database.ErrForeign)
}

func TestSQLiteNoticesThatFilesWereSwapped(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	b := open(t, url)
	s := lock(t, b, "k")
	one, two := makeDatabase(t, b, s), makeDatabase(t, b, s)
	check := func(name string) database.Check {
		return func(ctx context.Context, q database.Querier) error {
			var text string
			if err := q.QueryRowContext(ctx, "SELECT text FROM marks").Scan(&text); err != nil {
				return err
			}
			if text != name {
				return database.ErrForeign
			}
			return nil
		}
	}
	db := openDatabase(t, b, one, check(one))
	require.Equal(t, one, readMark(t, db))

	require.NoError(t, os.Rename(filepath.Join(folderOf(url), two+".db"), filepath.Join(folderOf(url), one+".db")))

	require.ErrorIs(t, db.Exec("SELECT 1").Error, database.ErrForeign)
}

func TestSQLiteLeftoversDoNotHaunt(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	b := open(t, url)
	s := lock(t, b, "k")
	name := newName()
	path := filepath.Join(folderOf(url), name+".db")
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		require.NoError(t, os.WriteFile(path+suffix, []byte("stale"), 0o600))
	}
	require.NoError(t, s.Create(t.Context(), name))
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		require.NoFileExists(t, path+suffix)
	}

	// A creation that was cut short left an empty file: it opens, and in WAL.
	empty := newName()
	require.NoError(t, os.WriteFile(filepath.Join(folderOf(url), empty+".db"), nil, 0o600))
	var mode string
	require.NoError(t, openDatabase(t, b, empty, nil).Raw("PRAGMA journal_mode").Row().Scan(&mode))
	require.Equal(t, "wal", mode)

	broken := newName()
	require.NoError(t, os.WriteFile(filepath.Join(folderOf(url), broken+".db"), []byte(strings.Repeat("no database ", 1000)), 0o600))
	_, err := b.OpenDatabase(t.Context(), broken, nil)
	require.True(t, database.IsUnavailable(err), "%v", err)
}

// TestSQLiteOpenFilesAreBounded runs alone: it counts the files of the process.
func TestSQLiteOpenFilesAreBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts in /proc")
	}
	url := sqliteURL(t)
	b := open(t, url)
	s := lock(t, b, "k")
	name := makeDatabase(t, b, s)
	count := func() (n int) {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, entry := range entries {
			if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.Contains(target, name) {
				n++
			}
		}
		return n
	}
	db, err := b.OpenDatabase(t.Context(), name, nil)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			assertNoError(t, db.Exec("INSERT INTO marks VALUES ('x')").Error)
		})
	}
	group.Wait()
	require.LessOrEqual(t, count(), 9)
	require.NoError(t, database.Close(db))
	require.Zero(t, count())
}

// A database that is deleted while somebody has just opened it leaves nothing: what
// SQLite makes beside a file that is no longer there it does not remove itself.
func TestSQLiteDroppedWhileOpened(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	b := open(t, url)
	s := lock(t, b, "k")
	name := makeDatabase(t, b, s)
	other := open(t, url)

	_, err := other.OpenDatabase(t.Context(), name, func(ctx context.Context, q database.Querier) error {
		require.NoError(t, s.Drop(ctx, name, ""))
		var marks int
		return q.QueryRowContext(ctx, "SELECT count(*) FROM marks").Scan(&marks)
	})

	require.ErrorIs(t, err, database.ErrNotExist)
	left, err := filepath.Glob(filepath.Join(folderOf(url), name+"*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
