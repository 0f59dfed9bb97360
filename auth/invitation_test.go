package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
)

func TestInvitationTokens(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 100 {
		token := auth.NewInvitationToken()
		hash, ok := auth.HashInvitationToken(token)
		require.True(t, ok)
		require.Regexp(t, "^[0-9a-f]{64}$", hash)
		require.NotContains(t, hash, token[4:])
		require.False(t, seen[token] || seen[hash])
		seen[token], seen[hash] = true, true
	}
}

// FuzzHashInvitationToken: what is hashed has the form of a token, and no two texts
// have the same hash.
func FuzzHashInvitationToken(f *testing.F) {
	good := auth.NewInvitationToken()
	for _, seed := range []string{good, "", "mti_", good[4:], good + "A", "mtr_" + good[4:], strings.ToUpper(good), "mti_" + strings.Repeat("\x00", 43)} {
		f.Add(seed)
	}
	want, _ := auth.HashInvitationToken(good)
	f.Fuzz(func(t *testing.T, text string) {
		hash, ok := auth.HashInvitationToken(text)
		require.Equal(t, ok, strings.HasPrefix(text, "mti_") && len(text) == len(good))
		require.Equal(t, ok, hash != "")
		require.Equal(t, text == good, hash == want)
	})
}
