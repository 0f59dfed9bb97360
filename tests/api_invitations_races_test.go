package tests_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestManyComeWithOneInvitation: one of them gets in, whatever the others say they
// are called.
func TestManyComeWithOneInvitation(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		core := app.Token("", slug+"@example.com")
		app.Organization(core, slug)
		require.Equal(t, http.StatusOK, app.Put(organizationsPath+slug, core, testkit.JSON{"registration": "invite"}).Code)
		made := invite(t, app, app.TokenOf(slug, slug+"@example.com"), "hank@example.com", "admin")

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			return accepting(slug, []string{"hank@example.com", "Hank@Example.COM"}[i%2], made.Token)
		}))

		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusForbidden: crowd - 1}, testkit.Count(answers), "%+v", answers)
		for _, answer := range answers {
			if answer.Code != http.StatusOK {
				answer.RequireProblem(app, 403, "invalid_invitation", "Invalid invitation")
			}
		}
		require.Equal(t, 2, usersOf(t, app, slug))
		require.Empty(t, listInvitations(t, app, app.TokenOf(slug, "hank@example.com"), "").Items)
	})
}

// TestManyInviteTheSame: there is one invitation, and one token that is good.
func TestManyInviteTheSame(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token(slug, "ada@example.com")

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(int) testkit.Request {
			return testkit.Request{Method: http.MethodPost, Path: invitationsPath, Token: owner, Body: testkit.JSON{"email": "hank@example.com"}}
		}))

		require.Equal(t, map[int]int{http.StatusCreated: crowd}, testkit.Count(answers), "%+v", answers)
		require.Len(t, listInvitations(t, app, owner, "").Items, 1)
		good := 0
		for _, answer := range answers {
			entered := app.Do(accepting(slug, "hank@example.com", answer.Text(app, "token")))
			if entered.Code == http.StatusOK {
				good++
				continue
			}
			entered.RequireProblem(app, 403, "invalid_invitation", "Invalid invitation")
		}
		require.Equal(t, 1, good)
	})
}

// TestAnAdminNeverReplacesAnOwnersInvitation, however close they come to each other.
func TestAnAdminNeverReplacesAnOwnersInvitation(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token(slug, "ada@example.com")
		require.Equal(t, http.StatusOK, app.Do(accepting(slug, "alan@example.com", invite(t, app, owner, "alan@example.com", "admin").Token)).Code)
		tokens, roles := []string{owner, app.TokenOf(slug, "alan@example.com")}, []string{"owner", "member"}

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			n := i / len(apps) % 2 // both at each of the applications
			return testkit.Request{
				Method: http.MethodPost, Path: invitationsPath, Token: tokens[n], Body: testkit.JSON{"email": "hank@example.com", "role": roles[n]},
			}
		}))

		for i, answer := range answers {
			if i/len(apps)%2 == 1 && answer.Code != http.StatusCreated {
				answer.RequireProblem(app, 403, "role_required", notAllowed)
				continue
			}
			require.Equal(t, http.StatusCreated, answer.Code, answer.Raw)
		}
		page := listInvitations(t, app, owner, "")
		require.Len(t, page.Items, 1)
		require.Equal(t, "owner", page.Items[0].Role)
	})
}

// TestAnInvitationIsWithdrawnWhileItIsUsed: either happens, and not both.
func TestAnInvitationIsWithdrawnWhileItIsUsed(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token(slug, "ada@example.com")
		for round := range 4 {
			email := fmt.Sprintf("guest%d@example.com", round)
			made := invite(t, app, owner, email, "")

			answers := testkit.TryAtOnce(t, apps, repeat(crowd/4, func(i int) testkit.Request {
				if i%2 == 0 {
					return testkit.Request{Method: http.MethodDelete, Path: made.path(), Token: owner}
				}
				return accepting(slug, email, made.Token)
			}))

			counts := testkit.Count(answers)
			require.Equal(t, 1, counts[http.StatusOK]+counts[http.StatusNoContent], "%+v", answers)
			require.Equal(t, crowd/4-1, counts[http.StatusNotFound]+counts[http.StatusForbidden], "%+v", answers)
		}
		require.Empty(t, listInvitations(t, app, owner, "").Items)
	})
}

// TestManyAreInvitedAndComeAtOnce: each gets in once, with invitations of others
// being made meanwhile.
func TestManyAreInvitedAndComeAtOnce(t *testing.T) {
	eachCrew(t, func(t *testing.T, apps []*testkit.App) {
		app, slug := apps[0], slugFor(apps)
		owner := app.Token(slug, "ada@example.com")
		guests := make([]invitation, crowd/2)
		for i := range guests {
			guests[i] = invite(t, app, owner, fmt.Sprintf("guest%d@example.com", i), "")
		}

		answers := testkit.TryAtOnce(t, apps, repeat(crowd, func(i int) testkit.Request {
			if i%2 == 0 {
				return accepting(slug, guests[i/2].Email, guests[i/2].Token)
			}
			return testkit.Request{Method: http.MethodPost, Path: invitationsPath, Token: owner, Body: testkit.JSON{"email": fmt.Sprintf("next%d@example.com", i)}}
		}))

		require.Equal(t, map[int]int{http.StatusOK: crowd / 2, http.StatusCreated: crowd / 2}, testkit.Count(answers), "%+v", answers)
		require.Equal(t, crowd/2+1, usersOf(t, app, slug))
		require.Len(t, listInvitations(t, app, owner, "").Items, crowd/2)
	})
}
