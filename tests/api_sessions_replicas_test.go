package tests_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

var errStill = errors.New("not yet")

// TestReplicasSeeWhatHasEnded on the next request: sessions are kept by nobody
// but their database.
func TestReplicasSeeWhatHasEnded(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		first, second := app, testkit.Start(t, app.Settings)
		for _, tenant := range []string{"", "acme"} {
			first.Token(tenant, "ada@example.com")
			phone, laptop := login(t, first, tenant, "ada@example.com"), login(t, second, tenant, "ada@example.com")
			requireLives(t, second, phone, laptop)
			require.Equal(t, http.StatusNoContent, first.Post(logoutPath, phone.access, nil).Code)
			requireDead(t, second, phone)
			requireLives(t, second, laptop)
			next := requireChange(t, second, laptop.access)
			requireDead(t, first, phone, laptop)
			requireLives(t, first, next, renew(t, first, next.refresh))
		}
	})
}

// TestReplicasSeeTheOwnersNewPassword inside tenants, and never end the session
// that begins with it.
func TestReplicasSeeTheOwnersNewPassword(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		first, second := app, testkit.Start(t, app.Settings)
		ada := ownerOf(t, first)
		requireLives(t, second, ada.core, ada.acme, ada.globex)

		next := requireChange(t, first, ada.acme.access)

		requireDead(t, first, ada.core, ada.acme, ada.globex)
		requireDead(t, second, ada.core, ada.acme)
		changed := time.Now()
		testkit.Await(t, spread+5*time.Second, func() error {
			requireLives(t, second, next)
			begun := time.Now()
			if second.Get(profilePath, ada.globex.access).Code == http.StatusUnauthorized {
				return nil
			}
			require.Less(t, begun.Sub(changed), spread)
			return errStill
		})
		requireDead(t, second, ada.globex)
		requireLives(t, second, next, renew(t, second, next.refresh))
	})
}

// TestReplicasSeeTheOwnersDeactivation, by whoever has done it.
func TestReplicasSeeTheOwnersDeactivation(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		ada := ownerOf(t, apps[0])
		member := apps[0].Token("acme", "grace@example.com")
		requireLives(t, apps[1], ada.acme, tokens{access: member})

		app.Settings.Exec(t, app.Settings.CoreName(), "UPDATE core_users SET is_active = FALSE")
		for _, app := range apps {
			requireDead(t, app, ada.core)
			requireSpread(t, app, ada.acme.access, http.StatusUnauthorized)
			requireDead(t, app, ada.acme, ada.globex)
			app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			requireLives(t, app, tokens{access: member})
		}
		app.Settings.Exec(t, app.Settings.CoreName(), "UPDATE core_users SET is_active = TRUE")
		requireSpread(t, apps[0], ada.acme.access, http.StatusOK)
	})
}

// TestTheKeyIsChanged on one server after the other, and no request is refused.
func TestTheKeyIsChanged(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		const before, after = "the key before: at least 32 bytes", "the key after: at least 32 bytes!"
		var issued []tokens
		rollOut := func(fleet ...[]string) {
			apps := make([]*testkit.App, 0, len(fleet))
			for _, keys := range fleet {
				settings.Keys = keys
				apps = append(apps, testkit.Start(t, settings))
			}
			if issued == nil {
				apps[0].Register("", "ada@example.com")
				apps[0].Register("acme", "ada@example.com")
			}
			for _, app := range apps {
				for _, tenant := range []string{"", "acme"} {
					issued = append(issued, login(t, app, tenant, "ada@example.com"))
				}
			}
			requests := make([]testkit.Request, 0, 2*len(apps)*len(issued))
			for _, token := range issued {
				for range 2 * len(apps) { // by each twice: the second time it is remembered
					requests = append(requests, testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token.access})
				}
			}
			answers := testkit.TryAtOnce(t, apps, requests)
			require.Equal(t, map[int]int{http.StatusOK: len(requests)}, testkit.Count(answers))
			for _, app := range apps {
				app.Close()
			}
		}
		rollOut([]string{before}, []string{before, after})
		rollOut([]string{before, after}, []string{after, before})
		rollOut([]string{after, before}, []string{after, before})

		settings.Keys = []string{after}
		app := testkit.Start(t, settings)
		app.Get(profilePath, issued[0].access).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		requireLives(t, app, issued[len(issued)-1], renew(t, app, issued[0].refresh))
	})
}
