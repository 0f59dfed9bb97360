package tests_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// A clone has what its source has, under a new id. Nothing that opened the source opens
// it, except passwords.
func TestClone(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		settings := app.Settings
		core := fleetOf(app, "acme")
		owner, member := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		require.Equal(t, http.StatusCreated, app.Post("/api/invitations", owner, testkit.JSON{"email": "hank@example.com", "role": "admin"}).Code)
		settings.Command(t, "users", "reset-password", "--tenant", "acme", "grace@example.com").RequireCode(t, 0)
		acme, clone := settings.DatabaseName("acme"), settings.DatabaseName("acme-2")
		settings.Exec(t, acme, oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, acme, "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		settings.Command(t, "tenants", "clone", "acme", "acme-2").RequireCode(t, 2)

		outcome := settings.Command(t, "tenants", "clone", "acme", "acme-2", "--yes", "--json").RequireCode(t, 0)

		for _, want := range []string{`"slug": "acme-2"`, `"from": "acme"`, `"owner": "ada@example.com"`, `"masked": []`} {
			require.Contains(t, outcome.Stdout, want)
		}
		kept := settings.Query(t, acme, restoredUsers)
		require.Equal(t, kept, settings.Query(t, clone, restoredUsers))
		require.Contains(t, kept, "ödd@example.com")
		for _, table := range []string{"sessions", "password_resets", "tenant_invitations"} {
			require.Zero(t, testkit.Scalar[int](t, &settings, clone, "SELECT count(*) FROM "+table), table)
			require.NotZero(t, testkit.Scalar[int](t, &settings, acme, "SELECT count(*) FROM "+table), table)
		}
		for _, token := range []string{owner, member} {
			refused := app.Do(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Tenant: "acme-2", Token: token})
			require.Equal(t, http.StatusForbidden, refused.Code, refused.Raw)
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", token).Code)
		}
		requireWhole(t, app, "acme-2")
		app.TokenOf("acme-2", "grace@example.com")
		created := app.Register("acme-2", "new@example.com")
		require.Equal(t, http.StatusOK, created.Code, created.Raw)
		require.Greater(t, testkit.Scalar[int](t, &settings, clone, "SELECT id FROM tenant_users WHERE email = 'new@example.com'"), 2147483640)
		require.Equal(t, http.StatusOK, app.Post("/api/organizations/acme-2/token", core, nil).Code)
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), `SELECT count(*) FROM audit_events
			WHERE action = 'organization.cloned' AND actor = 'operator' AND target_name = 'acme-2' AND detail = 'from acme'`))
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// Another core user gets the clone, and the owner of the source has nothing to do with it.
func TestCloneForAnotherOwner(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		settings := app.Settings
		ada := fleetOf(app, "acme")
		bob := app.Token("", "bob@example.com")
		app.Token("", "grace@example.com")
		app.Token("acme", "grace@example.com")

		refused := settings.Command(t, "tenants", "clone", "acme", "acme-2", "--owner", "grace@example.com", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "has your email address")
		settings.RequireTidy(t)
		settings.Command(t, "tenants", "clone", "acme", "acme-2", "--owner", "bob@example.com", "--yes").RequireCode(t, 0)

		require.Equal(t, http.StatusNotFound, app.Post("/api/organizations/acme-2/token", ada, nil).Code)
		app.Login("acme-2", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Post("/api/organizations/acme-2/token", bob, nil).Code)
		app.TokenOf("acme-2", "bob@example.com")
		require.Equal(t, "owner", testkit.Scalar[string](t, &settings, settings.DatabaseName("acme-2"),
			"SELECT role FROM tenant_users WHERE core_user_id IS NOT NULL"))
		for _, tc := range []struct{ slug, owner, want string }{
			{"acme-2", "bob@example.com", "already exists"},
			{"admin", "bob@example.com", "reserved"},
			{"acme-3", "nobody@example.com", "owner"},
		} {
			refused := settings.Command(t, "tenants", "clone", "acme", tc.slug, "--owner", tc.owner, "--yes").RequireCode(t, 1)
			require.Contains(t, refused.Stderr, tc.want)
		}
		refused = settings.Command(t, "tenants", "clone", "nobody", "acme-3", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "nobody")
		settings.RequireTidy(t)
	})
}

