package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/tests/testkit"
)

// TestAuditOnlyGrows: neither whoever gets a statement to a tenant's connection nor
// the application itself changes or removes what is on record.
func TestAuditOnlyGrows(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		app.Token("", "ada@example.com")
		app.Token("acme", "ada@example.com")
		statements := []string{
			"UPDATE audit_events SET detail = 'nothing'",
			"UPDATE audit_events SET actor = '' WHERE id = 1",
			"DELETE FROM audit_events",
			"DELETE FROM audit_events WHERE id = 1",
		}
		if app.Settings.Engine == testkit.Postgres {
			statements = append(statements, "TRUNCATE audit_events", "TRUNCATE audit_events RESTART IDENTITY CASCADE",
				"INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (id) DO UPDATE SET detail = 'nothing'")
		} else {
			statements = append(statements, "REPLACE INTO audit_events SELECT * FROM audit_events",
				"INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events WHERE id = 1",
				"UPDATE OR REPLACE audit_events SET id = 1 WHERE id = 2")
		}
		for tenant, as := range map[string]*gorm.DB{"": app.Tenants.Core().WithContext(t.Context()), "acme": asRole(t, app, "acme")} {
			own := app.Settings.SQL(t, databaseOf(app, tenant)) // by the role that owns the table
			before := auditRows(t, &app.Settings, databaseOf(app, tenant))
			require.Contains(t, before, "user.signed_in")
			for _, statement := range statements {
				err := as.Exec(statement).Error
				require.Error(t, err, "%q %s", tenant, statement)
				require.True(t, app.Settings.Engine == testkit.SQLite || database.IsDenied(err), "%q %s: %v", tenant, statement, err)
				_, err = own.ExecContext(t.Context(), statement)
				require.ErrorContains(t, err, "audit events are never", "%q %s", tenant, statement)
			}
			require.Equal(t, before, auditRows(t, &app.Settings, databaseOf(app, tenant)))
		}
	})
}

// TestATenantsRoleMayOnlyAdd: the server itself keeps it from the rest, also where
// somebody has taken the triggers away.
func TestATenantsRoleMayOnlyAdd(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	app.Token("globex", "ada@example.com")
	settings.Exec(t, databaseOf(app, "globex"), "ALTER TABLE audit_events DISABLE TRIGGER ALL")
	db := asRole(t, app, "globex")
	for _, statement := range []string{
		"UPDATE audit_events SET detail = ''", "DELETE FROM audit_events", "TRUNCATE audit_events",
		"ALTER TABLE audit_events ENABLE TRIGGER ALL", "DROP TABLE audit_events",
		"DROP TRIGGER audit_events_no_change ON audit_events",
		"SELECT setval('audit_events_id_seq', 1)", "ALTER SEQUENCE audit_events_id_seq RESTART",
	} {
		require.True(t, database.IsDenied(db.Exec(statement).Error), statement)
	}
	login(t, app, "globex", "ada@example.com")
	require.Equal(t, 2, countAudit(t, app, "globex", "user.signed_in"))
}

// TestWhatCannotBeRecordedIsNotDone: nothing at all is left of it.
func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		ada := app.Token("", "ada@example.com")
		app.Organization(ada, "globex")
		grace := map[string]tokens{}
		used := map[string]string{}
		for _, tenant := range []string{"", "acme"} {
			app.Register(tenant, "grace@example.com")
			first := login(t, app, tenant, "grace@example.com")
			used[tenant] = first.refresh
			grace[tenant] = renew(t, app, renew(t, app, first.refresh).refresh)
		}
		state := func() string {
			return app.Settings.Dump(t, app.Settings.CoreName()) + app.Settings.Dump(t, databaseOf(app, "acme"))
		}
		setTrail(t, app, "audit_events", "hidden")
		before := state()

		for _, tenant := range []string{"", "acme"} {
			for _, request := range []testkit.Request{
				testkit.Registration(tenant, "new@example.com"),
				signingIn(tenant, testkit.Password),
				signingIn(tenant, "a wrong password"),
				testkit.Refreshing(used[tenant]),
				change(grace[tenant].access, testkit.Password, newPassword),
				change(grace[tenant].access, "a wrong password", newPassword),
				{Method: http.MethodPost, Path: logoutPath, Token: grace[tenant].access},
				{Method: http.MethodPost, Path: logoutPath + "?scope=all", Token: grace[tenant].access},
			} {
				app.Do(request).RequireProblem(app, 500, "internal", "Internal server error")
			}
		}
		for _, request := range []testkit.Request{
			testkit.Creation(ada, "initech"),
			{Method: http.MethodPut, Path: organizationsPath + "globex", Token: ada, Body: testkit.JSON{"name": "Other"}},
			{Method: http.MethodPut, Path: organizationsPath + "globex", Token: ada, Body: testkit.JSON{"is_active": false}},
			{Method: http.MethodDelete, Path: organizationsPath + "globex", Token: ada},
		} {
			app.Do(request).RequireProblem(app, 500, "internal", "Internal server error")
		}
		app.Settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 1)
		app.Settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 1)

		app.Settings.RequireTidy(t)
		require.Equal(t, before, state())
		setTrail(t, app, "hidden", "audit_events")
		requireLives(t, app, grace[""], grace["acme"])
		require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"globex", ada).Code)
	})
}

// setTrail renames the table of the audit trail, in core and in acme.
func setTrail(t *testing.T, app *testkit.App, from, to string) {
	t.Helper()
	for _, tenant := range []string{"", "acme"} {
		app.Settings.Exec(t, databaseOf(app, tenant), "ALTER TABLE "+from+" RENAME TO "+to)
	}
}

// signingIn is a login of Grace's.
func signingIn(tenant, password string) testkit.Request {
	return testkit.Request{
		Method: http.MethodPost, Path: "/api/auth/login", Tenant: tenant,
		Body: testkit.JSON{"email": "grace@example.com", "password": password},
	}
}

// TestACrowdIsOnRecord: each of those who come at once, and nobody twice.
func TestACrowdIsOnRecord(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token("", slug+"@example.com")
		app.Organization(owner, slug)
		for _, tenant := range []string{"", slug} {
			app.Register(tenant, "grace@example.com")
			signedIn, refused := countAudit(t, app, tenant, "user.signed_in"), countAudit(t, app, tenant, "user.sign_in_refused")

			answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
				return signingIn(tenant, []string{testkit.Password, "a wrong password"}[i%2])
			}))

			require.Equal(t, map[int]int{http.StatusOK: crowd / 2, http.StatusUnauthorized: crowd / 2}, testkit.Count(answers))
			require.Equal(t, signedIn+crowd/2, countAudit(t, app, tenant, "user.signed_in"))
			require.Equal(t, refused+crowd/2, countAudit(t, app, tenant, "user.sign_in_refused"))
		}

		stolen := login(t, app, slug, "grace@example.com").refresh
		renew(t, app, renew(t, app, stolen).refresh)
		testkit.TryAtOnce(t, apps, repeat(crowd, func(int) testkit.Request { return testkit.Refreshing(stolen) }))
		require.Equal(t, 1, countAudit(t, app, slug, "session.reuse_detected"), "a family ends once")

		deleted := countAudit(t, app, "", "organization.deleted")
		testkit.TryAtOnce(t, apps, repeat(crowd, func(int) testkit.Request {
			return testkit.Request{Method: http.MethodDelete, Path: organizationsPath + slug, Token: owner}
		}))
		require.Equal(t, deleted+1, countAudit(t, app, "", "organization.deleted"), "and so does an organization")
	})
}
