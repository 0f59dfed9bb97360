package tests_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

func TestTakeOverKeepsEverybody(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, h.tenants()...)
		app := testkit.Start(t, h.Settings)
		h.openAll(t, app)
		require.Equal(t, http.StatusOK, app.Login("", "twelve@example.com").Code, "a hash at the original's cost")

		for _, refused := range [][3]string{
			{"", "Grace@Example.com", passwordOf("grace")},
			{"", "grace@Example.com", passwordOf("Grace")},
			{"", "mallory@example.com", passwordOf("mallory")},
			{"acme", "mallory@example.com", passwordOf("mallory")},
			{"acme", "bob@example.com", passwordOf("Bob")},
			{"globex", "Grace@Example.com", passwordOf("Grace")}, // the tenant's own, not the owner
			{h.first, "member@example.com", passwordOf(h.second)},
		} {
			app.LoginWith(refused[0], refused[1], refused[2]).
				RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		}
		for _, taken := range [][2]string{
			{"", "Ada@Example.com"},
			{"", "GRACE@EXAMPLE.COM"},
			{"", "linus@example.com"},
			{"acme", "ADA@example.com"},
			{"acme", "BOB@EXAMPLE.COM"},
			{"globex", "grace@example.com"},
		} {
			app.Register(taken[0], taken[1]).RequireProblem(app, 400, "email_taken", "Email already registered")
		}
		h.requireOwner(t, app)
	})
}

// requireOwner requires that the copy of the owner's hash is gone, and that the
// password is the core user's from then on. Somebody else with the owner's
// address is left alone.
func (h *inheritance) requireOwner(t *testing.T, app *testkit.App) {
	t.Helper()
	require.Equal(t, "/1", testkit.Scalar[string](t, &h.Settings, h.OriginalName("acme"),
		"SELECT hashed_password || '/' || core_user_id FROM tenant_users WHERE id = 1"))
	require.Equal(t, 1, testkit.Scalar[int](t, &h.Settings, h.OriginalName("globex"),
		"SELECT count(*) FROM tenant_users WHERE id = 2 AND core_user_id IS NULL AND hashed_password <> ''"))

	h.Exec(t, h.CoreName(), "UPDATE core_users SET hashed_password = '"+testkit.Hash(t, "changed at the core")+"' WHERE id = 1")
	require.Equal(t, http.StatusOK, app.LoginWith("acme", "ada@example.com", "changed at the core").Code)
	require.Equal(t, http.StatusUnauthorized, app.LoginWith("acme", "ada@example.com", passwordOf("ada")).Code)
	h.Exec(t, h.CoreName(), "UPDATE core_users SET is_active = FALSE WHERE id = 1")
	require.Equal(t, http.StatusUnauthorized, app.LoginWith("acme", "ada@example.com", "changed at the core").Code)
}

// TestTakeOverChangesNothingOfTheirs compares all that the original has written,
// column by column, and then all there is with what is there after another start.
func TestTakeOverChangesNothingOfTheirs(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, h.tenants()...)
		const coreUsers = `SELECT id, email, hashed_password, full_name, COALESCE(is_active, TRUE) AS is_active,
			created_at, updated_at FROM core_users ORDER BY id`
		const organizations = `SELECT id, name, slug, description, owner_id, COALESCE(is_active, TRUE) AS is_active,
			created_at, updated_at FROM organizations ORDER BY id`
		const users = `SELECT id, email, hashed_password, full_name, COALESCE(is_active, TRUE) AS is_active,
			updated_at, bio, phone FROM tenant_users WHERE id > 2 ORDER BY id` // the owner's hash goes
		theirs := func() string {
			kept := h.Query(t, h.CoreName(), coreUsers) + h.Query(t, h.CoreName(), organizations) +
				h.Query(t, h.CoreName(), "SELECT * FROM alembic_version")
			return kept + h.each(func(name string) string { return h.Inside(name).Query(t, name, users) })
		}
		before := theirs()

		app := testkit.Start(t, h.Settings)
		h.openAll(t, app)
		require.Equal(t, before, theirs())
		app.Close()

		everything := func() string {
			all := h.Dump(t, h.CoreName()) + h.each(func(name string) string { return h.Inside(name).Dump(t, name) })
			// To look is to log in, which is on record.
			return regexp.MustCompile(`(?m)^.*(token_hash|action)=.*\n`).ReplaceAllString(all, "")
		}
		taken := everything()
		again := testkit.Start(t, h.Settings)
		h.openAll(t, again)
		require.Equal(t, taken, everything(), "a second start has changed something")
	})
}

