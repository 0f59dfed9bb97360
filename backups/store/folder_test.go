package store_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/backups/store"
)

func newFolder(t *testing.T) (kept *store.Folder, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a", "b")
	kept, err := store.OpenFolder(path, true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	return kept, path
}

func text(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

func read(t *testing.T, kept store.Store, name string) string {
	t.Helper()
	object, err := kept.Open(t.Context(), name)
	require.NoError(t, err)
	content, err := io.ReadAll(object)
	require.NoError(t, err)
	require.NoError(t, object.Close())
	return string(content)
}

func TestFolderKeepsObjects(t *testing.T) {
	t.Parallel()
	kept, path := newFolder(t)
	require.NoError(t, kept.Put(t.Context(), "core/acme/1.json", text("one")))
	require.NoError(t, kept.Put(t.Context(), "core/acme/1.tar", text("two")))
	require.NoError(t, kept.Put(t.Context(), "core/0.json", text("three")))

	require.Equal(t, []string{"core/0.json", "core/acme/1.json", "core/acme/1.tar"}, namesOf(t, kept, "."))
	require.Equal(t, []string{"core/acme/1.json", "core/acme/1.tar"}, namesOf(t, kept, "core/acme"))
	require.Empty(t, namesOf(t, kept, "other/missing"))
	require.Equal(t, "one", read(t, kept, "core/acme/1.json"))
	for name, mode := range map[string]fs.FileMode{".": 0o700, "core/acme": 0o700, "core/acme/1.json": 0o600} {
		found, err := os.Stat(filepath.Join(path, name))
		require.NoError(t, err)
		require.Equal(t, mode, found.Mode().Perm(), name)
	}
	require.NoError(t, kept.Remove(t.Context(), "core/0.json"))
	require.NoError(t, kept.Remove(t.Context(), "core/0.json"))
	_, err := kept.Open(t.Context(), "core/0.json")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func namesOf(t *testing.T, kept store.Store, folder string) (names []string) {
	t.Helper()
	found, err := kept.List(t.Context(), folder)
	require.NoError(t, err)
	for _, object := range found {
		require.WithinDuration(t, time.Now(), object.At, time.Hour)
		require.False(t, object.Unfinished)
		names = append(names, object.Name)
	}
	return names
}

// An object appears whole or not at all, and none takes another's place.
func TestFolderKeepsNothingByHalves(t *testing.T) {
	t.Parallel()
	kept, path := newFolder(t)
	broken := errors.New("broken")
	err := kept.Put(t.Context(), "core/1.json", func(w io.Writer) error { return errors.Join(text("half")(w), broken) })
	require.ErrorIs(t, err, broken)
	ended, cancel := context.WithCancel(t.Context())
	err = kept.Put(ended, "core/1.json", func(w io.Writer) error { cancel(); return text("whole")(w) })
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(filepath.Join(path, "core"))
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, kept.Put(t.Context(), "core/1.json", text("first")))
	require.ErrorIs(t, kept.Put(t.Context(), "core/1.json", text("second")), fs.ErrExist)
	require.Equal(t, "first", read(t, kept, "core/1.json"))
}

func TestFolderLetsNoNameOut(t *testing.T) {
	t.Parallel()
	kept, path := newFolder(t)
	outside := filepath.Join(filepath.Dir(path), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("kept"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(path, "link")))
	for _, name := range []string{"../outside", "link", outside} {
		require.Error(t, kept.Put(t.Context(), name, text("lost")), name)
		_, err := kept.Open(t.Context(), name)
		require.Error(t, err, name)
	}
	require.Error(t, kept.Remove(t.Context(), "../outside"))
	content, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "kept", string(content))
}

func TestFolderIsMadeOnlyToKeepSomething(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing")
	_, err := store.OpenFolder(path, false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, path)
}
