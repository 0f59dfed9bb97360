package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// setRegistration says who may register in acme.
func (o *office) setRegistration(t *testing.T, registration string) {
	t.Helper()
	changed := o.Put(organizationsPath+"acme", o.core, testkit.JSON{"registration": registration})
	require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
	require.Equal(t, registration, changed.Text(o.App, "registration"))
	require.JSONEq(t, changed.Raw, o.Get(organizationsPath+"acme", o.core).Raw)
}

func requireInvitationRequired(app *testkit.App, answer testkit.Response) {
	answer.RequireProblem(app, 403, "invitation_required", "Invitation required")
}

func requireClosed(app *testkit.App, answer testkit.Response) {
	answer.RequireProblem(app, 403, "registration_closed", "Registration is closed")
}

// TestWhoMayRegister is seen by the next registration, also of another process.
func TestWhoMayRegister(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		replica := testkit.Start(t, o.Settings)
		apps := []*testkit.App{o.App, replica}
		made := invite(t, o.App, o.owner, "hank@example.com", "")
		before := o.users(t)
		for range 2 {
			o.setRegistration(t, "invite")
			for _, app := range apps {
				// Nothing is said of who is a user, or invited.
				for _, email := range []string{"new@example.com", "grace@example.com", "hank@example.com"} {
					requireInvitationRequired(app, app.Register("acme", email))
				}
				requireNoEntry(t, app, "acme", "new@example.com", made.Token)
				requireNoEntry(t, app, "acme", "grace@example.com", "nonsense")
			}
			o.setRegistration(t, "closed")
			for _, app := range apps {
				for _, email := range []string{"new@example.com", "grace@example.com", "hank@example.com"} {
					requireClosed(app, app.Register("acme", email))
					requireClosed(app, app.Do(accepting("acme", email, made.Token)))
					requireClosed(app, app.Do(accepting("acme", email, "nonsense")))
				}
			}
			require.Equal(t, before, o.users(t))
		}
		for _, token := range []string{o.owner, o.admin, o.member} { // who is in stays in
			require.Equal(t, http.StatusOK, replica.Get(profilePath, token).Code)
		}
		require.Equal(t, http.StatusOK, replica.Login("acme", "grace@example.com").Code)
		require.Equal(t, http.StatusOK, replica.Register("globex", "new@example.com").Code, "globex is open")

		o.setRegistration(t, "invite")
		require.Equal(t, http.StatusOK, replica.Do(accepting("acme", "hank@example.com", made.Token)).Code)
		o.setRegistration(t, "open")
		require.Equal(t, http.StatusOK, replica.Register("acme", "new@example.com").Code)
	})
}

// TestBadBodiesComeBeforeWhoMayRegister, and suspension too.
func TestBadBodiesComeBeforeWhoMayRegister(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		made := invite(t, o.App, o.owner, "hank@example.com", "")
		o.setRegistration(t, "closed")
		o.Register("acme", "nonsense").RequireInvalid(o.App, map[string]string{"email": "invalid_email"})
		both := o.Put(organizationsPath+"acme", o.core, testkit.JSON{"is_active": false, "registration": "invite", "name": "Asleep"})
		require.Equal(t, http.StatusOK, both.Code, both.Raw)
		require.Equal(t, "invite", both.Text(o.App, "registration"))
		require.Equal(t, false, both.Object(o.App)["is_active"])
		require.JSONEq(t, both.Raw, o.Get(organizationsPath+"acme", o.core).Raw)
		for _, request := range []testkit.Request{testkit.Registration("acme", "new@example.com"), accepting("acme", "hank@example.com", made.Token)} {
			o.Do(request).RequireProblem(o.App, 403, "tenant_suspended", "Tenant is suspended")
		}
		o.Get(invitationsPath, o.owner).RequireProblem(o.App, 403, "tenant_suspended", "Tenant is suspended")
		require.Equal(t, http.StatusOK, o.Put(organizationsPath+"acme", o.core, testkit.JSON{"is_active": true}).Code)
		requireInvitationRequired(o.App, o.Register("acme", "new@example.com"))
		require.Equal(t, http.StatusOK, o.Do(accepting("acme", "hank@example.com", made.Token)).Code)
	})
}