// TestTakeOverByManyAtOnce: however many ask for a tenant at once, of two
// replicas, it is taken over once.
func TestTakeOverByManyAtOnce(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, "acme", "nullish")
		h.Database.MaxConnections = fewConnections
		apps := []*testkit.App{testkit.Start(t, h.Settings), testkit.Start(t, h.Settings)}

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			slug := []string{"acme", "nullish"}[i/2%2]
			return testkit.Request{
				Method: http.MethodPost, Path: "/api/auth/login", Tenant: slug,
				Body: testkit.JSON{"email": "member@example.com", "password": passwordOf(slug)},
			}
		}))

		require.Equal(t, map[int]int{http.StatusOK: crowd}, testkit.Count(answers), "%+v", answers)
		require.Equal(t, 1, testkit.Scalar[int](t, &h.Settings, h.OriginalName("acme"), "SELECT count(*) FROM tenant_stamp"))
		apps[0].LoginWith("acme", "ada@example.com", passwordOf("ada"))
	})
}

// TestTakeOverOfWhatTheOriginalBroke: organizations that never worked, or that
// shared a database, are out of service and their owner can start over; nobody
// gets to see what is not theirs.
func TestTakeOverOfWhatTheOriginalBroke(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, h.first, "dormant")
		core := h.Query(t, h.CoreName(), "SELECT id, email, hashed_password FROM core_users ORDER BY id")
		app := testkit.Start(t, h.Settings)
		ada := app.LoginWith("", "ada@example.com", passwordOf("ada")).Text(app, "access_token")

		for _, slug := range []string{"lost", "core", h.second} {
			app.LoginWith(slug, "ada@example.com", passwordOf("ada")).
				RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
			app.Register(slug, "new@example.com").RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
			require.Equal(t, "open", app.Get("/api/organizations/"+slug, ada).Text(app, "registration"), "as it was")
			deleted := app.Delete("/api/organizations/"+slug, ada)
			require.Equal(t, http.StatusNoContent, deleted.Code, "%s: %s", slug, deleted.Raw)
			require.Equal(t, http.StatusNotFound, app.Get("/api/organizations/"+slug, ada).Code)
		}
		require.Equal(t, core, h.Query(t, h.CoreName(), "SELECT id, email, hashed_password FROM core_users ORDER BY id"))
		require.Equal(t, http.StatusOK, app.LoginWith(h.first, "member@example.com", passwordOf(h.first)).Code,
			"deleting the second of two has taken the first one's database")
		app.Organization(ada, "lost")
		require.Equal(t, http.StatusOK, app.LoginWith("lost", "ada@example.com", passwordOf("ada")).Code)
		app.CreateOrganization(ada, "core").RequireProblem(app, 400, "reserved_slug", "Organization slug is reserved")

		app.LoginWith("dormant", "member@example.com", passwordOf("dormant")).
			RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		require.Equal(t, http.StatusOK, app.Put("/api/organizations/dormant", ada, testkit.JSON{"is_active": true}).Code)
		require.Equal(t, http.StatusOK, app.LoginWith("dormant", "member@example.com", passwordOf("dormant")).Code)
	})
}

