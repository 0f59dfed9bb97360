package tests_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/testkit"
)

const tenantIDs = "SELECT id FROM tenants WHERE slug = 'acme'"

// deleteTenant deletes a tenant by the API and waits until it is gone: on a slow machine
// the deletion goes on after the answer.
func deleteTenant(t *testing.T, app *testkit.App, path, token string) {
	t.Helper()
	answer := app.Delete(path, token)
	require.Contains(t, []int{http.StatusNoContent, http.StatusAccepted}, answer.Code, answer.Raw)
	app.Settings.RequireTidy(t)
}

// A tenant that was deleted by mistake comes back as it was, to the same owner and under
// the same id. What opened it before the deletion stays dead, but for passwords.
func TestADeletedTenantComesBack(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		keepBackups(t, &settings, identity)
		settings.SlugRest = 30 * 24 * time.Hour
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "first", "acme-old", "last")
		changed := app.Put("/api/organizations/acme-old", owner, testkit.JSON{"slug": "acme", "name": "Acme!", "description": "Anvils"})
		require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
		inside, member := app.TokenOf("acme", "ada@example.com"), login(t, app, "acme-old", registered(t, app, "acme", "grace@example.com"))
		require.Equal(t, http.StatusCreated, app.Post("/api/invitations", inside, testkit.JSON{"email": "hank@example.com", "role": "admin"}).Code)
		require.Equal(t, http.StatusOK, app.Put(orgPath, owner, testkit.JSON{"registration": "closed"}).Code)
		settings.Exec(t, settings.DatabaseName("acme-old"), oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, settings.DatabaseName("acme-old"), "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		const events = "SELECT id, action, actor FROM audit_events ORDER BY id"
		core := settings.CoreName()
		org, id := app.Get(orgPath, owner).Object(app), testkit.Scalar[string](t, &settings, core, tenantIDs)
		users, trail := settings.Query(t, settings.DatabaseName("acme-old"), restoredUsers), settings.Query(t, settings.DatabaseName("acme-old"), events)
		deleteTenant(t, app, orgPath, owner)

		settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
		outcome := settings.Command(t, "tenants", "restore", "acme", "--yes", "--json").RequireCode(t, 0)

		require.Contains(t, outcome.Stdout, id)
		require.Equal(t, id, testkit.Scalar[string](t, &settings, core, tenantIDs))
		again := app.Get(orgPath, owner).Object(app)
		delete(org, "created_at")
		delete(again, "created_at")
		require.Equal(t, org, again)
		acme := testkit.Scalar[string](t, &settings, core, "SELECT database_name FROM tenants WHERE slug = 'acme'")
		require.Equal(t, users, settings.Query(t, acme, restoredUsers))
		require.Equal(t, trail, settings.Query(t, acme, events))
		for _, table := range []string{"sessions", "password_resets", "tenant_invitations"} {
			require.Zero(t, testkit.Scalar[int](t, &settings, acme, "SELECT count(*) FROM "+table), table)
		}
		for _, email := range []string{"ada@example.com", "grace@example.com"} {
			require.Equal(t, http.StatusOK, app.Get(profilePath, app.TokenOf("acme-old", email)).Code, email)
		}
		for _, token := range []string{inside, member.access} {
			app.Get(profilePath, token).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		}
		require.Equal(t, http.StatusUnauthorized, app.Do(testkit.Refreshing(member.refresh)).Code)
		require.Zero(t, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM resting_slugs"))
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, core, `SELECT count(*) FROM audit_events WHERE action = 'organization.restored'
			AND actor = 'operator' AND target_name = 'acme' AND detail <> ''`))
		settings.Command(t, "tenants", "restore", "acme", "--owner", "ada@example.com", "--yes").RequireCode(t, 2)
		app.Organization(owner, "new")
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// A tenant that was suspended when it was deleted comes back suspended, by whom it was.
func TestADeletedTenantComesBackSuspended(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		owner, inside := fleetOf(app, "acme"), app.Token("initech", "hank@example.com")
		grace := app.Token("globex", "grace@example.com")
		suspend := testkit.JSON{"is_active": false}
		require.Equal(t, http.StatusOK, app.Put(orgPath, owner, suspend).Code)
		require.Equal(t, http.StatusOK, app.Put(tenantPath, inside, suspend).Code)
		require.Equal(t, http.StatusOK, app.Get(tenantPath, grace).Code)
		settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)
		deleteTenant(t, app, orgPath, owner)
		deleteTenant(t, app, tenantPath, inside)
		settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 0)

		for _, slug := range []string{"acme", "initech", "globex"} {
			settings.Command(t, "tenants", "restore", slug, "--yes").RequireCode(t, 0)
			require.Equal(t, "suspended", testkit.Scalar[string](t, &settings, settings.CoreName(),
				"SELECT status FROM tenants WHERE slug = '"+slug+"'"))
		}

		require.Equal(t, false, app.Get(orgPath, owner).Object(app)["is_active"])
		app.Login("globex", "grace@example.com").RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		hank := app.TokenOf("initech", "hank@example.com")
		for path, token := range map[string]string{orgPath: owner, tenantPath: hank} {
			require.Equal(t, http.StatusOK, app.Put(path, token, testkit.JSON{"is_active": true}).Code, path)
		}
		requireWhole(t, app, "acme")
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
	})
}

