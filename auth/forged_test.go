package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
)

const (
	plainHeader = `{"alg":"HS256","typ":"JWT"}`

	// Issued at now, good for half an hour.
	times    = `"iat":1795521600,"exp":1795523400`
	parties  = unsessioned + `,"sid":3,"fam":"f"`
	inTenant = `"context":"tenant","tenant":"acme","tid":"` + tenantID + `"`
	inCore   = `"context":"core"`
	// Of a token as it was before there were sessions.
	unsessioned = `"iss":"multitenant","aud":"multitenant","jti":"j"`
	goodClaims  = `{"user_id":7,` + inTenant + `,` + times + `,` + parties + `}`
)

// forge signs a token by hand, so that no library corrects what is wrong with it.
func forge(newHash func() hash.Hash, key, header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(newHash, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func forgeClaims(format string, args ...any) string {
	return forge(sha256.New, secret, plainHeader, fmt.Sprintf(format, args...))
}

func TestParseAcceptsWhatIsWellMade(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"tenant":           goodClaims,
		"core":             `{"user_id":7,` + inCore + `,` + times + `,` + parties + `}`,
		"core, null":       `{"user_id":7,` + inCore + `,"tenant":null,` + times + `,` + parties + `}`,
		"nbf is past":      `{"user_id":7,` + inCore + `,"nbf":1795521600,` + times + `,` + parties + `}`,
		"fraction of time": `{"user_id":7,` + inCore + `,"iat":1795521600.5,"exp":1795523400.5,` + parties + `}`,
		"unknown claim":    `{"user_id":7,"admin":true,` + inCore + `,` + times + `,` + parties + `}`,
	}
	for name, claims := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newTokens(t).Parse(forgeClaims("%s", claims))
			require.NoError(t, err)
			require.EqualValues(t, 7, got.UserID)
		})
	}
}

func TestParseRefusesForgedHeaders(t *testing.T) {
	t.Parallel()
	good := forgeClaims("%s", goodClaims)
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."

	cases := map[string]string{
		"empty":                  "",
		"dots":                   "..",
		"one part":               parts[0],
		"two parts":              parts[0] + "." + parts[1],
		"four parts":             good + "." + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"alg none":               unsigned,
		"alg none, signed":       forge(sha256.New, secret, `{"alg":"none"}`, goodClaims),
		"alg None":               forge(sha256.New, secret, `{"alg":"None"}`, goodClaims),
		"alg missing":            forge(sha256.New, secret, `{"typ":"JWT"}`, goodClaims),
		"alg a number":           forge(sha256.New, secret, `{"alg":256}`, goodClaims),
		"alg in lower case":      forge(sha256.New, secret, `{"alg":"hs256"}`, goodClaims),
		"alg unknown":            forge(sha256.New, secret, `{"alg":"HS1"}`, goodClaims),
		"alg HS512":              forge(sha512.New, secret, `{"alg":"HS512"}`, goodClaims),
		"alg HS384":              forge(sha512.New384, secret, `{"alg":"HS384"}`, goodClaims),
		"alg RS256":              forge(sha256.New, secret, `{"alg":"RS256"}`, goodClaims),
		"says HS256, is HS512":   forge(sha512.New, secret, plainHeader, goodClaims),
		"other key":              forge(sha256.New, strings.ToUpper(secret), plainHeader, goodClaims),
		"empty key":              forge(sha256.New, "", plainHeader, goodClaims),
		"kid names a file":       forge(sha256.New, "", `{"alg":"HS256","kid":"/dev/null"}`, goodClaims),
		"kid is SQL":             forge(sha256.New, "x", `{"alg":"HS256","kid":"' UNION SELECT 'x"}`, goodClaims),
		"jwk brings a key":       forge(sha256.New, "x", `{"alg":"HS256","jwk":{"kty":"oct","k":"eA"}}`, goodClaims),
		"crit":                   forge(sha256.New, secret, `{"alg":"HS256","crit":["b64"],"b64":false}`, goodClaims),
		"crit empty":             forge(sha256.New, secret, `{"alg":"HS256","crit":[]}`, goodClaims),
		"crit null":              forge(sha256.New, secret, `{"alg":"HS256","crit":null}`, goodClaims),
		"header null":            forge(sha256.New, secret, `null`, goodClaims),
		"header an array":        forge(sha256.New, secret, `[]`, goodClaims),
		"header with a rest":     forge(sha256.New, secret, plainHeader+`{}`, goodClaims),
		"padded":                 good + "=",
		"padded header":          parts[0] + "=." + parts[1] + "." + parts[2],
		"cut":                    good[:len(good)-1],
		"one letter more":        good + "A",
		"space before":           " " + good,
		"line feed after":        good + "\n",
		"line feed in the midst": parts[0] + "\n." + parts[1] + "." + parts[2],
		"standard alphabet":      strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+",
		"with its scheme":        "Bearer " + good,
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newTokens(t).Parse(token)
			requireInvalid(t, err)
			require.Zero(t, got)
		})
	}
}