// A masked clone says nothing of the users but the owner, not even in the free space of
// its file.
func TestCloneMasked(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		settings := app.Settings
		ada := fleetOf(app, "acme")
		app.Token("", "hank@example.com")
		owner, grace := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		app.Token("acme", "hank@example.com")
		require.Equal(t, http.StatusOK, app.Put("/api/users/me", grace,
			testkit.JSON{"full_name": "Grace Hopper", "bio": "An admiral", "phone": "+1 555 0100"}).Code)
		require.Equal(t, http.StatusCreated, app.Post("/api/invitations", owner, testkit.JSON{"email": "ivan@example.com", "role": "admin"}).Code)
		acme := settings.DatabaseName("acme")
		settings.Exec(t, acme, oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, acme, "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		// The address of one user that another one is given.
		settings.Exec(t, acme, `UPDATE tenant_users SET email = 'user-7777@masked.invalid', email_canonical = 'user-7777@masked.invalid' WHERE id = 2147483640`)

		outcome := settings.Command(t, "tenants", "clone", "acme", "acme-2", "--mask", "--yes").RequireCode(t, 0)
		forHank := settings.Command(t, "tenants", "clone", "acme", "acme-3", "--mask", "--owner", "hank@example.com", "--yes", "--json").RequireCode(t, 0)

		require.Contains(t, outcome.Stdout, "tenant_users.email, ")
		require.Contains(t, forHank.Stdout, `"audit_events.target_name"`)
		clone := settings.DatabaseName("acme-2")
		content := []byte(settings.Dump(t, clone))
		if settings.Engine == testkit.SQLite {
			for _, suffix := range []string{"", "-wal"} {
				file, err := os.ReadFile(settings.File(clone) + suffix)
				if err == nil || suffix == "" {
					require.NoError(t, err)
				}
				content = append(content, file...)
			}
		}
		for _, secret := range []string{"grace@", "Grace Hopper", "An admiral", "555 0100", "hank@", "ivan@", "odd@", "🦆"} {
			require.NotContains(t, string(content), secret)
		}
		id := testkit.Scalar[string](t, &settings, acme, "SELECT CAST(id AS varchar) FROM tenant_users WHERE email = 'grace@example.com'")
		grace = "user-" + id + "@masked.invalid"
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, clone, "SELECT count(*) FROM tenant_users WHERE email = '"+grace+"' AND email_canonical = email AND is_active AND hashed_password = ''"))
		require.NotZero(t, testkit.Scalar[int](t, &settings, clone, "SELECT count(*) FROM audit_events WHERE actor = '"+grace+"'"))
		require.NotZero(t, testkit.Scalar[int](t, &settings, clone, "SELECT count(*) FROM audit_events WHERE actor = 'ada@example.com' AND ip <> ''"))
		require.Equal(t, testkit.Scalar[int](t, &settings, acme, "SELECT count(*) FROM audit_events"), testkit.Scalar[int](t, &settings, clone, "SELECT count(*) FROM audit_events"))
		app.Login("acme-2", "grace@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.Login("acme-2", grace).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		requireWhole(t, app, "acme-2")
		require.Equal(t, http.StatusOK, app.Post("/api/organizations/acme-2/token", ada, nil).Code)
		app.TokenOf("acme-3", "hank@example.com")
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.DatabaseName("acme-3"), "SELECT count(*) FROM tenant_users WHERE email = 'ada@example.com'"))
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// However long copies take, others make and delete organizations meanwhile.
func TestCopiesLeaveRoomForNewTenants(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		if settings.Engine == testkit.Postgres {
			settings.Database.MaxConnections = database.MinConnections + 4
		}
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme")
		source, err := models.FindTenantBySlug(t.Context(), app.Tenants.Core(), "acme")
		require.NoError(t, err)
		goOn, begun, ended := make(chan struct{}), make(chan struct{}, 2), make(chan error, 2)
		for _, slug := range []models.Slug{"one", "two"} {
			go func() {
				copied := &tenants.Copied{From: source.ID, Registration: models.RegistrationClosed, Make: func(context.Context, string) error {
					begun <- struct{}{}
					<-goOn
					return errors.New("the copy is bad")
				}}
				event := models.NewOperatorEvent(models.ActionOrganizationRestored)
				ended <- app.Tenants.Restore(context.WithoutCancel(t.Context()), event, slug, nil, copied)
			}()
		}
		<-begun

		app.Organization(core, "globex")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", core).Code)
		close(goOn)
		for range cap(ended) {
			require.ErrorContains(t, <-ended, "the copy is bad")
		}
		settings.RequireTidy(t)
	})
}
