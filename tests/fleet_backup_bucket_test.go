package tests_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"multitenant/tests/s3test"
	"multitenant/tests/testkit"
)

// keepBackupsInBucket gives settings a bucket for backups, encrypted to identity.
func keepBackupsInBucket(t *testing.T, settings *testkit.Settings, identity *age.X25519Identity) *s3test.Bucket {
	t.Helper()
	bucket := s3test.Start(t)
	settings.Variables = map[string]string{
		"BACKUP_URL":        bucket.URL,
		"BACKUP_ACCESS_KEY": bucket.Access,
		"BACKUP_SECRET_KEY": bucket.Secret,
		"BACKUP_RECIPIENTS": identity.Recipient().String(),
	}
	return bucket
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
	bucket := keepBackupsInBucket(t, &settings, newIdentity(t))
	settings.Command(t, "migrate").RequireCode(t, 0)
	bucket.Fail(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>The signatures differ.</Message></Error>")
		return true
	})

	outcome := settings.Command(t, "backup", "run").RequireCode(t, 1)

	require.Contains(t, outcome.Stderr, "try the store of backups: ")
	require.Contains(t, outcome.Stderr, "403")
	require.NotContains(t, outcome.Stdout+outcome.Stderr, bucket.Secret)
}

// A server that keeps something else than it was sent does not make a backup.
func TestBackupToABucketThatKeepsAnotherSize(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	bucket := keepBackupsInBucket(t, &settings, newIdentity(t))
	settings.Command(t, "migrate").RequireCode(t, 0)
	bucket.Fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".age") {
			content, _ := io.ReadAll(r.Body) // the backup fails either way
			content = content[:len(content)-1]
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
			r.Header.Set("Content-Length", strconv.Itoa(len(content)))
		}
		return false
	})

	outcome := settings.Command(t, "backup", "run").RequireCode(t, 1)

	require.Contains(t, outcome.Stderr, "core: failed: archive is damaged")
	require.Empty(t, idsOf(t, &settings))
	bucket.Fail(nil)
	settings.Command(t, "backup", "run").RequireCode(t, 0)
}