// A signature of 32 bytes leaves two bits of its last letter without a meaning:
// four spellings would be one token, and a revoked one would live on in three.
func TestParseRefusesOtherSpellingsOfAToken(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	good := forgeClaims("%s", goodClaims)
	tokens := newTokens(t)

	for _, letter := range alphabet {
		other := good[:len(good)-1] + string(letter)
		if other == good {
			continue
		}
		_, err := tokens.Parse(other)
		requireInvalid(t, err)
	}
}

func TestParseRefusesForgedClaims(t *testing.T) {
	t.Parallel()
	const rest = inTenant + `,` + times + `,` + parties
	cases := map[string]string{
		"nothing":              `{}`,
		"null":                 `null`,
		"an array":             `[` + goodClaims + `]`,
		"a rest":               goodClaims + goodClaims,
		"user_id missing":      `{` + rest + `}`,
		"user_id null":         `{"user_id":null,` + rest + `}`,
		"user_id zero":         `{"user_id":0,` + rest + `}`,
		"user_id negative":     `{"user_id":-7,` + rest + `}`,
		"user_id a fraction":   `{"user_id":7.5,` + rest + `}`,
		"user_id a float":      `{"user_id":7.0,` + rest + `}`,
		"user_id an exponent":  `{"user_id":7e0,` + rest + `}`,
		"user_id a string":     `{"user_id":"7",` + rest + `}`,
		"user_id true":         `{"user_id":true,` + rest + `}`,
		"user_id a list":       `{"user_id":[7],` + rest + `}`,
		"user_id beyond int4":  `{"user_id":2147483648,` + rest + `}`,
		"user_id beyond int64": `{"user_id":9223372036854775808,` + rest + `}`,
		"exp missing":          `{"user_id":7,` + inTenant + `,"iat":1795521600,` + parties + `}`,
		"exp null":             `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":null,` + parties + `}`,
		"exp a string":         `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":"1795523400",` + parties + `}`,
		"exp a date":           `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":"2027-01-01T00:00:00Z",` + parties + `}`,
		"exp past":             `{"user_id":7,` + inTenant + `,"iat":1795521000,"exp":1795521500,` + parties + `}`,
		"exp zero":             `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":0,` + parties + `}`,
		"exp negative":         `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":-1,` + parties + `}`,
		"exp would overflow":   `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":1e300,` + parties + `}`,
		"exp in year 10000":    `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":253402300800,` + parties + `}`,
		"exp beyond a float":   `{"user_id":7,` + inTenant + `,"iat":1795521600,"exp":1e999,` + parties + `}`,
		"iat missing":          `{"user_id":7,` + inTenant + `,"exp":1795523400,` + parties + `}`,
		"iat a string":         `{"user_id":7,` + inTenant + `,"iat":"1795521600","exp":1795523400,` + parties + `}`,
		"iat to come":          `{"user_id":7,` + inTenant + `,"iat":1795521660,"exp":1795523400,` + parties + `}`,
		"nbf to come":          `{"user_id":7,"nbf":1795521660,` + rest + `}`,
		"nbf a string":         `{"user_id":7,"nbf":"1795521600",` + rest + `}`,
		"iss missing":          `{"user_id":7,` + inTenant + `,` + times + `,"aud":"multitenant","jti":"j","sid":3,"fam":"f"}`,
		"iss another's":        `{"user_id":7,` + inTenant + `,` + times + `,"iss":"other","aud":"multitenant","jti":"j","sid":3,"fam":"f"}`,
		"aud missing":          `{"user_id":7,` + inTenant + `,` + times + `,"iss":"multitenant","jti":"j","sid":3,"fam":"f"}`,
		"aud another's":        `{"user_id":7,` + inTenant + `,` + times + `,"iss":"multitenant","aud":"other","jti":"j","sid":3,"fam":"f"}`,
		"aud a number":         `{"user_id":7,` + inTenant + `,` + times + `,"iss":"multitenant","aud":1,"jti":"j","sid":3,"fam":"f"}`,
		"jti missing":          `{"user_id":7,` + inTenant + `,` + times + `,"iss":"multitenant","aud":"multitenant","sid":3,"fam":"f"}`,
		"sid missing":          `{"user_id":7,"fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"fam missing":          `{"user_id":7,"sid":3,` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"fam empty":            `{"user_id":7,"sid":3,"fam":"",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"fam null":             `{"user_id":7,"sid":3,"fam":null,` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"fam a number":         `{"user_id":7,"sid":3,"fam":1,` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"sid null":             `{"user_id":7,"sid":null,"fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"sid zero":             `{"user_id":7,"sid":0,"fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"sid negative":         `{"user_id":7,"sid":-3,"fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"sid a string":         `{"user_id":7,"sid":"3","fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"sid a fraction":       `{"user_id":7,"sid":3.5,"fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"sid beyond int64":     `{"user_id":7,"sid":9223372036854775808,"fam":"f",` + inTenant + `,` + times + `,` + unsessioned + `}`,
		"psid alone":           `{"user_id":7,"psid":3,` + inTenant + `,` + times + `,` + parties + `}`,
		"psid negative":        `{"user_id":7,"psid":-3,"pfam":"f",` + inTenant + `,` + times + `,` + parties + `}`,
		"psid a string":        `{"user_id":7,"psid":"3","pfam":"f",` + inTenant + `,` + times + `,` + parties + `}`,
		"psid at core":         `{"user_id":7,"psid":3,"pfam":"f","context":"core",` + times + `,` + parties + `}`,
		"pfam alone":           `{"user_id":7,"pfam":"f",` + inTenant + `,` + times + `,` + parties + `}`,
		"pfam a number":        `{"user_id":7,"psid":3,"pfam":1,` + inTenant + `,` + times + `,` + parties + `}`,
		"context missing":      `{"user_id":7,"tenant":"acme","tid":"` + tenantID + `",` + times + `,` + parties + `}`,
		"context unknown":      `{"user_id":7,"context":"admin",` + times + `,` + parties + `}`,
		"context empty":        `{"user_id":7,"context":"",` + times + `,` + parties + `}`,
		"context capital":      `{"user_id":7,"context":"Core",` + times + `,` + parties + `}`,
		"context a number":     `{"user_id":7,"context":1,` + times + `,` + parties + `}`,
		"core names a tenant":  `{"user_id":7,` + inCore + `,"tenant":"acme",` + times + `,` + parties + `}`,
		"core has a tid":       `{"user_id":7,` + inCore + `,"tid":"` + tenantID + `",` + times + `,` + parties + `}`,
		"tenant missing":       `{"user_id":7,"context":"tenant","tid":"` + tenantID + `",` + times + `,` + parties + `}`,
		"tenant a number":      `{"user_id":7,"context":"tenant","tenant":1,"tid":"` + tenantID + `",` + times + `,` + parties + `}`,
		"tid missing":          `{"user_id":7,"context":"tenant","tenant":"acme",` + times + `,` + parties + `}`,
		"tid not a UUID":       `{"user_id":7,"context":"tenant","tenant":"acme","tid":"1",` + times + `,` + parties + `}`,
		"tid in braces":        `{"user_id":7,"context":"tenant","tenant":"acme","tid":"{` + tenantID + `}",` + times + `,` + parties + `}`,
		"tid in capitals":      `{"user_id":7,"context":"tenant","tenant":"acme","tid":"` + strings.ToUpper(tenantID) + `",` + times + `,` + parties + `}`,
		"too long":             `{"user_id":7,"pad":"` + strings.Repeat("x", 4096) + `",` + rest + `}`,
	}
	for name, claims := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newTokens(t).Parse(forgeClaims("%s", claims))
			requireInvalid(t, err)
			require.Zero(t, got)
		})
	}
}

// FuzzParse knows that only tokens that were signed with the key are good: of
// those the fuzzer is given two, and it cannot make another.
func FuzzParse(f *testing.F) {
	signed := []string{
		forgeClaims("%s", goodClaims),
		forgeClaims(`{"user_id":7,%s,%s,%s}`, inCore, times, parties),
	}
	for _, token := range signed {
		f.Add(token)
	}
	f.Add(forge(sha512.New, secret, `{"alg":"HS512"}`, goodClaims))
	f.Add(forge(sha256.New, secret, `{"alg":"none"}`, goodClaims))
	f.Add("")
	f.Add("..")
	tokens := newTokens(f)

	f.Fuzz(func(t *testing.T, token string) {
		got, err := tokens.Parse(token)
		if err == nil {
			require.Contains(t, signed, token, "accepted what was not signed")
			return
		}
		requireInvalid(t, err)
		require.Zero(t, got)
	})
}

// FuzzParseSigned signs whatever claims come up: a token that is accepted says
// who its user is and where.
func FuzzParseSigned(f *testing.F) {
	f.Add(goodClaims)
	f.Add(`{"user_id":7,` + inCore + `,` + times + `,` + parties + `}`)
	f.Add(`{"user_id":1e3,` + inCore + `,"nbf":-1,"exp":1e18,"iat":"1",` + parties + `}`)
	tokens := newTokens(f)

	f.Fuzz(func(t *testing.T, claims string) {
		got, err := tokens.Parse(forge(sha256.New, secret, plainHeader, claims))
		if err != nil {
			requireInvalid(t, err)
			return
		}
		require.Positive(t, got.UserID)
		require.NotEmpty(t, got.ID)
		require.False(t, got.IssuedAt.IsZero())
		require.True(t, got.ExpiresAt.After(now().Add(-30*1e9)))
		if got.Realm == auth.RealmCore {
			require.Empty(t, got.Tenant+got.TenantID)
			return
		}
		require.Equal(t, auth.RealmTenant, got.Realm)
		require.NotEmpty(t, got.Tenant)
		require.Len(t, got.TenantID, 36)
	})
}
