package tests_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// eachPair runs the test on both engines, against two replicas.
func eachPair(t *testing.T, test func(t *testing.T, apps []*testkit.App)) {
	t.Helper()
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		test(t, []*testkit.App{app, testkit.Start(t, app.Settings)})
	})
}

// activeOwners counts the owners of acme who get in.
func activeOwners(t *testing.T, app *testkit.App) int {
	t.Helper()
	return testkit.Scalar[int](t, &app.Settings, app.Settings.DatabaseName("acme"),
		"SELECT count(*) FROM tenant_users WHERE role = 'owner' AND is_active")
}

// ousting are the ways to have an owner less.
func ousting(by, of tenantUser, way int) testkit.Request {
	bodies := []testkit.JSON{{"role": "member"}, {"is_active": false}}
	if way%3 == len(bodies) {
		return testkit.Request{Method: http.MethodDelete, Path: of.path, Token: by.tokens.access}
	}
	return testkit.Request{Method: http.MethodPut, Path: of.path, Token: by.tokens.access, Body: bodies[way%3]}
}

// requireRefusals requires that whoever came too late was told so in one of the
// ways there are: as the last, as no owner any more, or as one who is out.
func requireRefusals(t *testing.T, answers []testkit.Response) {
	t.Helper()
	for _, answer := range answers {
		require.Contains(t, []int{
			http.StatusOK, http.StatusNoContent, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		}, answer.Code, answer.Raw)
	}
}

// TestTwoOwnersOustEachOther: one of them stays, in whatever way they try.
func TestTwoOwnersOustEachOther(t *testing.T) {
	eachPair(t, func(t *testing.T, apps []*testkit.App) {
		app := apps[0]
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		for round := range 9 {
			answers := testkit.TryAtOnce(t, apps, []testkit.Request{
				ousting(s.owner, second, round), ousting(second, s.owner, round/3),
			})
			requireRefusals(t, answers)
			require.Equal(t, 1, activeOwners(t, app), "%+v", answers)

			// Whoever owns the organization gets in again, and the other is made anew.
			app.Settings.Exec(t, app.Settings.DatabaseName("acme"),
				"UPDATE tenant_users SET role = 'owner', is_active = true WHERE core_user_id IS NOT NULL")
			access := app.Post(organizationsPath+"acme/token", s.core, nil)
			require.Equal(t, http.StatusOK, access.Code, access.Raw)
			s.owner.tokens = tokensOf(t, app, access)
			app.Delete(second.path, s.owner.tokens.access)
			s.owner = insider(t, app, s.owner.email)
			second = hire(t, app, s.owner, fmt.Sprintf("olga%d@example.com", round), "owner")
		}
	})
}

// TestAllOwnersLeaveAtOnce: of a crowd, each of whom tries to get rid of
// themselves or of the next, one is left.
func TestAllOwnersLeaveAtOnce(t *testing.T) {
	for name, target := range map[string]func(i int) int{
		"themselves": func(i int) int { return i },
		"the next":   func(i int) int { return (i + 1) % crowd },
	} {
		t.Run(name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, apps []*testkit.App) {
				app := apps[0]
				owners := []tenantUser{staffOf(t, app).owner}
				for i := 1; i < crowd; i++ {
					owners = append(owners, hire(t, app, owners[0], fmt.Sprintf("owner%d@example.com", i), "owner"))
				}

				answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
					return ousting(owners[i], owners[target(i)], i)
				}))

				requireRefusals(t, answers)
				require.Positive(t, activeOwners(t, app))
				if name == "themselves" {
					require.Equal(t, 1, activeOwners(t, app))
					require.Equal(t, 1, testkit.Count(answers)[http.StatusConflict])
				}
			})
		})
	}
}

