package tests_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

func TestTheWholeFlow(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		owner := app.TokenOf("acme", "ada@example.com")
		me := app.Get("/api/users/me", owner)
		require.Equal(t, http.StatusOK, me.Code, me.Raw)
		require.Equal(t, "ada@example.com", me.Text(app, "email"))

		member := app.Token("acme", "grace@example.com")
		changed := app.Put("/api/users/me", member, testkit.JSON{"bio": "Wrote the first compiler", "phone": "1"})
		require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
		again := app.Put("/api/users/me", member, testkit.JSON{"phone": nil}).Object(app)
		require.Equal(t, "Wrote the first compiler", again["bio"])
		require.Nil(t, again["phone"])

		fresh := app.Token("globex", "hank@example.com")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", fresh).Code)

		require.Equal(t, http.StatusOK, app.Put("/api/organizations/acme", core, testkit.JSON{"is_active": false}).Code)
		app.Get("/api/users/me", member).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		require.Equal(t, http.StatusOK, app.Put("/api/organizations/acme", core, testkit.JSON{"is_active": true}).Code)
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)

		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", core).Code)
		app.Get("/api/users/me", member).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
	})
}

func TestRegistrationAnswersWithTheUser(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		started := time.Now().Add(-time.Minute)
		for _, tenant := range []string{"", "acme"} {
			fields := []string{"id", "email", "full_name", "is_active", "created_at"}
			if tenant != "" {
				fields = append(fields, "bio", "phone", "role")
			}
			registered := app.Do(testkit.Request{
				Method: http.MethodPost, Path: "/api/auth/register", Tenant: tenant,
				// What is no field of the request is ignored, whatever it says.
				Body: testkit.JSON{
					"email": "ada@example.com", "password": testkit.Password, "id": 77, "is_active": false, "bio": "x",
					"phone": 5, "role": "admin", "core_user_id": 1, "hashed_password": "x", "created_at": []int{1},
				},
			})
			require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
			user := registered.Object(app)
			for name := range user {
				require.Contains(t, fields, name)
			}
			require.Len(t, user, len(fields))
			require.EqualValues(t, 1, user["id"])
			require.Equal(t, "ada@example.com", user["email"])
			require.Nil(t, user["full_name"])
			require.Equal(t, true, user["is_active"])
			require.Nil(t, user["bio"])
			require.Nil(t, user["phone"])
			if tenant != "" {
				require.Equal(t, "owner", user["role"], "of who makes the tenant")
			}

			text := registered.Text(app, "created_at")
			created, err := time.Parse(time.RFC3339Nano, text)
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(text, "Z"), "times are in UTC: %s", text)
			require.WithinRange(t, created, started, time.Now().Add(time.Minute))
		}
	})
}

func TestLoginAnswersWithAToken(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			app.Token(tenant, "ada@example.com")
			answer := app.Login(tenant, "ada@example.com").Object(app)
			require.Len(t, answer, 4)
			require.Regexp(t, `^mtr_[\w-]{96}$`, answer["refresh_token"])
			require.Equal(t, "bearer", answer["token_type"])
			require.EqualValues(t, 1800, answer["expires_in"])

			token, ok := answer["access_token"].(string)
			require.True(t, ok)
			claims := claimsOf(t, token)
			names := []string{"user_id", "context", "sid", "fam", "iss", "aud", "iat", "exp", "jti"}
			if tenant == "" {
				require.Equal(t, "core", claims["context"])
			} else {
				require.Equal(t, "tenant", claims["context"])
				require.Equal(t, tenant, claims["tenant"])
				require.Equal(t, tenantID(t, app, tenant), claims["tid"])
				names = append(names, "tenant", "tid")
			}
			require.Len(t, claims, len(names))
			require.Subset(t, slices.Collect(maps.Keys(claims)), names)
			require.EqualValues(t, 1, claims["user_id"])
			require.NotEqual(t, token, app.TokenOf(tenant, "ada@example.com"), "every token has an id of its own")
		}
	})
}

func TestEmailsAreTheSameInAnyCase(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			spelled := app.Register(tenant, " \tKim.Ada+1@Example.COM \n")
			require.Equal(t, http.StatusOK, spelled.Code, spelled.Raw)
			require.Equal(t, "Kim.Ada+1@Example.COM", spelled.Text(app, "email"), "the spelling is kept")

			for _, same := range []string{"kim.ada+1@example.com", "KIM.ADA+1@EXAMPLE.COM", "  kim.ada+1@example.com"} {
				app.Register(tenant, same).RequireProblem(app, 400, "email_taken", "Email already registered")
				me := app.Get("/api/users/me", app.TokenOf(tenant, same))
				require.Equal(t, "Kim.Ada+1@Example.COM", me.Text(app, "email"))
			}
			// The Kelvin sign is a k to Unicode's folding; to us it is another address.
			for _, other := range []string{"\u212Aim.ada+1@example.com", "kim.ada@example.com", "kimada+1@example.com"} {
				app.Login(tenant, other).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			}
		}
	})
}

