package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/models"
)

const (
	secret   = "0123456789abcdef0123456789abcdef"
	tenantID = "0198f5a2-6c1e-7b3a-9d55-3f0a1c2b4d6e"
)

func now() time.Time {
	return time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
}

func newTokens(tb testing.TB, change ...func(*auth.TokenOptions)) *auth.Tokens {
	tb.Helper()
	options := auth.TokenOptions{
		Secret:    []byte(secret),
		Algorithm: "HS256",
		Lifetime:  30 * time.Minute,
		Now:       now,
	}
	for _, apply := range change {
		apply(&options)
	}
	tokens, err := auth.NewTokens(options)
	require.NoError(tb, err)
	return tokens
}

func tenantClaims() auth.Claims {
	return auth.Claims{UserID: 7, Realm: auth.RealmTenant, Tenant: "acme", TenantID: tenantID, Session: models.SessionKey{ID: 3, FamilyHash: "f"}, Parent: models.SessionKey{ID: 5, FamilyHash: "p"}}
}

// requireInvalid wants the one refusal there is, without a word of its cause.
func requireInvalid(t *testing.T, err error) {
	t.Helper()
	var known *models.Error
	require.ErrorAs(t, err, &known)
	require.Equal(t, models.KindInvalidToken, known.Kind)
	require.Equal(t, "Could not validate credentials", known.Message)
	require.Error(t, known.Unwrap(), "the log must learn the cause")
}

func TestTokensReadWhatTheySign(t *testing.T) {
	t.Parallel()

	claims := []auth.Claims{{UserID: 1, Realm: auth.RealmCore, Session: models.SessionKey{ID: 1, FamilyHash: "f"}}, tenantClaims()}
	for _, algorithm := range auth.Algorithms() {
		for _, want := range claims {
			t.Run(algorithm+" "+string(want.Realm), func(t *testing.T) {
				t.Parallel()
				tokens := newTokens(t, func(o *auth.TokenOptions) { o.Algorithm = algorithm })

				token, err := tokens.Sign(want)
				require.NoError(t, err)
				got, err := tokens.Parse(token)
				require.NoError(t, err)

				require.NotEmpty(t, got.ID)
				want.ID = got.ID
				want.IssuedAt = now()
				want.ExpiresAt = now().Add(30 * time.Minute)
				require.Equal(t, want, got)
			})
		}
	}
}

// TestTokensEndWithTheirSession, and never later than they would without it.
func TestTokensEndWithTheirSession(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	for end, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, 30 * time.Minute: 30 * time.Minute, time.Hour: 30 * time.Minute,
	} {
		claims := tenantClaims()
		claims.ExpiresAt = now().Add(end)
		token, err := tokens.Sign(claims)
		require.NoError(t, err)
		got, err := tokens.Parse(token)
		require.NoError(t, err)
		require.Equal(t, now().Add(want), got.ExpiresAt)
	}
}

func TestSessionsLiveAsLongAsTheirTokens(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ refresh, session, want time.Duration }{
		{time.Hour, 2 * time.Hour, 2 * time.Hour},
		{3 * time.Hour, 2 * time.Hour, 3 * time.Hour},
		{0, 0, 30 * time.Minute},
	} {
		tokens := newTokens(t, func(o *auth.TokenOptions) { o.RefreshLifetime, o.SessionLifetime = tc.refresh, tc.session })
		require.Equal(t, tc.want, tokens.SessionLifetime())
	}
}

func TestSignGivesEveryTokenItsOwnID(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	claims := tenantClaims()
	claims.ID = "chosen by the caller"

	first, err := tokens.Sign(claims)
	require.NoError(t, err)
	second, err := tokens.Sign(claims)
	require.NoError(t, err)

	require.NotEqual(t, first, second)
}

func TestSignRefusesClaimsThatParseWouldRefuse(t *testing.T) {
	t.Parallel()
	cases := map[string]auth.Claims{
		"nobody":                  {Realm: auth.RealmCore},
		"no realm":                {UserID: 1},
		"core with a tenant":      {UserID: 1, Realm: auth.RealmCore, Tenant: "acme"},
		"core with a tenant's id": {UserID: 1, Realm: auth.RealmCore, TenantID: tenantID},
		"tenant without a slug":   {UserID: 1, Realm: auth.RealmTenant, TenantID: tenantID},
		"tenant without an id":    {UserID: 1, Realm: auth.RealmTenant, Tenant: "acme"},
		"tenant's id is no UUID":  {UserID: 1, Realm: auth.RealmTenant, Tenant: "acme", TenantID: "7"},
	}
	for name, claims := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := newTokens(t).Sign(claims)
			require.Error(t, err)
			require.Empty(t, token)
		})
	}
}

func TestParseKeepsToTheClock(t *testing.T) {
	t.Parallel()
	token, err := newTokens(t).Sign(tenantClaims())
	require.NoError(t, err)

	cases := []struct {
		name  string
		after time.Duration
		valid bool
	}{
		{"clock a little behind the issuer's", -10 * time.Second, true},
		{"clock far behind the issuer's", -11 * time.Second, false},
		{"before it expires", 30*time.Minute - time.Second, true},
		{"within the leeway", 30*time.Minute + 9*time.Second, true},
		{"after the leeway", 30*time.Minute + 10*time.Second, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			later := newTokens(t, func(o *auth.TokenOptions) {
				o.Now = func() time.Time { return now().Add(tc.after) }
			})

			_, err := later.Parse(token)

			if tc.valid {
				require.NoError(t, err)
				return
			}
			requireInvalid(t, err)
		})
	}
}

func TestParseTellsTheLogNothingOfTheToken(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	token, err := tokens.Sign(tenantClaims())
	require.NoError(t, err)

	for part := range strings.SplitSeq(token, ".") {
		_, err := tokens.Parse(strings.Replace(token, part, part+"A", 1))
		requireInvalid(t, err)
		require.NotContains(t, err.Error(), part)
	}
}

func TestNewTokensChecksItsOptions(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*auth.TokenOptions)
		want   string
	}{
		"algorithm none":  {func(o *auth.TokenOptions) { o.Algorithm = "none" }, "algorithm"},
		"algorithm RS256": {func(o *auth.TokenOptions) { o.Algorithm = "RS256" }, "algorithm"},
		"short secret":    {func(o *auth.TokenOptions) { o.Secret = []byte(secret[1:]) }, "at least 32 bytes"},
		"no lifetime":     {func(o *auth.TokenOptions) { o.Lifetime = 0 }, "lifetime"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := auth.TokenOptions{Secret: []byte(secret), Algorithm: "HS256", Lifetime: time.Minute}
			tc.change(&options)

			_, err := auth.NewTokens(options)

			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), secret[1:])
		})
	}
}

func TestTokensKeepTheirOwnCopyOfTheSecret(t *testing.T) {
	t.Parallel()
	shared := []byte(secret)
	tokens := newTokens(t, func(o *auth.TokenOptions) { o.Secret = shared })
	clear(shared)

	token, err := newTokens(t).Sign(tenantClaims())
	require.NoError(t, err)
	_, err = tokens.Parse(token)

	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, tokens.Lifetime())
}

func BenchmarkTokens_Parse(b *testing.B) {
	tokens := newTokens(b)
	token, err := tokens.Sign(tenantClaims())
	require.NoError(b, err)

	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.Parse(token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokens_Sign(b *testing.B) {
	tokens := newTokens(b)

	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.Sign(tenantClaims()); err != nil {
			b.Fatal(err)
		}
	}
}