// TestARenamedTenantIsStillInASharedDatabase: the users of both tenants are in it, whatever
// slug one of them has now.
func TestARenamedTenantIsStillInASharedDatabase(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, h.first)
		app := testkit.Start(t, h.Settings)
		ada := app.LoginWith("", "ada@example.com", passwordOf("ada")).Text(app, "access_token")
		require.Equal(t, http.StatusOK, rename(app, ada, h.second, "second").Code)

		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/"+h.first, ada).Code)

		require.Contains(t, app.Log.String(), "it holds another tenant's users too")
		require.NotEmpty(t, h.Dump(t, h.OriginalName(h.first)))
	})
}

// TestTakeOverGoesOn: new rows get new ids, also after rows that are gone.
func TestTakeOverGoesOn(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, "acme")
		app := testkit.Start(t, h.Settings)
		last := map[testkit.Engine][3]float64{testkit.SQLite: {12, 15, 41}, testkit.Postgres: {20, 30, 50}}[h.Engine]

		user := app.Register("", "new@example.com").Object(app)
		require.InDelta(t, last[0]+1, user["id"], 0)
		created := app.CreateOrganization(app.TokenOf("", "new@example.com"), "brand-new")
		require.Equal(t, http.StatusOK, created.Code, created.Raw)
		require.InDelta(t, last[1]+1, created.Object(app)["id"], 0)
		member := app.Register("acme", "new@example.com")
		require.Equal(t, http.StatusOK, member.Code, member.Raw)
		require.InDelta(t, last[2]+1, member.Object(app)["id"], 0)

		ada := app.LoginWith("", "ada@example.com", passwordOf("ada")).Text(app, "access_token")
		list, _ := app.Get("/api/organizations/", ada).Object(app)["items"].([]any)
		slugs := make([]string, len(list))
		for i, item := range list {
			organization, _ := item.(testkit.JSON)
			slugs[i] = fmt.Sprint(organization["slug"])
		}
		require.Equal(t, []string{"acme", "lost", "core", h.first, h.second, h.long, "admin"}, without(slugs, "dormant"))
		require.Contains(t, slugs, "dormant")
	})
}

// TestTakeOverOfADatabaseThatIsNotTheirs: what bears an organization's name but
// does not hold the original's users is not taken over.
func TestTakeOverRefusesStrangers(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		lost := h.OriginalName("lost")
		h.CreateDatabase(t, lost)
		h.Exec(t, lost, "CREATE TABLE diary (entry varchar)", "INSERT INTO diary VALUES ('private')")
		before := h.Dump(t, lost)
		app := testkit.Start(t, h.Settings)

		app.Register("lost", "new@example.com").RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
		require.Equal(t, before, h.Dump(t, lost))
		ada := app.LoginWith("", "ada@example.com", passwordOf("ada")).Text(app, "access_token")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/lost", ada).Code)
		require.Equal(t, before, h.Dump(t, lost))
		require.Contains(t, app.Log.String(), "left alone")
	})
}

// TestMigrateTakesOver: the original's tenants are taken over by the fleet run too; those whose
// database is missing are named, and the others do not suffer.
func TestMigrateTakesOver(t *testing.T) {
	eachInheritance(t, func(t *testing.T, h *inheritance) {
		h.makeTenants(t, h.tenants()...)
		outcome := h.Command(t, "migrate").RequireCode(t, 1)
		require.Contains(t, outcome.Stdout, "core: migrated from none to ")
		require.Contains(t, outcome.Stdout, "tenants: 7 migrated, 3 failed, 0 left\n")
		for _, slug := range []string{"lost", "core", h.second} {
			require.Regexp(t, "(?m)^"+slug+": .*does not exist", outcome.Stderr)
		}

		app := testkit.Start(t, h.Settings)
		h.openAll(t, app)
		h.requireOwner(t, app)
	})
}

func without(all []string, one string) []string {
	var kept []string
	for _, each := range all {
		if each != one {
			kept = append(kept, each)
		}
	}
	return kept
}