// TestRefusedLoginsAreAllAlike: nobody learns from them who or what exists.
func TestRefusedLoginsAreAllAlike(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("", "core@example.com")
		app.Token("acme", "member@example.com")
		app.Token("globex", "other@example.com")
		for _, tenant := range []string{"", "acme"} {
			app.Token(tenant, "gone@example.com")
			deactivate(t, app, tenant, "gone@example.com")
		}
		before := app.Settings.Databases(t)
		long := strings.Repeat("a", 5000)
		cases := []struct{ name, tenant, email, password string }{
			{"unknown user", "", "nobody@example.com", testkit.Password},
			{"wrong password", "", "core@example.com", "wrong horse battery"},
			{"empty password", "", "core@example.com", ""},
			{"other case", "", "core@example.com", strings.ToUpper(testkit.Password)},
			{"space after", "", "core@example.com", testkit.Password + " "},
			{"too short ever to be one", "", "core@example.com", "x"},
			{"over 72 bytes", "", "core@example.com", testkit.Password + long},
			{"no address", "", "nonsense", testkit.Password},
			{"empty address", "", "", testkit.Password},
			{"long address", "", long + "@example.com", testkit.Password},
			{"deactivated", "", "gone@example.com", testkit.Password},
			{"SQL", "", "' OR 1=1 --", "' OR 1=1 --"},
			{"wildcard", "", "c%@example.com", testkit.Password},
			{"member at the core", "", "member@example.com", testkit.Password},
			{"core user inside", "acme", "core@example.com", testkit.Password},
			{"of another tenant", "acme", "other@example.com", testkit.Password},
			{"unknown inside", "acme", "nobody@example.com", testkit.Password},
			{"wrong inside", "acme", "member@example.com", "wrong horse battery"},
			{"deactivated inside", "acme", "gone@example.com", testkit.Password},
			{"over 72 bytes inside", "acme", "member@example.com", testkit.Password + long},
			{"unknown tenant", "nobody", "member@example.com", testkit.Password},
			{"reserved tenant", "core", "core@example.com", testkit.Password},
			{"PostgreSQL's database", "postgres", "core@example.com", testkit.Password},
			{"tenant of one letter", "a", "member@example.com", testkit.Password},
			{"long tenant", long, "member@example.com", testkit.Password},
		}
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				app := app.For(t)
				login := app.LoginWith(tc.tenant, tc.email, tc.password)
				login.RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
				require.NotContains(t, login.Raw, "token")
			})
		}
		require.Equal(t, before, app.Settings.Databases(t), "a login makes no database")
	})
}

func TestUsersOfTwoTenantsAreDifferent(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for i, tenant := range []string{"", "acme", "globex"} {
			password := testkit.Password + string(rune('0'+i))
			registered := app.Do(testkit.Request{
				Method: http.MethodPost, Path: "/api/auth/register", Tenant: tenant,
				Body: testkit.JSON{"email": "ada@example.com", "password": password, "full_name": "Ada of " + tenant},
			})
			require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
		}
		for i, tenant := range []string{"", "acme", "globex"} {
			for j := range 3 {
				login := app.LoginWith(tenant, "ada@example.com", testkit.Password+string(rune('0'+j)))
				if i != j {
					login.RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
					continue
				}
				me := app.Get("/api/users/me", login.Text(app, "access_token"))
				require.Equal(t, "Ada of "+tenant, me.Text(app, "full_name"))
			}
		}
	})
}

// deactivate does what an operator does in the database.
func deactivate(t testing.TB, app *testkit.App, tenant, email string) {
	t.Helper()
	statement := "UPDATE tenant_users SET is_active = false WHERE email = '" + email + "'"
	if tenant == "" {
		statement = strings.Replace(statement, "tenant_users", "core_users", 1)
		require.NoError(t, app.Tenants.Core().Exec(statement).Error)
		return
	}
	lease, release, err := app.Tenants.Acquire(t.Context(), models.Slug(tenant))
	require.NoError(t, err)
	defer release()
	require.NoError(t, lease.DB.Exec(statement).Error)
}

// tenantID reads a tenant's id from the registry.
func tenantID(t *testing.T, app *testkit.App, slug string) string {
	t.Helper()
	record, err := models.FindTenantBySlug(t.Context(), app.Tenants.Core(), models.Slug(slug))
	require.NoError(t, err)
	return record.ID
}
