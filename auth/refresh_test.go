package auth_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
)

// newRefreshToken returns the first of a family, and how it is sent.
func newRefreshToken(tb testing.TB, tenantID string, session int64) (token auth.RefreshToken, text string) {
	tb.Helper()
	token = auth.NewRefreshToken(tenantID)
	token.SessionID = session
	text, err := token.Encode()
	require.NoError(tb, err)
	return token, text
}

func TestRefreshTokensAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"", tenantID} {
		for _, session := range []int64{1, 1 << 40, 1<<63 - 1} {
			want, text := newRefreshToken(t, tenant, session)
			require.Len(t, text, 100)

			got, err := auth.ParseRefreshToken(text)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

func TestRefreshTokensDiffer(t *testing.T) {
	t.Parallel()
	first, _ := newRefreshToken(t, "", 1)
	second, _ := newRefreshToken(t, "", 1)
	require.NotEqual(t, first.FamilyHash(), second.FamilyHash())
	require.NotEqual(t, first.SecretHash(), second.SecretHash())
}

func TestTheNextRefreshToken(t *testing.T) {
	t.Parallel()
	first, text := newRefreshToken(t, tenantID, 7)
	salt := auth.NewSalt()
	next := first.Next(salt)

	require.Equal(t, first.FamilyHash(), next.FamilyHash())
	require.Equal(t, tenantID, next.TenantID)
	require.EqualValues(t, 7, next.SessionID)
	require.NotEqual(t, first.SecretHash(), next.SecretHash())
	require.Equal(t, next, first.Next(salt), "whoever repeats the request is given the same")
	require.NotEqual(t, next, first.Next(auth.NewSalt()))
	encoded, err := next.Encode()
	require.NoError(t, err)
	require.NotEqual(t, text, encoded)
}

func TestRefreshTokensOfNothingAreNotWritten(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]auth.RefreshToken{
		"no session":       auth.NewRefreshToken(""),
		"negative session": {SessionID: -1},
		"no tenant's id":   {SessionID: 1, TenantID: "acme"},
	} {
		_, err := token.Encode()
		require.Error(t, err, name)
	}
}

func TestParseRefreshTokenRefuses(t *testing.T) {
	t.Parallel()
	_, good := newRefreshToken(t, tenantID, 7)
	raw, err := base64.RawURLEncoding.DecodeString(good[4:])
	require.NoError(t, err)
	sent := func(change func(raw []byte)) string {
		changed := append([]byte{}, raw...)
		change(changed)
		return "mtr_" + base64.RawURLEncoding.EncodeToString(changed)
	}
	for name, text := range map[string]string{
		"empty":            "",
		"prefix alone":     "mtr_",
		"no prefix":        good[4:],
		"another prefix":   "MTR_" + good[4:],
		"cut":              good[:99],
		"longer":           good + "A",
		"much longer":      good + strings.Repeat("A", 1<<16),
		"space before":     " " + good,
		"line feed":        good[:50] + "\n" + good[51:],
		"padded":           good[:99] + "=",
		"other alphabet":   good[:99] + "+",
		"not base64":       good[:50] + "!" + good[51:],
		"NUL":              good[:50] + "\x00" + good[51:],
		"session zero":     sent(func(raw []byte) { clear(raw[16:24]) }),
		"session negative": sent(func(raw []byte) { raw[16] |= 0x80 }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.ParseRefreshToken(text)
			requireInvalid(t, err)
			require.Zero(t, got)
		})
	}
}

// FuzzParseRefreshToken: what is read has one spelling, and names a session.
func FuzzParseRefreshToken(f *testing.F) {
	_, core := newRefreshToken(f, "", 1)
	_, tenant := newRefreshToken(f, tenantID, 1<<40)
	for _, text := range []string{core, tenant, core[4:], tenant + "=", "mtr_", ""} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		got, err := auth.ParseRefreshToken(text)
		if err != nil {
			requireInvalid(t, err)
			if len(text) > 8 {
				require.NotContains(t, err.Error(), text, "the log must not learn it")
			}
			require.Zero(t, got)
			return
		}
		require.Positive(t, got.SessionID)
		require.Contains(t, []int{0, 36}, len(got.TenantID))
		again, err := got.Encode()
		require.NoError(t, err)
		require.Equal(t, text, again)
	})
}
