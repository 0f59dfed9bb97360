package tests_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// deferred is a credential that one user makes and another uses later.
type deferred struct {
	name string
	// makes has the issuer make the credential for the target, and returns what uses it.
	makes func(t *testing.T, app *testkit.App, issuer, target tenantUser) testkit.Request
	// works and refused are the answers to its use.
	works   int
	refused func(app *testkit.App, answer testkit.Response)
}

// deferredCredentials are a reset for the target, and invitations of an address of its own.
func deferredCredentials() []deferred {
	inviting := func(role string) deferred {
		return deferred{
			name: "invitation as " + role,
			makes: func(t *testing.T, app *testkit.App, issuer, target tenantUser) testkit.Request {
				t.Helper()
				email := role + "-" + target.email
				return accepting("acme", email, invite(t, app, issuer.tokens.access, email, role).Token)
			},
			works: http.StatusOK,
			refused: func(app *testkit.App, answer testkit.Response) {
				answer.RequireProblem(app, 403, "invalid_invitation", "Invalid invitation")
			},
		}
	}
	return []deferred{
		{
			name: "reset",
			makes: func(t *testing.T, app *testkit.App, issuer, target tenantUser) testkit.Request {
				t.Helper()
				answer := app.Do(resetting(issuer.tokens.access, strconv.Itoa(target.id)))
				return redeeming(answer.Text(app, "token"), newPassword)
			},
			works: http.StatusNoContent,
			refused: func(app *testkit.App, answer testkit.Response) {
				answer.RequireProblem(app, 400, "invalid_reset_token", "Invalid or expired password reset token")
			},
		},
		inviting("member"), inviting("admin"), inviting("owner"),
	}
}

// TestAuthorityIsCheckedWhenItIsUsed: a credential is refused when its issuer could no
// longer issue it. The state is changed behind the application's back, so that
// nothing but the check at the use can refuse.
func TestAuthorityIsCheckedWhenItIsUsed(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		const issuer, target = "issuer", "target"
		all := []string{"reset", "invitation as member", "invitation as admin", "invitation as owner"}
		for i, change := range []struct {
			by, does, of string
			refuses      []string // of the credentials that the issuer could make
		}{
			{"owner", "role = role", issuer, nil},
			{"admin", "role = role", issuer, nil},
			{"admin", "role = 'owner'", issuer, nil},
			{"owner", "role = 'admin'", issuer, all[3:]},
			{"owner", "role = 'member'", issuer, all},
			{"admin", "role = 'member'", issuer, all},
			{"owner", "is_active = FALSE", issuer, all},
			{"admin", "is_active = FALSE", issuer, all},
			{"owner", "DELETE", issuer, all},
			{"admin", "DELETE", issuer, all},
			{"owner", "role = 'owner'", target, nil},
			{"admin", "role = 'admin'", target, nil},
			{"admin", "role = 'owner'", target, all[:1]},
			{"admin", "is_active = FALSE", target, all[:1]},
			{"admin", "DELETE", target, all[:1]},
		} {
			users := map[string]tenantUser{
				issuer: hire(t, app, s.owner, fmt.Sprintf("issuer%d@example.com", i), change.by),
				target: hire(t, app, s.owner, fmt.Sprintf("target%d@example.com", i), "member"),
			}
			uses := map[string]testkit.Request{}
			for _, credential := range deferredCredentials() {
				if change.by == "owner" || credential.name != all[3] {
					uses[credential.name] = credential.makes(t, app, users[issuer], users[target])
				}
			}
			statement := "UPDATE tenant_users SET " + change.does
			if change.does == "DELETE" {
				statement = pragmaForeignKeys(app) + "DELETE FROM tenant_users"
			}
			app.Settings.Exec(t, app.Settings.DatabaseName("acme"), fmt.Sprintf("%s WHERE id = %d", statement, users[change.of].id))

			requireWorth(t, app, uses, change.refuses, fmt.Sprint(change))
		}
	})
}

// requireWorth uses the credentials. Those named are refused, and the others work.
func requireWorth(t *testing.T, app *testkit.App, uses map[string]testkit.Request, refused []string, change string) {
	t.Helper()
	for _, credential := range deferredCredentials() {
		use, made := uses[credential.name]
		if !made {
			continue
		}
		answer := app.Do(use)
		if strings.Contains(strings.Join(refused, ","), credential.name) {
			credential.refused(app, answer)
			continue
		}
		require.Equal(t, credential.works, answer.Code, "%s, %s: %s", change, credential.name, answer.Raw)
	}
}

// TestARemovedIssuersResetsAreGone: another user who gets the issuer's number does not
// vouch for them.
func TestARemovedIssuersResetsAreGone(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		issuer := hire(t, app, s.owner, "issuer@example.com", "admin")
		reset := app.Do(resetting(issuer.tokens.access, strconv.Itoa(s.member.id))).Text(app, "token")
		require.Equal(t, http.StatusNoContent, app.Delete(issuer.path, s.owner.tokens.access).Code)
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), restartSequence(app.Settings.Engine, "tenant_users"))
		require.Equal(t, issuer.id, hire(t, app, s.owner, "next@example.com", "admin").id)
		requireNoReset(t, app, reset)
	})
}

// TestRolesEndResets: a reset that was made for a member is none for an owner, even if
// its issuer could make that one as well.
func TestRolesEndResets(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		for i, role := range []string{"owner", "admin"} {
			target := hire(t, app, s.owner, fmt.Sprintf("target%d@example.com", i), "member")
			byUser := app.Do(resetting(s.owner.tokens.access, strconv.Itoa(target.id))).Text(app, "token")
			require.Equal(t, http.StatusOK, app.Put(target.path, s.owner.tokens.access, testkit.JSON{"role": role}).Code)
			requireNoReset(t, app, byUser)
			byOperator := resetOf(t, &app.Settings, "acme", target.email)
			require.Equal(t, http.StatusOK, app.Put(target.path, s.owner.tokens.access, testkit.JSON{"role": "member"}).Code)
			requireNoReset(t, app, byOperator)
		}
	})
}

// TestTheOwnersAuthorityIsTheCores: credentials of the organization's owner are refused
// while the core user is deactivated.
func TestTheOwnersAuthorityIsTheCores(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		uses := map[string]testkit.Request{}
		for _, credential := range deferredCredentials() {
			uses[credential.name] = credential.makes(t, app, s.owner, s.member)
		}
		set := func(active bool, me int) {
			activate(t, app, "", "ada@example.com", active)
			testkit.Await(t, 10*time.Second, func() error { // the documented 2 seconds
				if answer := app.Get(profilePath, s.owner.tokens.access); answer.Code != me {
					return fmt.Errorf("the owner is answered %d", answer.Code)
				}
				return nil
			})
		}
		set(false, http.StatusUnauthorized)
		requireWorth(t, app, uses, []string{"reset", "invitation as member", "invitation as admin", "invitation as owner"}, "deactivated")
		set(true, http.StatusOK)
		requireWorth(t, app, uses, nil, "active again")
	})
}
