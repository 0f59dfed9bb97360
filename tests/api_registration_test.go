package tests_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// TestPasswordsAreTakenAsTheyAre: 8 characters to 72 bytes, and no rule but the blocklist,
// which is off.
func TestPasswordsAreTakenAsTheyAre(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.NoBlocklist = true
		app := testkit.Start(t, settings)
		longest := strings.Repeat("0123456789", 7) + "ab"
		cases := []struct{ name, password, refused string }{
			{"empty", "", "too_short"},
			{"7 characters", "1234567", "too_short"},
			{"8 characters", "12345678", ""},
			{"7 characters of 28 bytes", strings.Repeat("🐎", 7), "too_short"},
			{"8 characters of 16 bytes", strings.Repeat("é", 8), ""},
			{"18 characters of 72 bytes", strings.Repeat("🐎", 18), ""},
			{"19 characters of 76 bytes", strings.Repeat("🐎", 19), "too_long"},
			{"72 characters of 73 bytes", longest[:71] + "é", "too_long"},
			{"72 bytes", longest, ""},
			{"73 bytes", longest + "c", "too_long"},
			{"5,000 bytes", strings.Repeat("p", 5000), "too_long"},
			{"spaces alone", strings.Repeat(" ", 8), ""},
			{"spaces around", "  12345678\t\n", ""},
			{"control characters", "\x01\x02\x03\x04\x05\x06\x07\x7f", ""},
			{"NUL", "1234\x005678", "invalid_text"},
			{"NUL at its end", "12345678\x00", "invalid_text"},
			{"the replacement character", "1234\uFFFD5678", "invalid_text"},
			{"its e-mail address", "pw@example.com", "same_as_email"},
			{"its e-mail address in capitals", "PW@EXAMPLE.COM", "same_as_email"},
			{"almost its e-mail address", "pw@example.com ", ""},
		}
		for i, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				app := app.For(t)
				email := "pw@example.com"
				if tc.refused == "" {
					email = strings.Repeat("x", i+1) + email
				}
				registered := app.Post("/api/auth/register", "", testkit.JSON{"email": email, "password": tc.password})
				if tc.refused != "" {
					registered.RequireInvalid(app, map[string]string{"password": tc.refused})
					return
				}
				require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
				require.Equal(t, http.StatusOK, app.LoginWith("", email, tc.password).Code)
				for _, other := range []string{strings.TrimSpace(tc.password) + "c", tc.password + " ", " " + tc.password} {
					app.LoginWith("", email, other).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
				}
			})
		}
	})
}

// TestTheOwnersPasswordIsTheCores: no copy of the hash lives in the tenant.
func TestTheOwnersPasswordIsTheCores(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		owner := app.TokenOf("acme", "ADA@example.com")
		require.Equal(t, "Somebody", app.Get("/api/users/me", owner).Text(app, "full_name"))
		app.Register("acme", "Ada@example.com").RequireProblem(app, 400, "email_taken", "Email already registered")

		var hashes []string
		lease, release, err := app.Tenants.Acquire(t.Context(), "acme")
		require.NoError(t, err)
		require.NoError(t, lease.DB.Raw("SELECT hashed_password FROM tenant_users").Scan(&hashes).Error)
		release()
		require.Equal(t, []string{""}, hashes)

		// With another password at the core, there is another inside.
		app.Register("", "new@example.com")
		require.NoError(t, app.Tenants.Core().Exec(`UPDATE core_users SET hashed_password = (SELECT hashed_password
			FROM core_users WHERE email = 'new@example.com') WHERE email = 'ada@example.com'`).Error)
		require.Equal(t, http.StatusOK, app.Login("acme", "ada@example.com").Code)
		require.NoError(t, app.Tenants.Core().Exec(
			"UPDATE core_users SET hashed_password = '' WHERE email = 'ada@example.com'").Error)
		app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.LoginWith("acme", "ada@example.com", "").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
	})
}

func TestTheDeactivatedOwnerCannotLogInInside(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		member := app.Token("acme", "grace@example.com")
		deactivate(t, app, "", "ada@example.com")

		app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.Get("/api/organizations/acme", core).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)
	})
}

// TestRefusedRegistrationsLeaveNothing: no database, no file and no row.
func TestRefusedRegistrationsLeaveNothing(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		good := testkit.JSON{"email": "ada@example.com", "password": testkit.Password}
		xml := http.Header{"Content-Type": {"application/xml"}}
		cases := []struct {
			name    string
			request testkit.Request
			status  int
		}{
			{"no body", testkit.Request{Tenant: "fresh"}, 422},
			{"no object", testkit.Request{Tenant: "fresh", Body: "[]"}, 422},
			{"no password", testkit.Request{Tenant: "fresh", Body: testkit.JSON{"email": "ada@example.com"}}, 422},
			{"bad address", testkit.Request{Tenant: "fresh", Body: testkit.JSON{"email": "ada", "password": testkit.Password}}, 422},
			{"too large", testkit.Request{Tenant: "fresh", Body: strings.Repeat(" ", 65<<10)}, 413},
			{"no JSON", testkit.Request{Tenant: "fresh", Body: good, Header: xml}, 415},
			{"malformed tenant", testkit.Request{Tenant: "../fresh", Body: good}, 400},
			{"reserved tenant", testkit.Request{Tenant: "admin", Body: good}, 400},
			{"tenant too short", testkit.Request{Tenant: "a", Body: good}, 400},
			{"tenant too long", testkit.Request{Tenant: strings.Repeat("a", 41), Body: good}, 400},
			{"login", testkit.Request{Tenant: "fresh", Body: good, Path: "/api/auth/login"}, 401},
		}
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				tc.request.Method = http.MethodPost
				if tc.request.Path == "" {
					tc.request.Path = "/api/auth/register"
				}
				refused := app.For(t).Do(tc.request)
				require.Equal(t, tc.status, refused.Code, refused.Raw)
			})
		}
		require.Empty(t, app.Settings.Databases(t))
		require.Zero(t, count(t, app, &models.Tenant{}))
		require.Zero(t, count(t, app, &models.CoreUser{}))
	})
}

// TestRegistrationsMakeNoTenants where TENANT_AUTO_CREATE is false.
func TestRegistrationsMakeNoTenants(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.NoAutoCreate = true
		app := testkit.Start(t, settings)
		for _, slug := range []string{"fresh", "admin", "a", strings.Repeat("a", 41)} {
			app.Register(slug, "ada@example.com").RequireProblem(app, 404, "tenant_not_found", "Tenant not found")
			app.Login(slug, "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		}
		app.Register("Fresh", "ada@example.com").RequireProblem(app, 400, "invalid_tenant", "Invalid X-TENANT header")
		require.Empty(t, app.Settings.Databases(t))
		require.Zero(t, count(t, app, &models.Tenant{}))

		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", app.Token("acme", "grace@example.com")).Code)
		require.Equal(t, []string{settings.DatabaseName("acme")}, app.Settings.Databases(t))
	})
}

func count(t *testing.T, app *testkit.App, model any) int64 {
	t.Helper()
	var n int64
	require.NoError(t, app.Tenants.Core().Model(model).Count(&n).Error)
	return n
}
