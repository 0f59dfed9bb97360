package tests_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const bucketSecret = "the-key-of-the-bucket"

// keepBackupsInBucket gives settings a bucket for backups, encrypted to identity. A fault
// that is stored may answer a request instead of the server, which it reports.
func keepBackupsInBucket(
	t *testing.T, settings *testkit.Settings, identity *age.X25519Identity,
) (fault *atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]) {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("backups"))
	fake := gofakes3.New(backend).Server()
	fault = &atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := fault.Load(); answer == nil || !(*answer)(w, r) {
			fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	settings.Variables = map[string]string{
		"BACKUP_URL":        "s3://backups/test?endpoint=" + server.URL,
		"BACKUP_ACCESS_KEY": "access",
		"BACKUP_SECRET_KEY": bucketSecret,
		"BACKUP_RECIPIENTS": identity.Recipient().String(),
	}
	return fault
}

// All that works with a folder works with a bucket.
func TestBackupsInABucket(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		keepBackupsInBucket(t, &settings, identity)
		settings.Variables["BACKUP_IDENTITY_FILE"], settings.Variables["BACKUP_KEEP"] = identityFile(t, identity), "1d"
		app := testkit.Start(t, settings)
		fleetOf(app, "acme")
		for range 2 {
			outcome := settings.Command(t, "backup", "run").RequireCode(t, 0)
			require.Equal(t, "backups: 3 complete, 0 incomplete, 0 skipped, 0 failed, 0 left\n", outcome.Stdout)
		}
		require.Len(t, idsOf(t, &settings), 6)
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		pruned := settings.Command(t, "backup", "prune").RequireCode(t, 0)
		require.Equal(t, "removed: 4 backups, 0 objects of no backup\n", pruned.Stdout)
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		settings.Command(t, "backup", "forget", "acme", "--yes").RequireCode(t, 0)
		require.Len(t, idsOf(t, &settings), 1)

		delete(settings.Variables, "BACKUP_RECIPIENTS")
		delete(settings.Variables, "BACKUP_ACCESS_KEY")
		refused := settings.Command(t, "backup", "run").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "BACKUP_RECIPIENTS: must be set")
		require.Contains(t, refused.Stderr, "BACKUP_ACCESS_KEY: must be set")
	})
}

// Wrong credentials are an error before anything is copied, and are not repeated in it.
func TestBackupToABucketThatRefuses(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	fault := keepBackupsInBucket(t, &settings, newIdentity(t))
	settings.Command(t, "migrate").RequireCode(t, 0)
	refuse := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>The signatures differ.</Message></Error>")
		return true
	}
	fault.Store(&refuse)

	outcome := settings.Command(t, "backup", "run").RequireCode(t, 1)

	require.Contains(t, outcome.Stderr, "try the store of backups: ")
	require.Contains(t, outcome.Stderr, "403")
	require.NotContains(t, outcome.Stdout+outcome.Stderr, bucketSecret)
}

// A server that keeps something else than it was sent does not make a backup.
func TestBackupToABucketThatKeepsAnotherSize(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	fault := keepBackupsInBucket(t, &settings, newIdentity(t))
	settings.Command(t, "migrate").RequireCode(t, 0)
	shorten := func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".age") {
			content, _ := io.ReadAll(r.Body) // the backup fails either way
			content = content[:len(content)-1]
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
			r.Header.Set("Content-Length", strconv.Itoa(len(content)))
		}
		return false
	}
	fault.Store(&shorten)

	outcome := settings.Command(t, "backup", "run").RequireCode(t, 1)

	require.Contains(t, outcome.Stderr, "core: failed: archive is damaged")
	require.Empty(t, idsOf(t, &settings))
	fault.Store(nil)
	settings.Command(t, "backup", "run").RequireCode(t, 0)
}
