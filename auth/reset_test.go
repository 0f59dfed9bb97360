package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/models"
)

// newResetToken returns a token, and how it is handed over.
func newResetToken(tb testing.TB, tenantID string) (token auth.ResetToken, text string) {
	tb.Helper()
	token = auth.NewResetToken(tenantID)
	text, err := token.Encode()
	require.NoError(tb, err)
	return token, text
}

func requireInvalidReset(tb testing.TB, err error) {
	tb.Helper()
	require.True(tb, models.IsKind(err, models.KindInvalidResetToken), "%v", err)
}

func TestResetTokensAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"", tenantID} {
		want, text := newResetToken(t, tenant)
		require.Len(t, text, 69)

		got, err := auth.ParseResetToken(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, tenant, got.TenantID)
		require.Len(t, got.Hash(), 64)
		require.NotContains(t, text, got.Hash())

		other, _ := newResetToken(t, tenant)
		require.NotEqual(t, got.Hash(), other.Hash())
	}
	nowhere := auth.NewResetToken("acme")
	_, err := nowhere.Encode()
	require.Error(t, err)
}

// TestTokensOfTwoKindsAreNotConfused, also where somebody puts the one's prefix
// before the other's letters.
func TestTokensOfTwoKindsAreNotConfused(t *testing.T) {
	t.Parallel()
	_, refresh := newRefreshToken(t, tenantID, 7)
	_, reset := newResetToken(t, tenantID)
	for _, text := range []string{refresh, "mtpw_" + refresh[4:]} {
		_, err := auth.ParseResetToken(text)
		requireInvalidReset(t, err)
	}
	for _, text := range []string{reset, "mtr_" + reset[5:]} {
		_, err := auth.ParseRefreshToken(text)
		requireInvalid(t, err)
	}
}

func TestParseResetTokenRefuses(t *testing.T) {
	t.Parallel()
	_, good := newResetToken(t, tenantID)
	for name, text := range map[string]string{
		"empty":           "",
		"prefix alone":    "mtpw_",
		"no prefix":       good[5:],
		"another prefix":  "MTPW_" + good[5:],
		"a refresh's":     "mtr_" + good[5:],
		"cut":             good[:68],
		"longer":          good + "A",
		"much longer":     good + strings.Repeat("A", 1<<16),
		"space before":    " " + good,
		"line feed after": good + "\n",
		"line feed":       good[:50] + "\n" + good[51:],
		"padded":          good[:68] + "=",
		"other alphabet":  good[:68] + "+",
		"not base64":      good[:50] + "!" + good[51:],
		"NUL":             good[:50] + "\x00" + good[51:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.ParseResetToken(text)
			requireInvalidReset(t, err)
			require.Zero(t, got)
		})
	}
}

// FuzzParseResetToken: what is read has one spelling, and is no refresh token.
func FuzzParseResetToken(f *testing.F) {
	_, core := newResetToken(f, "")
	_, tenant := newResetToken(f, tenantID)
	_, refresh := newRefreshToken(f, tenantID, 7)
	for _, text := range []string{core, tenant, core[5:], tenant + "=", "mtpw_", "", refresh, "mtpw_" + refresh[4:68]} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		got, err := auth.ParseResetToken(text)
		if err != nil {
			requireInvalidReset(t, err)
			if len(text) > 8 {
				require.NotContains(t, err.Error(), text, "the log must not learn it")
			}
			require.Zero(t, got)
			return
		}
		require.Contains(t, []int{0, 36}, len(got.TenantID))
		again, err := got.Encode()
		require.NoError(t, err)
		require.Equal(t, text, again)
		_, err = auth.ParseRefreshToken(text)
		requireInvalid(t, err)
	})
}
