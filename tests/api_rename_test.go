package tests_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

func rename(app *testkit.App, token, from, to string) testkit.Response {
	return app.Put("/api/organizations/"+from, token, testkit.JSON{"slug": to})
}

// requireCalled requires that the tenant of Grace's token is reached by the slug.
func requireCalled(t *testing.T, app *testkit.App, token, slug string) {
	t.Helper()
	const email = "grace@example.com"
	me := app.Do(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: token, Tenant: slug})
	require.Equal(t, http.StatusOK, me.Code, "%s: %s", slug, me.Raw)
	require.Equal(t, email, me.Text(app, "email"))
	app.TokenOf(slug, email)
}

// TestARenamedTenantIsReachedByBothSlugs: nobody notices, and nobody takes the old slug.
func TestARenamedTenantIsReachedByBothSlugs(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app, replica := testkit.Start(t, settings), testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		before := app.Token("acme", "grace@example.com")
		requireCalled(t, replica, before, "acme") // it has read the row

		renamed := rename(app, owner, "acme", "globex")
		require.Equal(t, http.StatusOK, renamed.Code, renamed.Raw)
		require.Equal(t, "globex", renamed.Text(app, "slug"))
		require.JSONEq(t, renamed.Raw, app.Get("/api/organizations/acme", owner).Raw)
		require.JSONEq(t, renamed.Raw, rename(app, owner, "acme", "globex").Raw, "it has that slug already")
		for _, token := range []string{before, app.TokenOf("acme", "grace@example.com"), app.TokenOf("globex", "grace@example.com")} {
			requireCalled(t, app, token, "acme")
			requireCalled(t, app, token, "globex")
		}
		requireCalled(t, replica, before, "globex")

		app.CreateOrganization(stranger, "acme").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		require.Contains(t, settings.Command(t, "tenants", "create", "acme").RequireCode(t, 1).Stderr, "already exists")
		app.Token("acme", "mary@example.com") // joins the tenant
		requireCalled(t, app, before, "globex")
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM tenants WHERE slug IS NOT NULL"))
		require.Equal(t, 3, testkit.Scalar[int](t, &settings, settings.DatabaseName("acme"), "SELECT count(*) FROM tenant_users"))
		require.Contains(t, app.Get("/api/audit/?action=organization.renamed", owner).Raw, `"detail":"from acme"`)
		settings.RequireTidy(t)

		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", owner).Code)
		app.Get("/api/users/me", before).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		for _, slug := range []string{"acme", "globex"} {
			app.CreateOrganization(stranger, slug).RequireProblem(app, 400, "slug_resting", "Organization slug already exists")
			app.Organization(owner, slug)
		}
	})
}

// TestAReleasedAliasIsFree: the next tenant of that slug is another, though the renamed
// one's database still has the name.
func TestAReleasedAliasIsFree(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		before := app.Token("acme", "grace@example.com")
		require.Contains(t, settings.Command(t, "tenants", "rename", "acme", "globex").RequireCode(t, 0).Stdout, `tenant "acme" is "globex" now`)
		require.Contains(t, settings.Command(t, "tenants", "rename", "acme", "globex").RequireCode(t, 1).Stderr, "its slug already")
		settings.Command(t, "tenants", "release", "acme").RequireCode(t, 0)

		app.Organization(stranger, "acme")
		app.Login("acme", "grace@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.TokenOf("globex", "grace@example.com")
		testkit.Await(t, patience, func() error { // the command is another process
			if me := app.Get("/api/users/me", before); me.Code != http.StatusUnauthorized {
				return fmt.Errorf("a token names the slug of another tenant: %s", me.Raw)
			}
			return nil
		})
		app.Get("/api/organizations/acme", owner).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		require.Contains(t, settings.Command(t, "tenants", "doctor").RequireCode(t, 0).Stdout, "nothing is wrong")
		settings.RequireTidy(t)
		for token, slug := range map[string]string{owner: "globex", stranger: "acme"} {
			require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/"+slug, token).Code)
		}
		settings.RequireTidy(t)
	})
}

func TestRefusedRenamings(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		for _, slug := range []string{"other", "gone"} {
			app.Organization(stranger, slug)
		}
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/gone", stranger).Code)
		require.Equal(t, http.StatusOK, rename(app, stranger, "other", "newer").Code)

		for _, refused := range []struct{ slug, code, detail string }{
			{"Acme", "invalid_slug", "Invalid slug format"},
			{"", "invalid_slug", "Invalid slug format"},
			{strings.Repeat("a", 41), "invalid_slug", "Invalid slug format"},
			{"admin", "reserved_slug", "Organization slug is reserved"},
			{"newer", "slug_taken", "Organization slug already exists"},
			{"other", "slug_taken", "Organization slug already exists"}, // an alias
			{"gone", "slug_resting", "Organization slug already exists"},
		} {
			rename(app, owner, "acme", refused.slug).RequireProblem(app, 400, refused.code, refused.detail)
		}
		app.Put("/api/organizations/acme", owner, testkit.JSON{"slug": nil}).RequireInvalid(app, map[string]string{"slug": "required"})
		for _, slug := range []string{"newer", "other"} { // an alias is no way to the organization of another user
			app.Get("/api/organizations/"+slug, owner).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		}
		rename(app, stranger, "acme", "stolen").RequireProblem(app, 404, "organization_not_found", "Organization not found")

		// What is sent beside a refused slug is not done either.
		app.Put("/api/organizations/acme", owner, testkit.JSON{"slug": "other", "name": "Changed", "is_active": false}).
			RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		org := app.Get("/api/organizations/acme", owner).Object(app)
		require.Equal(t, "acme", org["slug"])
		require.Equal(t, "Organization acme", org["name"])
		require.Equal(t, true, org["is_active"])

		for i, slug := range []string{"one", "two", "three"} {
			changed := app.Put("/api/organizations/acme", owner, testkit.JSON{"slug": slug, "is_active": i%2 == 1})
			require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
			require.Equal(t, i%2 == 1, changed.Object(app)["is_active"])
		}
		rename(app, owner, "acme", "four").RequireProblem(app, 409, "too_many_aliases", "No organization may keep more than 3 earlier slugs")
		require.Equal(t, http.StatusOK, rename(app, owner, "three", "acme").Code, "an alias may be taken back")
		require.Equal(t, 4, testkit.Scalar[int](t, &settings, settings.CoreName(), // beside the one of the other tenant
			"SELECT count(*) FROM slug_aliases"))
	})
}

