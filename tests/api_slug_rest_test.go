package tests_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const monthOfRest = 30 * 24 * time.Hour

func requireResting(t *testing.T, app *testkit.App, stranger string) {
	t.Helper()
	const slug = "acme"
	app.CreateOrganization(stranger, slug).RequireProblem(app, 400, "slug_resting", "Organization slug already exists")
	app.Register(slug, "eve@example.com").RequireProblem(app, 404, "slug_resting", "Tenant not found")
	refused := app.Settings.Command(t, "tenants", "create", slug).RequireCode(t, 1)
	require.Contains(t, refused.Stderr, "`multitenant tenants release acme` ends that")
}

// TestADeletedSlugRests: users of a deleted tenant would trust whoever took its name.
func TestADeletedSlugRests(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app, replica := testkit.Start(t, settings), testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", owner).Code)

		requireResting(t, app, stranger)
		requireResting(t, replica, stranger)
		app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")

		app.Organization(owner, "acme")
		require.Equal(t, http.StatusOK, app.Register("acme", "grace@example.com").Code)
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", owner).Code)
		requireResting(t, replica, stranger)

		require.Contains(t, settings.Command(t, "tenants", "release", "acme").RequireCode(t, 0).Stdout, `slug "acme" is released`)
		require.Contains(t, settings.Command(t, "tenants", "release", "acme").RequireCode(t, 1).Stderr, `slug "acme" is not kept`)
		app.Organization(stranger, "acme")
		app.CreateOrganization(owner, "acme").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'slug.released' AND actor = 'operator' AND target_name = 'acme'"))
	})
}

func TestTheRestEnds(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app := testkit.Start(t, settings)
		stranger := app.Token("", "eve@example.com")
		app.Token("acme", "ada@example.com")
		settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)
		requireResting(t, app, stranger) // nobody owned it

		settings.Exec(t, settings.CoreName(), "UPDATE resting_slugs SET since = '"+
			time.Now().UTC().Add(-monthOfRest-time.Minute).Format(sqlTime)+"'")

		app.Organization(stranger, "acme")
		testkit.Start(t, settings) // a server looks at its start, and then each hour
		testkit.Await(t, 10*time.Second, func() error {
			if kept := testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM resting_slugs"); kept > 0 {
				return errors.New("the slug is kept")
			}
			return nil
		})
	})
}

// A tenant that never was whole leaves no slug behind that rests.
func TestAFailedTenantDoesNotRest(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app := testkit.Start(t, settings)
		owner := app.Token("", "ada@example.com")
		app.Token("acme", "grace@example.com")
		app.CreateOrganization(owner, "acme").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM resting_slugs"))
	})
}
