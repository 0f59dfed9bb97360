package tests_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/models"
	"multitenant/tests/testkit"
)

// claimsOf reads a token without checking it.
func claimsOf(t *testing.T, token string) testkit.JSON {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims testkit.JSON
	require.NoError(t, json.Unmarshal(raw, &claims))
	return claims
}

// sessionOf returns the session that a token comes from.
func sessionOf(t *testing.T, token string) models.SessionKey {
	t.Helper()
	claims := claimsOf(t, token)
	id, isNumber := claims["sid"].(float64)
	family, isText := claims["fam"].(string)
	require.True(t, isNumber && isText, claims)
	return models.SessionKey{ID: int64(id), FamilyHash: family}
}

// forge signs by hand, so that no library corrects what is wrong.
func forge(newHash func() hash.Hash, secret, header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(newHash, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// with returns a token with the claims of a good one but for the change; a
// claim that is set to absent is left out.
func with(t *testing.T, claims, change testkit.JSON) string {
	t.Helper()
	changed := maps.Clone(claims)
	maps.Copy(changed, change)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == absent })
	raw, err := json.Marshal(changed)
	require.NoError(t, err)
	return forge(sha256.New, testkit.Secret, `{"alg":"HS256","typ":"JWT"}`, string(raw))
}

// absent stands for a claim that is not there.
const absent = "\x00absent"

func TestForgedTokensAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		member := app.Token("acme", "grace@example.com")
		app.Token("globex", "grace@example.com")
		claims := claimsOf(t, member)
		now := time.Now().Unix()

		require.Equal(t, http.StatusOK, app.Get(profilePath, with(t, claims, nil)).Code, "what is well made is taken")
		changes := map[string][]any{
			"user_id": {absent, nil, 0, -1, 1.5, "1", true, []int{1}, 1e300, int64(1) << 31, int64(1)<<32 + 1},
			"context": {absent, nil, "", "Tenant", "core", "admin", "tenant ", 1},
			"tenant":  {absent, nil, "", "globex", "Acme", "../acme", "nobody", 1},
			"tid": {
				absent, nil, "", "acme", tenantID(t, app, "globex"), "00000000-0000-0000-0000-000000000000",
				"' OR 1=1 --", fmt.Sprintf("{%s}", claims["tid"]), strings.ToUpper(fmt.Sprint(claims["tid"])), 1,
			},
			"exp": {absent, nil, 0, -1, now - 60, now - 3600, "9999999999", 1e300, true},
			"iat": {absent, nil, now + 3600, strconv.FormatInt(now, 10), -1},
			"nbf": {now + 3600, strconv.FormatInt(now, 10)},
			"iss": {absent, nil, "", "multitenant", "multitenant2", "Multitenant"},
			"aud": {absent, nil, "", "other", []string{"other"}},
			"jti": {absent, nil, "", 1},
			"sid": {absent, nil, 0, -1, 1.5, "1", true, 1e300, 999_999},
			"fam": {absent, nil, "", "f", 1, strings.ToUpper(fmt.Sprint(claims["fam"])), fmt.Sprint(claims["fam"])[1:]},
		}
		tokens := make(map[string]string)
		for name, values := range changes {
			for _, value := range values {
				tokens[fmt.Sprintf("%s is %v", name, value)] = with(t, claims, testkit.JSON{name: value})
			}
		}
		maps.Copy(tokens, badlySigned(member))
		for name, token := range tokens {
			t.Run(name, func(t *testing.T) {
				app := app.For(t)
				for _, tenant := range []string{"", "acme"} {
					answer := app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token, Tenant: tenant})
					if tenant != "" && answer.Code == http.StatusForbidden {
						answer.RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
						continue
					}
					answer.RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
				}
			})
		}
	})
}

