package tests_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// backupJSON is a backup as backup list shows it, as far as tests look.
type backupJSON struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Status      string   `json:"status"`
	Unexplained []string `json:"unexplained"`
	Dumped      bool     `json:"dumped"`
	Encrypted   bool     `json:"encrypted"`
	Archive     string   `json:"archive"`
}

type backupRunJSON struct {
	Complete   int `json:"complete"`
	Incomplete int `json:"incomplete"`
	Skipped    int `json:"skipped"`
	Failed     int `json:"failed"`
	Left       int `json:"left"`
	Items      []struct {
		Name    string `json:"name"`
		Outcome string `json:"outcome"`
		ID      string `json:"id"`
		Bytes   int64  `json:"bytes"`
		Reason  string `json:"reason"`

		Dumped []string `json:"dumped"`
	} `json:"items"`
}

// keepBackups gives settings a folder for backups, and returns it. They are encrypted
// to identity, if it is not nil.
func keepBackups(t *testing.T, settings *testkit.Settings, identity *age.X25519Identity) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "backups")
	settings.Variables = map[string]string{"BACKUP_URL": "file://" + filepath.ToSlash(folder)}
	if identity != nil {
		settings.Variables["BACKUP_RECIPIENTS"] = identity.Recipient().String()
	}
	return folder
}

// identityFile writes an identity to a file.
func identityFile(t testing.TB, identity *age.X25519Identity) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity.txt")
	require.NoError(t, os.WriteFile(path, []byte("# created for a test\n"+identity.String()+"\n"), 0o600))
	return path
}

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return identity
}

// listBackups returns the backups by the names of their tenants; the last where there
// are several.
func listBackups(t *testing.T, settings *testkit.Settings) map[string]backupJSON {
	t.Helper()
	found := map[string]backupJSON{}
	for _, backup := range decodeLoosely[[]backupJSON](t, settings.Command(t, "backup", "list", "--json")) {
		found[backup.Name] = backup
	}
	return found
}

// readParts returns what an archive holds, by the names of the members.
func readParts(t *testing.T, path string, identity age.Identity) map[string]string {
	t.Helper()
	sealed, err := os.ReadFile(path)
	require.NoError(t, err)
	var plain io.Reader = bytes.NewReader(sealed)
	if identity != nil {
		plain, err = age.Decrypt(plain, identity)
		require.NoError(t, err)
	}
	decoder, err := zstd.NewReader(plain)
	require.NoError(t, err)
	defer decoder.Close()
	parts, members := map[string]string{}, tar.NewReader(decoder)
	for {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		require.NoError(t, err)
		content, err := io.ReadAll(members)
		require.NoError(t, err)
		parts[header.Name] = string(content)
	}
}

// Core and the tenants are backed up while users write, also a suspended one, each as
// it was at one moment. Only the identity reads them.
func TestBackupsOfAFleet(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		folder := keepBackups(t, &settings, identity)
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "acme", "globex")
		app.Register("acme", "grace@example.com")
		settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)

		stop, writers := make(chan struct{}), sync.WaitGroup{}
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					app.Register("acme", "writer-"+strings.Repeat("x", n%40)+"@example.com")
				}
			}
		})
		outcome := settings.Command(t, "backup", "run", "--json")
		close(stop)
		writers.Wait()

		run := testkit.Decode[backupRunJSON](t, outcome.RequireCode(t, 0))
		require.Equal(t, []int{4, 0, 0, 0, 0}, []int{run.Complete, run.Incomplete, run.Skipped, run.Failed, run.Left})
		require.Equal(t, "core", run.Items[0].Name)
		require.Equal(t, "core", run.Items[3].Name)
		kept := listBackups(t, &settings)
		require.Len(t, kept, 3)
		whole := settings.Command(t, "backup", "verify", "--level", "1").RequireCode(t, 0)
		require.Equal(t, "backups: 4 whole, 0 not\n", whole.Stdout)
		unread := settings.Command(t, "backup", "verify").RequireCode(t, 1)
		require.Equal(t, "backups: 0 whole, 4 not\n", unread.Stdout)
		require.Contains(t, unread.Stderr, "it is encrypted, and there is no identity")
		settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		requireCopied(t, &settings, readParts(t, filepath.Join(folder, kept["acme"].Archive), identity))
		secret := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT secret FROM core_installation")
		core := strings.Join(valuesOf(readParts(t, filepath.Join(folder, kept["core"].Archive), identity)), "\n")
		require.Contains(t, core, secret, "core without its secret could not make the roles' passwords again")
		for _, said := range []string{outcome.Stdout + outcome.Stderr, whole.Stderr, unread.Stderr} {
			for _, hidden := range []string{testkit.Secret, testkit.Password, secret, identity.String(), owner, "grace@example.com"} {
				require.NotContains(t, said, hidden)
			}
		}
		settings.RequireTidy(t)
	})
}

func valuesOf(parts map[string]string) []string {
	values := make([]string, 0, len(parts))
	for _, value := range parts {
		values = append(values, value)
	}
	return values
}

// requireCopied requires that the parts are the database of acme.
func requireCopied(t *testing.T, settings *testkit.Settings, parts map[string]string) {
	t.Helper()
	require.Contains(t, parts["organization.json"], `"owner_email": "ada@example.com"`)
	require.Contains(t, parts["manifest.json"], `"format":1`)
	if settings.Engine == testkit.Postgres {
		require.Contains(t, parts["tables/tenant_users/000000.copy"], "grace@example.com")
		require.Contains(t, parts["schema.json"], `"name": "tenant_users_id_seq"`)
		require.Contains(t, parts, "tables/tenant_stamp/000000.copy")
		return
	}
	copied := *settings
	copied.Database.URL = "sqlite://" + filepath.Join(t.TempDir(), "core.db")
	require.NoError(t, os.WriteFile(copied.File("copy"), []byte(parts["database.db"]), 0o600))
	require.Equal(t, 1, testkit.Scalar[int](t, &copied, "copy", "SELECT count(*) FROM tenant_users WHERE email = 'grace@example.com'"))
}
