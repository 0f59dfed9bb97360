package tests_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// setWriteVersion writes the byte of the file's header that says who may write it: 2 is
// SQLite as we know it, 3 a later format. Such a file is read-only, also to root.
func setWriteVersion(t *testing.T, path string, version byte) {
	t.Helper()
	const place = 18
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{version}, place)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// TestReadOnlyFiles of core and of a tenant: the server is not ready. Once they can be
// written, it serves them without a restart, although it opened them when they could not.
func TestReadOnlyFiles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	before := testkit.Start(t, settings)
	before.Token("", "ada@example.com")
	before.Token("acme", "bob@example.com")
	before.Close()
	core, tenant := settings.File(settings.CoreName()), settings.File(settings.DatabaseName("acme"))
	setWriteVersion(t, core, 3)
	setWriteVersion(t, tenant, 3)

	app := testkit.Start(t, settings)
	ready := func() testkit.Response { return app.Get("/ready", "") }
	signIn := func() testkit.Response { return app.Login("", "ada@example.com") }
	signInInside := func() testkit.Response { return app.Login("acme", "bob@example.com") }
	ready().RequireProblem(app, 503, "core_unavailable", "Service is read-only")
	require.Equal(t, http.StatusServiceUnavailable, signIn().Code)
	require.Equal(t, http.StatusServiceUnavailable, signInInside().Code)

	setWriteVersion(t, core, 2)
	setWriteVersion(t, tenant, 2)
	for i, ask := range []func() testkit.Response{ready, signIn, signInInside} {
		testkit.Await(t, 5*time.Second, func() error { // a connection that began read-only ends with its use
			if answer := ask(); answer.Code != http.StatusOK {
				return fmt.Errorf("%d: %s", i, answer.Raw)
			}
			return nil
		})
	}
}

// TestReadyBesideAWriter that keeps others from writing for long.
func TestReadyBesideAWriter(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	app := testkit.Start(t, settings)
	hold(t, settings.File(settings.CoreName()))

	require.Equal(t, http.StatusOK, app.Get("/ready", "").Code)
}
