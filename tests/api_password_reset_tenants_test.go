package tests_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// resetsInOne: an admin of acme makes a token for a user of acme, also where ids
// and addresses are the same in globex.
func resetsInOne(t *testing.T, s *stage) {
	t.Helper()
	setRole(t, s.app, "grace@example.com", "admin")
	defer setRole(t, s.app, "grace@example.com", "member")
	elsewhere, own := s.app.Token("globex", "reset@example.com"), s.app.Token("acme", "reset@example.com")
	request := testkit.Request{
		Method: s.method, Path: strings.Replace(s.path, "{id}", subjectOf(t, own), 1) + "?tenant=globex", Token: s.acme, Tenant: "globex",
		Body: testkit.JSON{"tenant": "globex", "tid": tenantID(t, s.app, "globex")},
	}
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
	for _, change := range []testkit.JSON{{"tenant": "globex"}, {"tid": tenantID(t, s.app, "globex")}} {
		request.Token = with(t, claimsOf(t, s.acme), change)
		for _, request.Tenant = range []string{"", "globex"} {
			refused := s.app.Do(request)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.Code, refused.Raw)
		}
	}
	only := s.app.Token("globex", "globex-alone@example.com")
	request.Token, request.Tenant = s.acme, ""
	path := request.Path
	request.Path = strings.Replace(s.path, "{id}", "9"+subjectOf(t, only), 1)
	s.app.Do(request).RequireProblem(s.app, 404, "user_not_found", "User not found")

	request.Path = path
	issued := s.app.Do(request)
	require.Equal(t, http.StatusCreated, issued.Code, issued.Raw)
	requireReset(t, s.app, issued.Text(s.app, "token"))
	s.app.Login("acme", "reset@example.com").RequireProblem(s.app, 401, "invalid_credentials", "Incorrect email or password")
	requireLives(t, s.app, tokens{access: elsewhere})
	require.Equal(t, http.StatusOK, s.app.Login("globex", "reset@example.com").Code)
}

// redeemsInOne: a token of acme changes a password in acme, whatever X-TENANT,
// query, body or another's token say.
func redeemsInOne(t *testing.T, s *stage) {
	t.Helper()
	for _, tenant := range []string{"acme", "globex"} {
		s.app.Token(tenant, "redeem@example.com")
	}
	token := resetOf(t, &s.app.Settings, "acme", "redeem@example.com")
	other := resetOf(t, &s.app.Settings, "globex", "redeem@example.com")
	request := redeeming(token, newPassword)
	request.Path, request.Token, request.Tenant = s.path+"?tenant=globex", s.globex, "globex"
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")

	// The first 16 of its bytes say where it is kept.
	raw := func(token string) []byte {
		decoded, err := base64.RawURLEncoding.DecodeString(token[len("mtpw_"):])
		require.NoError(t, err)
		return decoded
	}
	requireNoReset(t, s.app, "mtpw_"+base64.RawURLEncoding.EncodeToString(append(raw(other)[:16], raw(token)[16:]...)))
	requireNoReset(t, s.app, "mtpw_"+base64.RawURLEncoding.EncodeToString(append(make([]byte, 16), raw(token)[16:]...)))

	request.Tenant = ""
	redeemed := s.app.Do(request)
	require.Equal(t, http.StatusNoContent, redeemed.Code, redeemed.Raw)
	requireNewPassword(t, s.app, "acme", "redeem@example.com")
	require.Equal(t, http.StatusOK, s.app.Login("globex", "redeem@example.com").Code)
	requireReset(t, s.app, other)
}
