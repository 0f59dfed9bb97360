package tests_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// keeping copies tables of a database. What it returns puts the copy back, and the
// sequences with it, as a restored backup does.
func keeping(t *testing.T, app *testkit.App, database string, tables ...string) (restore func()) {
	t.Helper()
	for _, table := range tables {
		app.Settings.Exec(t, database, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	return func() {
		t.Helper()
		var statements []string
		for _, table := range slices.Backward(tables) {
			statements = append(statements, "DELETE FROM "+table)
		}
		for _, table := range tables {
			statements = append(statements, "INSERT INTO "+table+" SELECT * FROM kept_"+table, "DROP TABLE kept_"+table,
				restartSequence(app.Settings.Engine, table))
		}
		app.Settings.Exec(t, database, statements...)
	}
}

// TestWhatCredentialsAreWorthInARestoredTenant that has no memory of them: the same
// numbers are given to others. Those of its owner end with the owner's at the core,
// though the tenant knows nothing of it.
func TestWhatCredentialsAreWorthInARestoredTenant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		before := enter(t, app, s.core)
		restore := keeping(t, app, app.Settings.DatabaseName("acme"), "tenant_users", "sessions", "password_resets", "tenant_invitations")
		lost := issueAll(t, app, s.owner, "lost@example.com")

		restore()
		found := issueAll(t, app, s.owner, "found@example.com")
		require.Equal(t, lost.holder.id, found.holder.id)
		require.Equal(t, "401 401 400 403 400", lost.worth(app))
		require.Equal(t, "200 200 204 200 204", found.worth(app))
		requireLives(t, app, before.tokens)

		restore = keeping(t, app, app.Settings.DatabaseName("acme"), "tenant_users", "sessions")
		requireChange(t, app, s.core)
		restore()
		requireDead(t, app, before.tokens, s.owner.tokens)
	})
}

// TestARestoredCoreEndsSessions: what ends all of a user's sessions also ends those that
// began inside tenants since the backup was taken.
func TestARestoredCoreEndsSessions(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		logOut := func(core string) {
			t.Helper()
			require.Equal(t, http.StatusNoContent, app.Post(logoutPath+"?scope=all", core, nil).Code)
		}
		const table = "core_users"
		epoch := testkit.Scalar[int64](t, &app.Settings, app.Settings.CoreName(), "SELECT session_epoch FROM "+table)
		logOut(s.core)
		stolen := enter(t, app, app.TokenOf("", "ada@example.com"))
		app.Settings.Exec(t, app.Settings.CoreName(), "UPDATE "+table+" SET session_epoch = "+strconv.FormatInt(epoch, 10))

		logOut(app.TokenOf("", "ada@example.com"))
		requireDead(t, app, stolen.tokens)
	})
}

