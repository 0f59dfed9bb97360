package tests_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// TestEasyPasswordsAreRefusedEverywhere: at each door by which a password is chosen.
func TestEasyPasswordsAreRefusedEverywhere(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		choosing := func(path, token, tenant string) func(password string) testkit.Request {
			return func(password string) testkit.Request {
				body := testkit.JSON{"email": "newcomer@example.com", "full_name": "Ada King-Noel", "password": password}
				return testkit.Request{Method: "POST", Path: path, Token: token, Tenant: tenant, Body: body}
			}
		}
		doors := map[string]func(password string) testkit.Request{
			"core registration":   choosing("/api/auth/register", "", ""),
			"tenant registration": choosing("/api/auth/register", "", "acme"),
			"a tenant's first":    choosing("/api/auth/register", "", "new-tenant"),
			"made by an owner":    choosing(usersPath, s.owner.tokens.access, ""),
		}
		for door, choose := range doors {
			for password, code := range map[string]string{
				"PassWord123": "too_common", "88888888": "too_common", "Newcomer": "too_easy", "ada king-noel": "too_easy",
			} {
				t.Log(door, password)
				app.Do(choose(password)).RequireInvalid(app, map[string]string{"password": code})
			}
		}
		app.Do(doors["a tenant's first"]("New-Tenant")).RequireInvalid(app, map[string]string{"password": "too_easy"})
		list := app.Settings.Command(t, "tenants", "list").RequireCode(t, 0)
		require.NotContains(t, list.Stdout, "new-tenant", "a refused registration makes no tenant")
	})
}

// TestAPasswordMustNotBeTheUsersName: a change and a reset know the user, though the
// body does not name them.
func TestAPasswordMustNotBeTheUsersName(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		app.Token(tenant, "kingnoel@example.com")
		session := login(t, app, tenant, "kingnoel@example.com")
		require.Equal(t, 200, app.Put(profilePath, session.access, testkit.JSON{"full_name": "Ada King-Noel"}).Code)
		reset := resetOf(t, &app.Settings, tenant, "kingnoel@example.com")
		for password, code := range map[string]string{
			"KingNoel": "too_easy", "ada king-noel": "too_easy", "PassWord123": "too_common", "12345678": "too_common",
		} {
			app.Do(change(session.access, testkit.Password, password)).RequireInvalid(app, map[string]string{"new_password": code})
			app.Do(redeeming(reset, password)).RequireInvalid(app, map[string]string{"new_password": code})
		}
		requireReset(t, app, reset)
	})
}

func TestClosedCoreRegistration(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.CoreRegistration = models.RegistrationClosed
		app := testkit.Start(t, settings)

		app.Register("", "ada@example.com").RequireProblem(app, 403, "registration_closed", "Registration is closed")

		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM core_users"))
		require.Equal(t, 200, app.Register("acme", "grace@example.com").Code, "tenants have rules of their own")
		settings.Command(t, "users", "create", "ada@example.com").RequireCode(t, 0)
		require.Equal(t, 401, app.Login("", "ada@example.com").Code)
		app.Register("", "ada@example.com").RequireProblem(app, 403, "registration_closed", "Registration is closed")
	})
}
