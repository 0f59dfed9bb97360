package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"multitenant/config"
)

// onSQLite returns settings with a data folder of its own, which is not there
// yet, and where the key will be.
func onSQLite(t *testing.T) (settings environ, file string) {
	t.Helper()
	core := filepath.Join(t.TempDir(), "data", "core.db")
	return environ{"DATABASE_URL": "sqlite://" + core}, core + ".jwt_secret"
}

func TestAKeyIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	settings, file := onSQLite(t)

	first, err := config.Load(settings, t.TempDir())
	require.NoError(t, err)
	second, err := config.Load(settings, t.TempDir())
	require.NoError(t, err)

	require.GreaterOrEqual(t, len(first.Tokens.Secret), 64)
	require.Equal(t, first.Tokens.Secret, second.Tokens.Secret)

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	info, err = os.Stat(filepath.Dir(file))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	requireAlone(t, file)
}

func TestInstallationsDoNotShareAKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()

	first, err := config.Load(environ{"DATABASE_URL": "sqlite://" + dir + "/one.db"}, dir)
	require.NoError(t, err)
	second, err := config.Load(environ{"DATABASE_URL": "sqlite://" + dir + "/two.db"}, dir)
	require.NoError(t, err)

	require.NotEqual(t, first.Tokens.Secret, second.Tokens.Secret)
}

func TestStartingAtOnceMakesOneKey(t *testing.T) {
	t.Parallel()
	settings, file := onSQLite(t)
	dir := t.TempDir()

	var group errgroup.Group
	keys := make([]string, 32)
	for i := range keys {
		group.Go(func() error {
			loaded, err := config.Load(settings, dir)
			keys[i] = string(loaded.Tokens.Secret)
			return err
		})
	}
	require.NoError(t, group.Wait())

	for _, key := range keys {
		require.NotEmpty(t, key)
		require.Equal(t, keys[0], key)
	}
	requireAlone(t, file)
}

func TestAKeyThatIsSetIsTaken(t *testing.T) {
	t.Parallel()
	settings, file := onSQLite(t)
	settings["JWT_SECRET_KEY"] = secret

	got, err := config.Load(settings, t.TempDir())

	require.NoError(t, err)
	require.Equal(t, secret, string(got.Tokens.Secret))
	require.NoFileExists(t, file)
}

func TestMistakesLeaveNoKeyBehind(t *testing.T) {
	t.Parallel()
	settings, file := onSQLite(t)
	settings["BCRYPT_COST"] = "3"

	_, err := config.Load(settings, t.TempDir())

	require.ErrorContains(t, err, "BCRYPT_COST")
	require.NoDirExists(t, filepath.Dir(file))
}

func TestOnPostgresAKeyMustBeSet(t *testing.T) {
	t.Parallel()

	_, err := config.Load(environ{"DATABASE_URL": "postgres://u:hunter2@h/db"}, t.TempDir())

	require.EqualError(t, err, "JWT_SECRET_KEY: is required on PostgreSQL, with at least 32 bytes")
}

func TestAnUnsafeKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"too short":           {"hunter2" + strings.Repeat("x", 24) + "\r\n", 0o600, "at least 32 bytes"},
		"empty":               {"", 0o600, "at least 32 bytes"},
		"readable by a group": {secret + "hunter2", 0o640, "can be read by others"},
		"readable by all":     {secret + "hunter2", 0o644, "can be read by others"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings, file := onSQLite(t)
			settings["BCRYPT_COST"] = "3"
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
			require.NoError(t, os.WriteFile(file, []byte(tc.text), 0o600))
			require.NoError(t, os.Chmod(file, tc.mode))

			_, err := config.Load(settings, t.TempDir())

			require.ErrorContains(t, err, "JWT_SECRET_KEY: "+file)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "BCRYPT_COST", "both mistakes are reported")
			require.NotContains(t, err.Error(), "hunter2")
			kept, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, tc.text, string(kept))
		})
	}
}

func TestWhereNoKeyCanBeMadeTheFailureIsNamed(t *testing.T) {
	t.Parallel()
	settings, file := onSQLite(t)
	require.NoError(t, os.WriteFile(filepath.Dir(file), nil, 0o600))

	_, err := config.Load(settings, t.TempDir())

	require.ErrorContains(t, err, "JWT_SECRET_KEY: ")
}

func TestAFolderIsNoKey(t *testing.T) {
	t.Parallel()
	settings, file := onSQLite(t)
	require.NoError(t, os.MkdirAll(file, 0o700))

	_, err := config.Load(settings, t.TempDir())

	require.EqualError(t, err, "JWT_SECRET_KEY: "+file+" is not a file")
}

// requireAlone finds a temporary file that was left over.
func requireAlone(t *testing.T, file string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, filepath.Base(file), entries[0].Name())
}