func TestOrganizationsAreMadeWithARegistration(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		for _, registration := range []string{"open", "invite", "closed"} {
			made := app.Post(organizationsPath, core, testkit.JSON{"name": "Acme", "slug": "acme-" + registration, "registration": registration})
			require.Equal(t, http.StatusOK, made.Code, made.Raw)
			require.Equal(t, registration, made.Text(app, "registration"))
		}
		made := app.Post(organizationsPath, core, testkit.JSON{"name": "Acme", "slug": "acme", "registration": nil})
		require.Equal(t, "open", made.Text(app, "registration"))
		require.Equal(t, http.StatusOK, app.Register("acme-open", "new@example.com").Code)
		requireInvitationRequired(app, app.Register("acme-invite", "new@example.com"))
		requireClosed(app, app.Register("acme-closed", "new@example.com"))

		for _, tc := range []struct {
			value          any
			onCreate, code string
		}{
			{"", "invalid_registration", "invalid_registration"},
			{"Open", "invalid_registration", "invalid_registration"},
			{"open ", "invalid_registration", "invalid_registration"},
			{"invite\x00", "invalid_registration", "invalid_registration"},
			{1, "wrong_type", "wrong_type"},
			{true, "wrong_type", "wrong_type"},
			{[]string{"open"}, "wrong_type", "wrong_type"},
			{nil, "", "required"},
		} {
			app.Put(organizationsPath+"acme", core, testkit.JSON{"registration": tc.value}).RequireInvalid(app, map[string]string{"registration": tc.code})
			if tc.onCreate != "" {
				app.Post(organizationsPath, core, testkit.JSON{"name": "Acme", "slug": "not-made", "registration": tc.value}).
					RequireInvalid(app, map[string]string{"registration": tc.onCreate})
			}
		}
		require.Equal(t, "open", app.Get(organizationsPath+"acme", core).Text(app, "registration"))
		app.Get(organizationsPath+"not-made", core).RequireProblem(app, 404, "organization_not_found", "Organization not found")
	})
}

// TestTenantsWithoutAnOrganizationAreOpen, and their first user may invite.
func TestTenantsWithoutAnOrganizationAreOpen(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner := app.Token("acme", "ada@example.com")
		require.Equal(t, http.StatusOK, app.Register("acme", "grace@example.com").Code)
		made := invite(t, app, owner, "hank@example.com", "owner")
		require.Equal(t, "owner", app.Do(accepting("acme", "hank@example.com", made.Token)).Text(app, "role"))
	})
}

// TestInvitationsToADeletedTenant are dead at a new one of the same slug, which is
// open again.
func TestInvitationsToADeletedTenant(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.setRegistration(t, "invite")
		made := invite(t, o.App, o.owner, "hank@example.com", "admin")
		require.Equal(t, http.StatusNoContent, o.Delete(organizationsPath+"acme", o.core).Code)
		requireNoEntry(t, o.App, "acme", "hank@example.com", made.Token)
		require.Equal(t, []string{o.Settings.DatabaseName("globex")}, o.Settings.Databases(t))
		require.EqualValues(t, 1, count(t, o.App, &models.Tenant{}))

		o.Organization(o.core, "acme")
		requireNoEntry(t, o.App, "acme", "hank@example.com", made.Token)
		require.Equal(t, 1, o.users(t))
		require.Equal(t, "member", o.Register("acme", "hank@example.com").Text(o.App, "role"))
	})
}

// TestInvitedWhereRegistrationsMakeNoTenants: the answer is the same.
func TestInvitedWhereRegistrationsMakeNoTenants(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.NoAutoCreate = true
		app := testkit.Start(t, settings)
		requireNoEntry(t, app, "fresh", "hank@example.com", "mti_q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA")
		app.Register("fresh", "hank@example.com").RequireProblem(app, 404, "tenant_not_found", "Tenant not found")
		require.Empty(t, settings.Databases(t))
	})
}

// TestAnUnknownRegistrationIsClosed, such as one of a later version.
func TestAnUnknownRegistrationIsClosed(t *testing.T) {
	t.Parallel()
	for _, registration := range []models.Registration{"", "OPEN", "approval"} {
		for _, invited := range []bool{false, true} {
			require.True(t, models.IsKind(registration.Admit(invited), models.KindRegistrationClosed), "%q", registration)
		}
	}
}