// badlySigned returns tokens whose claims are good, and their signatures not.
func badlySigned(token string) map[string]string {
	parts := strings.Split(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	claims, none := string(raw), base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	return map[string]string{
		"foreign secret":         forge(sha256.New, strings.ToUpper(testkit.Secret), `{"alg":"HS256"}`, claims),
		"empty secret":           forge(sha256.New, "", `{"alg":"HS256"}`, claims),
		"alg none":               none + "." + parts[1] + ".",
		"alg none, signed":       none + "." + parts[1] + "." + parts[2],
		"HS384":                  forge(sha512.New384, testkit.Secret, `{"alg":"HS384"}`, claims),
		"HS512":                  forge(sha512.New, testkit.Secret, `{"alg":"HS512"}`, claims),
		"says RS256":             forge(sha256.New, testkit.Secret, `{"alg":"RS256"}`, claims),
		"no alg":                 forge(sha256.New, testkit.Secret, `{}`, claims),
		"crit":                   forge(sha256.New, testkit.Secret, `{"alg":"HS256","crit":["x"],"x":1}`, claims),
		"kid is a path":          forge(sha256.New, "", `{"alg":"HS256","kid":"../../dev/null"}`, claims),
		"brings its key":         forge(sha256.New, "k", `{"alg":"HS256","jwk":{"kty":"oct","k":"aw"}}`, claims),
		"claims are no object":   forge(sha256.New, testkit.Secret, `{"alg":"HS256"}`, `[]`),
		"claims are null":        forge(sha256.New, testkit.Secret, `{"alg":"HS256"}`, `null`),
		"claims are not JSON":    forge(sha256.New, testkit.Secret, `{"alg":"HS256"}`, `x`),
		"other claims":           parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(claims, "acme", "glob", 1))) + "." + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"two parts":              parts[0] + "." + parts[1],
		"four parts":             token + "." + parts[2],
		"signature cut":          token[:len(token)-1],
		"letter at its end":      token + "A",
		"padding":                token + "=",
		"three empty parts":      "..",
		"the claims unprotected": parts[1],
	}
}

// TestForgedCoreTokensAreRefused: a core token names no tenant.
func TestForgedCoreTokensAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("acme", "grace@example.com")
		claims := claimsOf(t, core)
		require.Equal(t, http.StatusOK, app.Get("/api/organizations/", with(t, claims, nil)).Code)
		for name, change := range map[string]testkit.JSON{
			"names a tenant":      {"tenant": "acme"},
			"names a tenant's id": {"tid": claimsOf(t, member)["tid"]},
			"context missing":     {"context": absent},
			"context unknown":     {"context": "superuser"},
			"expired":             {"exp": time.Now().Add(-time.Minute).Unix()},
		} {
			t.Run(name, func(t *testing.T) {
				app := app.For(t)
				token := with(t, claims, change)
				for _, path := range []string{profilePath, "/api/organizations/", "/api/organizations/acme"} {
					app.Get(path, token).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
				}
			})
		}
		app.Get(profilePath, with(t, claims, testkit.JSON{"user_id": 1<<31 - 1})).
			RequireProblem(app, 404, "user_not_found", "User not found")
	})
}

// TestTokensExpire: clocks may differ by half a minute, and no more.
func TestTokensExpire(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		session := sessionOf(t, app.Token("", "ada@example.com"))
		for age, want := range map[time.Duration]int{
			0: 200, 29 * time.Minute: 200, 30*time.Minute + 31*time.Second: 401, 24 * time.Hour: 401, -time.Hour: 401,
		} {
			then, err := auth.NewTokens(auth.TokenOptions{
				Secret: []byte(testkit.Secret), Installation: app.Tenants.InstallationID(), Algorithm: "HS256", Lifetime: 30 * time.Minute,
				Now: func() time.Time { return time.Now().Add(-age) },
			})
			require.NoError(t, err)
			token, err := then.Sign(auth.Claims{UserID: 1, Realm: auth.RealmCore, Session: session})
			require.NoError(t, err)
			for range 2 { // what was found good is remembered; what was not must not be
				requireAdmission(t, app, app.Get(profilePath, token), want)
			}
		}
	})
}
