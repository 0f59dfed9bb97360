// Client uses the API by oapi-codegen's client, from a registration to the audit trail.
// Usage: go run . BASE_URL
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/oapi-codegen/nullable"
	"github.com/oapi-codegen/runtime/types"
)

func main() {
	log.SetFlags(log.Lshortfile)
	client, err := NewClientWithResponses(os.Args[1])
	must(err)
	suffix := strings.ToLower(rand.Text()[:10])
	j := journey{
		ClientWithResponses: client, ctx: context.Background(),
		slug: "go-" + suffix, password: rand.Text(),
		ada: "ada-" + suffix + "@example.com", grace: "grace-" + suffix + "@example.com", hank: "hank-" + suffix + "@example.com",
	}
	member := j.makeOrganization()
	j.manageUsers(member)
	j.invite()
	j.readAudit(member)
}

type journey struct {
	*ClientWithResponses

	ctx              context.Context
	slug, password   string
	ada, grace, hank string
	owner            RequestEditorFn
}

// makeOrganization makes one with a member, and returns the member.
func (j *journey) makeOrganization() *User {
	registered := j.register(j.ada, nil, nil)
	check(registered.Role == nil && !registered.Bio.IsSpecified(), "a user of the core has no role", registered)
	core := j.logIn(j.ada, nil)
	made, err := j.CreateOrganizationWithResponse(j.ctx, NewOrganization{
		Name: "Acme", Slug: j.slug, Description: nullable.NewNullableWithValue("Makers of everything"),
	}, core)
	organization := answered(made, err).JSON200
	check(organization.OwnerID == registered.ID, "the owner", organization)
	changed, err := j.UpdateOrganizationWithResponse(j.ctx, j.slug, OrganizationChange{Description: nullable.NewNullNullable[string]()}, core)
	check(answered(changed, err).JSON200.Description.IsNull(), "the description is cleared", changed.JSON200)

	member := j.register(j.grace, &j.slug, nil)
	check(member.Role != nil && *member.Role == RoleMember, "a member", member)
	j.owner = j.logIn(j.ada, &j.slug)
	return member
}

func (j *journey) register(email string, tenant, invitation *string) *User {
	body := Registration{Email: types.Email(email), Password: j.password}
	if invitation != nil {
		body.InvitationToken = nullable.NewNullableWithValue(*invitation)
	}
	registered, err := j.RegisterWithResponse(j.ctx, &RegisterParams{XTENANT: tenant}, body)
	return answered(registered, err).JSON200
}

// logIn returns an editor of requests, which adds the user's token.
func (j *journey) logIn(email string, tenant *string) RequestEditorFn {
	login, err := j.LoginWithResponse(j.ctx, &LoginParams{XTENANT: tenant}, Credentials{Email: email, Password: j.password})
	token := answered(login, err).JSON200.AccessToken
	return func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

func (j *journey) manageUsers(member *User) {
	limit := 1
	page, err := j.ListUsersWithResponse(j.ctx, &ListUsersParams{Limit: &limit}, j.owner)
	first := answered(page, err).JSON200
	cursor := first.NextCursor.MustGet()
	page, err = j.ListUsersWithResponse(j.ctx, &ListUsersParams{Limit: &limit, Cursor: &cursor}, j.owner)
	second := answered(page, err).JSON200
	check(string(first.Items[0].Email) == j.ada && second.Items[0].ID == member.ID && second.NextCursor.IsNull(), "the pages", page)

	role := RoleAdmin
	changed, err := j.UpdateUserWithResponse(j.ctx, member.ID, nil, TenantUserChange{
		Role: &role, Bio: nullable.NewNullableWithValue("Wrote a compiler"), Phone: nullable.NewNullableWithValue("1"),
	}, j.owner)
	admin := answered(changed, err).JSON200
	check(admin.Role == RoleAdmin && admin.Phone.MustGet() == "1", "an admin", admin)
	changed, err = j.UpdateUserWithResponse(j.ctx, member.ID, nil, TenantUserChange{Phone: nullable.NewNullNullable[string]()}, j.owner)
	cleared := answered(changed, err).JSON200
	check(cleared.Phone.IsNull() && cleared.Bio.MustGet() == "Wrote a compiler", "only the phone is cleared", cleared)
	shown, err := j.GetProfileWithResponse(j.ctx, nil, j.logIn(j.grace, &j.slug))
	profile := answered(shown, err).JSON200
	check(*profile.Role == RoleAdmin && profile.Bio.MustGet() == "Wrote a compiler" && profile.Phone.IsNull(), "the profile", profile)
}

func (j *journey) invite() {
	made, err := j.CreateInvitationWithResponse(j.ctx, nil, NewInvitation{
		Email: types.Email(j.hank), Role: nullable.NewNullableWithValue(RoleAdmin),
	}, j.owner)
	invitation := answered(made, err).JSON201
	open, err := j.ListInvitationsWithResponse(j.ctx, nil, j.owner)
	check(answered(open, err).JSON200.Items[0].ID == invitation.ID, "the open invitation", open.JSON200)
	accepted := j.register(j.hank, &j.slug, &invitation.Token)
	check(*accepted.Role == RoleAdmin, "the role of the invitation", accepted)
	j.logIn(j.hank, &j.slug)
}

func (j *journey) readAudit(member *User) {
	action := ActionUserRoleChanged
	list, err := j.ListEventsWithResponse(j.ctx, &ListEventsParams{Action: &action}, j.owner)
	event := answered(list, err).JSON200.Items[0]
	check(event.Actor.MustGet().Email == j.ada && event.Target.MustGet().ID.MustGet() == member.ID, "the event", event)
	refused, err := j.ListUsersWithResponse(j.ctx, nil)
	must(err)
	check(refused.ApplicationProblemJSON403.Code == ProblemCodeNotAuthenticated, "no token", refused)
}

// answered returns a success.
func answered[T interface {
	StatusCode() int
	GetBody() []byte
}](answer T, err error) T {
	must(err)
	check(answer.StatusCode() < http.StatusMultipleChoices, "a success", string(answer.GetBody()))
	return answer
}

func check(isTrue bool, want string, got any) {
	if !isTrue {
		must(fmt.Errorf("want %s, got %+v", want, got))
	}
}

func must(err error) {
	if err != nil {
		_ = log.Output(3, err.Error())
		os.Exit(1)
	}
}