// TestAnAdminRacesAPromotion: whoever the gate let through while their target was
// a member finds an owner, and changes nothing of one.
func TestAnAdminRacesAPromotion(t *testing.T) {
	eachPair(t, func(t *testing.T, apps []*testkit.App) {
		app := apps[0]
		s := staffOf(t, app)
		for round := range 4 {
			targets := make([]tenantUser, crowd/2)
			requests := make([]testkit.Request, 0, crowd)
			for i := range targets {
				targets[i] = hire(t, app, s.owner, fmt.Sprintf("member%d-%d@example.com", round, i), "member")
				requests = append(requests,
					testkit.Request{Method: http.MethodPut, Path: targets[i].path, Token: s.owner.tokens.access, Body: testkit.JSON{"role": "owner"}},
					ousting(s.admin, targets[i], i))
			}
			slices.Reverse(requests[:crowd/2]) // so that neither is always first

			answers := testkit.TryAtOnce(t, apps, requests)

			for i, answer := range answers {
				admins := requests[i].Token == s.admin.tokens.access
				switch {
				case admins && answer.Code == http.StatusForbidden:
					answer.RequireProblem(app, 403, "role_required", "Not allowed for your role")
				case admins:
					require.Contains(t, []int{http.StatusOK, http.StatusNoContent}, answer.Code, answer.Raw)
				default: // the owner finds them changed or gone, or changes them
					require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, answer.Code, answer.Raw)
				}
			}
			// An owner whom an admin had demoted would be a member now. Who was
			// deactivated first is an owner who does not get in.
			for _, target := range targets {
				now := app.Get(target.path, s.owner.tokens.access)
				if now.Code == http.StatusOK {
					require.Equal(t, "owner", now.Text(app, "role"), now.Raw)
				}
				app.Delete(target.path, s.owner.tokens.access)
			}
		}
	})
}

// TestADemotedAdminRacesOn: of what they ask for while they are demoted,
// nothing happens after it.
func TestADemotedAdminRacesOn(t *testing.T) {
	eachPair(t, func(t *testing.T, apps []*testkit.App) {
		app := apps[0]
		s := staffOf(t, app)
		requests := repeat(crowd, func(i int) testkit.Request {
			return testkit.Request{
				Method: http.MethodPost, Path: usersPath, Token: s.admin.tokens.access,
				Body: newcomer(fmt.Sprintf("new%d@example.com", i), "admin"),
			}
		})
		requests[crowd/2] = ousting(s.owner, s.admin, 0)

		answers := testkit.TryAtOnce(t, apps, requests)

		made := 3 // the staff
		for i, answer := range answers {
			switch {
			case i == crowd/2:
				require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
			case answer.Code == http.StatusCreated:
				made++
			default:
				answer.RequireProblem(app, 403, "role_required", "Not allowed for your role")
			}
		}
		require.Equal(t, made, usersOf(t, app, "acme"))
		app.Post(usersPath, s.admin.tokens.access, newcomer("late@example.com", "member")).
			RequireProblem(app, 403, "role_required", "Not allowed for your role")
	})
}

// TestLoginsRaceADeactivation: whoever was let in meanwhile is out with the rest.
func TestLoginsRaceADeactivation(t *testing.T) {
	eachPair(t, func(t *testing.T, apps []*testkit.App) {
		app := apps[0]
		s := staffOf(t, app)
		for way := 1; way <= 2; way++ { // deactivated, then removed
			requests := repeat(crowd, func(int) testkit.Request {
				return testkit.Request{
					Method: http.MethodPost, Path: "/api/auth/login", Tenant: "acme",
					Body: testkit.JSON{"email": s.member.email, "password": testkit.Password},
				}
			})
			requests[crowd/2] = ousting(s.admin, s.member, way)

			answers := testkit.TryAtOnce(t, apps, requests)

			require.Less(t, answers[crowd/2].Code, 300, answers[crowd/2].Raw)
			for i, answer := range answers {
				if i != crowd/2 && answer.Code == http.StatusOK {
					require.NotEqual(t, http.StatusOK, app.Get(profilePath, answer.Text(app, "access_token")).Code)
					requireNoRefresh(t, app, answer.Text(app, "refresh_token"))
				}
			}
			require.Zero(t, testkit.Scalar[int](t, &app.Settings, app.Settings.DatabaseName("acme"),
				fmt.Sprintf("SELECT count(*) FROM sessions WHERE user_id = %d", s.member.id)))
			app.Put(s.member.path, s.admin.tokens.access, testkit.JSON{"is_active": true})
		}
	})
}

// TestAnAddressIsTakenOnce, however many take it.
func TestAnAddressIsTakenOnce(t *testing.T) {
	eachPair(t, func(t *testing.T, apps []*testkit.App) {
		app := apps[0]
		s := staffOf(t, app)
		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			if i%2 == 0 {
				return testkit.Registration("acme", "new@example.com")
			}
			return testkit.Request{
				Method: http.MethodPost, Path: usersPath, Token: s.admin.tokens.access, Body: newcomer("New@Example.com", "member"),
			}
		}))
		count := testkit.Count(answers)
		require.Equal(t, 1, count[http.StatusOK]+count[http.StatusCreated], "%v", count)
		require.Equal(t, crowd-1, count[http.StatusBadRequest], "%v", count)
		require.Equal(t, 4, usersOf(t, app, "acme"))
	})
}
