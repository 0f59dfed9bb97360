package auth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
)

const (
	oldSecret   = "the key before: 0123456789abcdef"
	olderSecret = "the key before that: 0123456789a"
)

func keyed(current string, previous ...string) func(*auth.TokenOptions) {
	return func(o *auth.TokenOptions) {
		o.Secret = []byte(current)
		for _, secret := range previous {
			o.PreviousSecrets = append(o.PreviousSecrets, []byte(secret))
		}
	}
}

// headerOf reads a token's header without checking it.
func headerOf(t *testing.T, token string) map[string]any {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	require.NoError(t, err)
	var header map[string]any
	require.NoError(t, json.Unmarshal(raw, &header))
	return header
}

func sign(t *testing.T, tokens *auth.Tokens) string {
	t.Helper()
	token, err := tokens.Sign(tenantClaims())
	require.NoError(t, err)
	return token
}

func TestPreviousKeysVerifyAndDoNotSign(t *testing.T) {
	t.Parallel()
	token := sign(t, newTokens(t, keyed(oldSecret)))
	changed := newTokens(t, keyed(secret, olderSecret, oldSecret))

	for range 2 { // the second time it is remembered
		got, err := changed.Parse(token)
		require.NoError(t, err)
		require.EqualValues(t, 7, got.UserID)
	}
	_, err := newTokens(t, keyed(secret)).Parse(token)
	requireInvalid(t, err)

	fresh := sign(t, changed)
	_, err = newTokens(t, keyed(secret)).Parse(fresh)
	require.NoError(t, err, "the current key has signed it")
	_, err = newTokens(t, keyed(oldSecret)).Parse(fresh)
	requireInvalid(t, err)
}

func TestKeyIDsTellKeysApartAndNothingElse(t *testing.T) {
	t.Parallel()
	ids := map[any]bool{}
	for _, key := range []string{secret, oldSecret, olderSecret} {
		header := headerOf(t, sign(t, newTokens(t, keyed(key))))
		require.Equal(t, header, headerOf(t, sign(t, newTokens(t, keyed(key, olderSecret)))), "the same wherever it is used")
		require.Len(t, header, 3)
		require.Regexp(t, "^[0-9a-f]{16}$", header["kid"])
		ids[header["kid"]] = true
	}
	require.Len(t, ids, 3)
}

// Only the key that a token names is tried, and for one that names none the
// current one.
func TestKeyIDs(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, keyed(secret, oldSecret))
	kid := func(key string) string {
		id, ok := headerOf(t, sign(t, newTokens(t, keyed(key))))["kid"].(string)
		require.True(t, ok)
		return id
	}
	header := func(kid string) string { return `{"alg":"HS256","typ":"JWT","kid":` + kid + `}` }
	cases := []struct {
		name, key, header string
		accepted          bool
	}{
		{"current", secret, header(`"` + kid(secret) + `"`), true},
		{"previous", oldSecret, header(`"` + kid(oldSecret) + `"`), true},
		{"current, unnamed", secret, plainHeader, true},
		{"previous, unnamed", oldSecret, plainHeader, false},
		{"current, named as the previous", secret, header(`"` + kid(oldSecret) + `"`), false},
		{"previous, named as the current", oldSecret, header(`"` + kid(secret) + `"`), false},
		{"unknown key", olderSecret, header(`"` + kid(olderSecret) + `"`), false},
		{"in capitals", secret, header(`"` + strings.ToUpper(kid(secret)) + `"`), false},
		{"a part", secret, header(`"` + kid(secret)[:8] + `"`), false},
		{"empty", secret, header(`""`), false},
		{"null", secret, header(`null`), false},
		{"a number", secret, header(`1`), false},
		{"a list", secret, header(`["` + kid(secret) + `"]`), false},
		{"a path", secret, header(`"../../dev/null"`), false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := tokens.Parse(forge(sha256.New, tc.key, tc.header, goodClaims))
			if tc.accepted {
				require.NoError(t, err)
				return
			}
			requireInvalid(t, err)
		})
	}
}

func TestNewTokensRefusesPreviousKeys(t *testing.T) {
	t.Parallel()
	for name, previous := range map[string][]string{
		"too short": {oldSecret, oldSecret[1:]},
		"too many":  strings.Split(strings.Repeat(oldSecret+"|", 8)+oldSecret, "|"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := auth.TokenOptions{Algorithm: "HS256", Lifetime: 1e9}
			keyed(secret, previous...)(&options)
			_, err := auth.NewTokens(options)
			require.Error(t, err)
			require.NotContains(t, err.Error(), oldSecret[1:])
		})
	}
}