// TestASlugBecomesAnAliasWhileItIsClaimed: the slug was free when the request came.
func TestASlugBecomesAnAliasWhileItIsClaimed(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		var during atomic.Pointer[func()]
		settings.OnStep = func(step tenants.Step) {
			if do := during.Load(); do != nil && step == tenants.StepLocked {
				during.Store(nil)
				(*do)()
			}
		}
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		twice := func() {
			rename(app, owner, "acme", "globex")
			rename(app, owner, "acme", "initech")
		}
		during.Store(&twice)
		app.CreateOrganization(stranger, "globex").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		require.Equal(t, "initech", app.Get("/api/organizations/globex", owner).Text(app, "slug"))
		settings.RequireTidy(t)
	})
}

// TestRenamingRaces: whoever makes a tenant of the old or of the new slug at the same moment,
// no slug is both a tenant's and an alias.
func TestRenamingRaces(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		const rounds = 4
		for round := range rounds {
			name := func(what string) string { return fmt.Sprintf("%s-%d", what, round) }
			app.Organization(owner, name("old"))
			app.Organization(stranger, name("other"))
			requests := []testkit.Request{
				{Method: http.MethodPut, Path: "/api/organizations/" + name("old"), Token: owner, Body: testkit.JSON{"slug": name("new")}},
				{Method: http.MethodPut, Path: "/api/organizations/" + name("old"), Token: owner, Body: testkit.JSON{"slug": name("new")}},
				{Method: http.MethodPut, Path: "/api/organizations/" + name("other"), Token: stranger, Body: testkit.JSON{"slug": name("old")}},
				{Method: http.MethodPut, Path: "/api/organizations/" + name("other"), Token: stranger, Body: testkit.JSON{"slug": name("new")}},
				testkit.Creation(stranger, name("old")),
				testkit.Registration(name("new"), "grace@example.com"),
			}
			var all sync.WaitGroup
			for _, request := range requests {
				all.Go(func() { app.Do(request) })
			}
			all.Wait()
		}
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM slug_aliases a JOIN tenants t ON t.slug = a.slug"))
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM tenants t JOIN organizations o ON o.tenant_id = t.id WHERE t.slug <> o.slug"))
		settings.RequireTidy(t)
	})
}

// renameUnchecked renames acme with none of the looks that come before the transaction, as
// if all that they look at had changed since.
func renameUnchecked(t *testing.T, app *testkit.App, to models.Slug) error {
	t.Helper()
	org, err := models.FindOrganization(t.Context(), app.Tenants.Core(), 1, "acme")
	require.NoError(t, err)
	org.Slug = to
	event := models.NewOperatorEvent(models.ActionOrganizationRenamed).AboutOrganization(&org)
	return app.Tenants.Change(t.Context(), org.TenantID, func(ctx context.Context, tx *gorm.DB) error {
		return app.Tenants.Rename(ctx, tx, event, models.Claimant{OwnerID: org.OwnerID, TenantID: org.TenantID}, to)
	})
}

// What happens between the looks of a request and its transaction makes no difference.
func TestARenamingComesTooLate(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		app.Organization(stranger, "gone")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/gone", stranger).Code)

		err := renameUnchecked(t, app, "gone")
		require.True(t, models.IsKind(err, models.KindSlugResting), "%v", err)
		require.Equal(t, http.StatusOK, rename(app, owner, "acme", "globex").Code)
		require.NoError(t, renameUnchecked(t, app, "globex"), "it is called that already")

		aliases := app.Settings.Query(t, settings.CoreName(), "SELECT slug FROM slug_aliases")
		require.Contains(t, aliases, "acme")
		require.NotContains(t, aliases, "globex")
		require.Equal(t, 1, strings.Count(app.Get("/api/audit/?action=organization.renamed", owner).Raw, `"from acme"`))
		require.Equal(t, http.StatusOK, rename(app, owner, "globex", "initech").Code)
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/initech", owner).Code)
		settings.RequireTidy(t)
	})
}

// While a deleted tenant takes its aliases back, nobody makes a tenant of one of them.
func TestAnAliasComesBackWhileItIsClaimed(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
	app.Organization(owner, "acme")
	app.Organization(owner, "taken")
	org, err := models.FindOrganization(t.Context(), app.Tenants.Core(), 1, "acme")
	require.NoError(t, err)
	tx := app.Tenants.Core().Begin()
	aliases := []models.Slug{"acme", "old", "taken"}
	require.NoError(t, models.TakeAliases(t.Context(), tx, org.TenantID, aliases, time.Now()))

	answer := make(chan testkit.Response)
	go func() { answer <- app.CreateOrganization(stranger, "old") }()
	awaitLocked(t, &settings, settings.CoreName(), 1)
	require.NoError(t, tx.Commit().Error)

	(<-answer).RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
	require.Equal(t, "acme", app.Get("/api/organizations/old", owner).Text(app, "slug"))
	require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM slug_aliases"))
	settings.RequireTidy(t)
}
