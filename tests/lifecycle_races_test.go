package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// crowd is how many come at once, and fewConnections how many connections they may
// share: each takes long to open.
const (
	crowd          = 24
	fewConnections = 14
)

// eachCrew runs the test on both engines, against one application and against
// two replicas on the same databases.
func eachCrew(t *testing.T, test func(t *testing.T, apps []*testkit.App)) {
	t.Helper()
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Database.MaxConnections = fewConnections
		apps := []*testkit.App{testkit.Start(t, settings), testkit.Start(t, settings)}
		for crew := 1; crew <= len(apps); crew++ { // one after the other: two crowds at once are no fair test
			t.Run(strconv.Itoa(crew), func(t *testing.T) { test(t, apps[:crew]) })
		}
		settings.RequireTidy(t)
	})
}

// slugFor is a slug of this crew's own.
func slugFor(apps []*testkit.App) string { return fmt.Sprintf("acme-%d", len(apps)) }

func repeat(n int, request func(i int) testkit.Request) []testkit.Request {
	requests := make([]testkit.Request, n)
	for i := range requests {
		requests[i] = request(i)
	}
	return requests
}

func TestManyAreFirstInATenant(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			return testkit.Registration(slug, fmt.Sprintf("user%d@example.com", i))
		}))

		require.Equal(t, map[int]int{http.StatusOK: crowd}, testkit.Count(answers), "%+v", answers)
		ids := make([]float64, crowd)
		for i, answer := range answers {
			ids[i], _ = answer.Object(app)["id"].(float64)
			require.Equal(t, fmt.Sprintf("user%d@example.com", i), answer.Text(app, "email"))
		}
		slices.Sort(ids)
		require.Len(t, slices.Compact(ids), crowd, "two have the same id")
		require.Equal(t, crowd, usersOf(t, app, slug))
		require.Equal(t, 1, tenantsOf(t, app, slug))
	})
}

func TestManyAreTheSameFirst(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			return testkit.Registration(slug, []string{"ada@example.com", "Ada@Example.COM"}[i%2])
		}))

		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusBadRequest: crowd - 1}, testkit.Count(answers), "%+v", answers)
		for _, answer := range answers {
			if answer.Code != http.StatusOK {
				answer.RequireProblem(app, 400, "email_taken", "Email already registered")
			}
		}
		require.Equal(t, 1, usersOf(t, app, slug))
		app.TokenOf(slug, "ada@example.com")
	})
}

func TestManyMakeTheSameOrganization(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owners := []string{app.Token("", slug+"@example.com"), app.Token("", slug+"@example.net")}

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			return testkit.Creation(owners[i/2%2], slug)
		}))

		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusBadRequest: crowd - 1}, testkit.Count(answers), "%+v", answers)
		winner := 0
		for i, answer := range answers {
			if answer.Code == http.StatusOK {
				winner = i / 2 % 2
			} else {
				answer.RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
			}
		}
		require.Equal(t, http.StatusOK, app.Get("/api/organizations/"+slug, owners[winner]).Code)
		require.Equal(t, http.StatusNotFound, app.Get("/api/organizations/"+slug, owners[1-winner]).Code)
		require.Equal(t, 1, usersOf(t, app, slug))
		require.Equal(t, 1, tenantsOf(t, app, slug))
	})
}

// TestRegistrationsRaceAnOrganization: the slug is one's or the other's. Where
// the organization has it, those who register are its members.
func TestRegistrationsRaceAnOrganization(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token("", slug+"@example.com")

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			if i == 1 {
				return testkit.Creation(owner, slug)
			}
			return testkit.Registration(slug, fmt.Sprintf("user%d@example.com", i))
		}))

		creation := answers[1]
		registrations := slices.Delete(slices.Clone(answers), 1, 2)
		require.Equal(t, map[int]int{http.StatusOK: crowd - 1}, testkit.Count(registrations), "%+v", registrations)
		require.Equal(t, 1, tenantsOf(t, app, slug))
		if creation.Code == http.StatusOK {
			require.Equal(t, crowd, usersOf(t, app, slug))
			app.TokenOf(slug, slug+"@example.com")
			return
		}
		creation.RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		require.Equal(t, crowd-1, usersOf(t, app, slug))
		app.Get("/api/organizations/"+slug, owner).RequireProblem(app, 404, "organization_not_found", "Organization not found")
	})
}

// TestMakingRacesDeleting: whatever the order, each answer is one of those
// documented, nothing is half-made, and a token of one life of the slug is of no
// use in another.
func TestMakingRacesDeleting(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token("", slug+"@example.com")
		app.Organization(owner, slug)
		old := app.TokenOf(slug, slug+"@example.com")
		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			switch i % 4 {
			case 0, 1:
				return testkit.Request{Method: http.MethodDelete, Path: "/api/organizations/" + slug, Token: owner}
			case 2:
				return testkit.Creation(owner, slug)
			}
			return testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: old}
		}))

		for i, answer := range answers {
			documented := [][]int{{204, 404}, {204, 404}, {200, 400}, {200, 401, 503}}[i%4]
			require.Contains(t, documented, answer.Code, "%d: %s", i, answer.Raw)
		}
		app.Settings.RequireTidy(t)
		if app.Get("/api/organizations/"+slug, owner).Code == http.StatusNotFound {
			app.Organization(owner, slug)
		}
		for _, replica := range apps {
			testkit.Await(t, slack, func() error { // another replica may still look for the old database
				if me := replica.Get("/api/users/me", old); me.Code != http.StatusUnauthorized {
					return errors.New(me.Raw)
				}
				return nil
			})
			require.Equal(t, http.StatusOK, replica.Get("/api/users/me", replica.TokenOf(slug, slug+"@example.com")).Code)
		}
		require.Equal(t, 1, usersOf(t, app, slug))
	})
}

// TestSuspensionRacesRequests: once a suspension is acknowledged, no request
// that comes after gets in.
func TestSuspensionRacesRequests(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme")
		member := app.Token("acme", "grace@example.com")

		for range 3 {
			var mu sync.Mutex // guards suspended
			var suspended bool
			stop := make(chan struct{})
			var late []testkit.Response
			served := make(chan struct{}, 1)
			var requests sync.WaitGroup
			for range 4 {
				requests.Go(func() {
					for {
						mu.Lock()
						after := suspended
						mu.Unlock()
						response, err := app.Try(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: member})
						mu.Lock()
						if after && (err != nil || response.Code != http.StatusForbidden) {
							late = append(late, response)
						}
						mu.Unlock()
						select {
						case <-stop:
							return
						case served <- struct{}{}:
						default:
						}
					}
				})
			}
			<-served
			answer := app.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": false})
			mu.Lock()
			suspended = true
			mu.Unlock()
			require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
			for range 50 {
				<-served
			}
			close(stop)
			requests.Wait()
			require.Empty(t, late)
			app.Register("acme", "eve@example.com").RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
			require.Equal(t, http.StatusForbidden, app.Login("acme", "grace@example.com").Code)
			require.Equal(t, http.StatusOK, app.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": true}).Code)
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)
		}
	})
}

func usersOf(t *testing.T, app *testkit.App, slug string) int {
	t.Helper()
	return testkit.Scalar[int](t, &app.Settings, app.Settings.DatabaseName(slug), "SELECT count(*) FROM tenant_users")
}

func tenantsOf(t *testing.T, app *testkit.App, slug string) int {
	t.Helper()
	return testkit.Scalar[int](t, &app.Settings, app.Settings.CoreName(), "SELECT count(*) FROM tenants WHERE slug = '"+slug+"'")
}