// registered registers a user and returns the address.
func registered(t *testing.T, app *testkit.App, slug, email string) string {
	t.Helper()
	answer := app.Register(slug, email)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	return email
}

// A tenant comes back to the user who owned it, if that is the same one still, or to the
// one whom the operator names. A tenant without an organization has its owners inside.
func TestADeletedTenantComesBackToItsOwner(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		ada, hank := fleetOf(app, "acme"), app.Token("initech", "hank@example.com")
		mallory := app.Token("", "mallory@example.com")
		deleteTenant(t, app, orgPath, ada)
		deleteTenant(t, app, tenantPath, hank)
		settings.Exec(t, settings.CoreName(),
			"UPDATE core_users SET email = 'eve@example.com', email_canonical = 'eve@example.com' WHERE email = 'ada@example.com'")

		refused := settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "is no core user any more: name another by --owner")
		settings.Command(t, "tenants", "restore", "acme", "--yes", "--owner", "nobody@example.com").RequireCode(t, 1)
		settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--owner", "mallory@example.com").RequireCode(t, 2)
		settings.Command(t, "tenants", "restore", "initech", "--yes", "--owner", "mallory@example.com").RequireCode(t, 1)
		settings.Command(t, "tenants", "restore", "acme", "--yes", "--owner", "mallory@example.com").RequireCode(t, 0)
		settings.Command(t, "tenants", "restore", "initech", "--yes").RequireCode(t, 0)

		require.Equal(t, http.StatusOK, app.Post(orgPath+"/token", mallory, nil).Code)
		require.Equal(t, http.StatusNotFound, app.Get(orgPath, ada).Code)
		app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Get(tenantPath, app.TokenOf("initech", "hank@example.com")).Code)
		app.Get(tenantPath, hank).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		settings.RequireTidy(t)
	})
}

// What another tenant has now stays that tenant's.
func TestADeletedTenantTakesNothingFromOthers(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "acme-old")
		require.Equal(t, http.StatusOK, app.Put("/api/organizations/acme-old", owner, testkit.JSON{"slug": "acme"}).Code)
		id := testkit.Scalar[string](t, &settings, settings.CoreName(), tenantIDs)
		deleteTenant(t, app, orgPath, owner)
		app.Organization(owner, "acme")
		app.Organization(owner, "acme-old")

		taken := settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 1)
		require.Contains(t, taken.Stderr, "there is no such backup of it")
		settings.Command(t, "tenants", "delete", "acme", "--without-backup", "--yes").RequireCode(t, 0)
		settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 0)

		require.Equal(t, id, testkit.Scalar[string](t, &settings, settings.CoreName(), tenantIDs))
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM slug_aliases"))
		requireWhole(t, app, "acme")
		requireWhole(t, app, "acme-old")
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// Killed at any step, the command that brings a deleted tenant back leaves the tenant whole
// or as deleted as before. It can be repeated then.
func TestKilledWhileADeletedTenantComesBack(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		settings.SlugRest = 30 * 24 * time.Hour
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "acme")
		core := settings.CoreName()
		id := testkit.Scalar[string](t, &settings, core, tenantIDs)
		deleteTenant(t, app, orgPath, owner)
		app.Close()
		for _, step := range []tenants.Step{
			tenants.StepLocked, tenants.StepReserved, tenants.StepCreated, tenants.StepBuilt, tenants.StepNamed, tenants.StepSeeded,
		} {
			testkit.KillCommand(t, settings, step, "tenants", "restore", "acme", "--yes")
			require.Equal(t, 1, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM resting_slugs WHERE slug = 'acme'"), step)
			require.Zero(t, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM tenants WHERE status = 'ready'"), step)
			settings.Command(t, "tenants", "doctor", "--repair").RequireCode(t, 0)
			require.Zero(t, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM tenants"), step)
			require.Zero(t, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM organizations"), step)
		}

		testkit.KillCommand(t, settings, tenants.StepReady, "tenants", "restore", "acme", "--yes")

		require.Equal(t, id, testkit.Scalar[string](t, &settings, core, tenantIDs))
		require.Zero(t, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM resting_slugs"))
		app = testkit.Start(t, settings)
		requireWhole(t, app, "acme")
		require.Equal(t, http.StatusOK, app.Get(orgPath, owner).Code)
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, core, "SELECT count(*) FROM audit_events WHERE action = 'organization.restored'"))
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}
