package tests_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// TestAStandbyIsListedFirst: it refuses to write, knows none of the roles that were just
// made and none of the databases. The next host is asked, whatever the first answers.
func TestAStandbyIsListedFirst(t *testing.T) {
	t.Parallel()
	standby, err := url.Parse(pgtest.Start(t, "--default_transaction_read_only=on").URL())
	require.NoError(t, err)
	settings := testkit.Fresh(t, testkit.Postgres)
	for slug, attributes := range map[string]string{"asked": "&target_session_attrs=read-write", "usual": ""} {
		t.Run(slug, func(t *testing.T) {
			both := settings
			address, err := url.Parse(settings.Database.URL)
			require.NoError(t, err)
			address.Host = standby.Host + "," + address.Host
			both.Database.URL = address.String() + attributes
			app := testkit.Start(t, both)
			require.Equal(t, http.StatusOK, app.Get("/ready", "").Code)
			owner := app.Token("", slug+"@example.com")
			app.Organization(owner, slug)
			app.Token(slug, "grace@example.com")
			require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/"+slug, owner).Code)
		})
	}
}