// TestWhatTheOwnersSessionsAreWorth, the one at the core and the one inside the
// organization, after a change of the core user or of the user inside.
func TestWhatTheOwnersSessionsAreWorth(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		inside := func(method string, body any) func(held ownersSessions) {
			return func(held ownersSessions) {
				answer := app.Do(testkit.Request{Method: method, Path: held.inside.path, Token: second.tokens.access, Body: body})
				require.Less(t, answer.Code, 300, answer.Raw)
			}
		}
		logOut := func(query string, of func(ownersSessions) tokens) func(held ownersSessions) {
			return func(held ownersSessions) {
				require.Equal(t, http.StatusNoContent, app.Post(logoutPath+query, of(held).access, nil).Code)
			}
		}
		atCore, entered := func(held ownersSessions) tokens { return held.core }, func(held ownersSessions) tokens { return held.inside.tokens }
		for _, row := range []struct {
			name   string
			change func(held ownersSessions)
			want   string
		}{
			{"nothing", func(ownersSessions) {}, "200 200, 200 200"},
			{"renamed", func(held ownersSessions) {
				require.Equal(t, http.StatusOK, app.Put(profilePath, held.core.access, testkit.JSON{"full_name": "Another"}).Code)
			}, "200 200, 200 200"},
			{"demoted inside", inside(http.MethodPut, testkit.JSON{"role": "member"}), "200 200, 200 200"},
			{"promoted inside", inside(http.MethodPut, testkit.JSON{"role": "owner"}), "200 200, 200 200"},
			{"deactivated inside", inside(http.MethodPut, testkit.JSON{"is_active": false}), "200 200, 401 401"},
			{"removed inside", inside(http.MethodDelete, nil), "200 200, 404 401"},
			{"logged out inside", logOut("", entered), "200 200, 401 401"},
			{"logged out everywhere inside", logOut("?scope=all", entered), "200 200, 401 401"},
			{"refreshed at core", func(held ownersSessions) { renew(t, app, held.core.refresh) }, "200 200, 200 200"},
			{"logged out at core", logOut("", atCore), "401 401, 401 401"},
			{"session ended at core", func(held ownersSessions) { endAtCore(t, app, held.core) }, "401 401, 401 401"},
			{"another session ended at core", func(ownersSessions) {
				endAtCore(t, app, login(t, app, "", "ada@example.com"))
			}, "200 200, 200 200"},
			{"refresh token stolen at core", func(held ownersSessions) {
				reuse(t, app, held.core.refresh)
			}, "401 401, 401 401"},
			{"number of the session given to another at core", func(held ownersSessions) {
				app.Settings.Exec(t, app.Settings.CoreName(),
					fmt.Sprintf("UPDATE sessions SET family_hash = 'another' WHERE id = %.0f", claimsOf(t, held.core.access)["sid"]))
			}, "401 401, 401 401"},
			{"logged out everywhere", logOut("?scope=all", atCore), "401 401, 401 401"},
			{"password changed inside", func(held ownersSessions) { changeAndBack(t, app, held.inside.tokens) }, "401 401, 401 401"},
			{"password changed at core", func(held ownersSessions) { changeAndBack(t, app, held.core) }, "401 401, 401 401"},
			{"reset redeemed", func(ownersSessions) {
				requireReset(t, app, resetOf(t, &app.Settings, "", "ada@example.com"))
				next := tokensOf(t, app, app.LoginWith("", "ada@example.com", newPassword))
				tokensOf(t, app, app.Do(change(next.access, newPassword, testkit.Password)))
			}, "401 401, 401 401"},
			{"deactivated at core", func(ownersSessions) {
				activate(t, app, "", "ada@example.com", false)
				awaitRefused(t, app, s.owner)
			}, "401 401, 401 401"},
		} {
			held := ownersSessions{core: login(t, app, "", "ada@example.com")}
			held.inside = enter(t, app, held.core.access)
			s.owner = enter(t, app, held.core.access)
			row.change(held)
			require.Equal(t, row.want, held.worth(app), row.name)
		}
	})
}

// ownersSessions are those that a core user has at the core and inside acme.
type ownersSessions struct {
	core   tokens
	inside tenantUser
}

// worth returns the status of each access token and refresh token.
func (held ownersSessions) worth(app *testkit.App) string {
	status := func(of tokens) string {
		return fmt.Sprint(app.Get(profilePath, of.access).Code, " ", app.Do(testkit.Refreshing(of.refresh)).Code)
	}
	return status(held.core) + ", " + status(held.inside.tokens)
}

// endAtCore has another session of the core user end this one.
func endAtCore(t *testing.T, app *testkit.App, ended tokens) {
	t.Helper()
	path := fmt.Sprintf("%s/%.0f", sessionsPath, claimsOf(t, ended.access)["sid"])
	require.Equal(t, http.StatusNoContent, app.Delete(path, app.TokenOf("", "ada@example.com")).Code)
}

// reuse sends a refresh token that was followed by two others.
func reuse(t *testing.T, app *testkit.App, refresh string) {
	t.Helper()
	renew(t, app, renew(t, app, refresh).refresh)
	require.Equal(t, http.StatusUnauthorized, app.Do(testkit.Refreshing(refresh)).Code)
}

// changeAndBack changes the password, and then back.
func changeAndBack(t *testing.T, app *testkit.App, by tokens) {
	t.Helper()
	next := requireChange(t, app, by.access)
	tokensOf(t, app, app.Do(change(next.access, newPassword, testkit.Password)))
}

// awaitRefused waits until the application has seen that the core user may not enter.
func awaitRefused(t *testing.T, app *testkit.App, owner tenantUser) {
	t.Helper()
	testkit.Await(t, 10*time.Second, func() error { // the documented 2 seconds
		if answer := app.Get(profilePath, owner.tokens.access); answer.Code != http.StatusUnauthorized {
			return fmt.Errorf("the owner is answered %d", answer.Code)
		}
		return nil
	})
}
