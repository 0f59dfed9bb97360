package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"multitenant/auth"
)

// Two generations of tokens are remembered: more than both hold.
const moreThanRemembered = 3 * 4096

func signMany(tb testing.TB, tokens *auth.Tokens) []string {
	tb.Helper()
	signed := make([]string, moreThanRemembered)
	for i := range signed {
		token, err := tokens.Sign(tenantClaims())
		require.NoError(tb, err)
		signed[i] = token
	}
	return signed
}

func TestATokenThatWasFoundGoodStillExpires(t *testing.T) {
	t.Parallel()
	clock := now()
	tokens := newTokens(t, func(o *auth.TokenOptions) {
		o.Now = func() time.Time { return clock }
	})
	token, err := tokens.Sign(tenantClaims())
	require.NoError(t, err)

	first, err := tokens.Parse(token)
	require.NoError(t, err)
	second, err := tokens.Parse(token)
	require.NoError(t, err)
	require.Equal(t, first, second)

	clock = clock.Add(30*time.Minute + 10*time.Second)
	got, err := tokens.Parse(token)
	requireInvalid(t, err)
	require.Zero(t, got)
}

func TestATokenThatWasFoundGoodIsNotFromTheFuture(t *testing.T) {
	t.Parallel()
	clock := now()
	tokens := newTokens(t, func(o *auth.TokenOptions) {
		o.Now = func() time.Time { return clock }
	})
	token, err := tokens.Sign(tenantClaims())
	require.NoError(t, err)
	_, err = tokens.Parse(token)
	require.NoError(t, err)

	clock = clock.Add(-10 * time.Second)
	_, err = tokens.Parse(token)
	require.NoError(t, err, "clocks differ by a little")
	clock = clock.Add(-time.Hour)
	_, err = tokens.Parse(token)
	requireInvalid(t, err)
}

func TestATokenThatWasFoundGoodVouchesForNoOther(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	good := forgeClaims("%s", goodClaims)
	_, err := tokens.Parse(good)
	require.NoError(t, err)

	for _, other := range []string{good + "\n", good + "=", "x" + good, good[:len(good)-1] + "!"} {
		_, err := tokens.Parse(other)
		requireInvalid(t, err)
	}
	for i := range good {
		_, err := tokens.Parse(good[:i])
		requireInvalid(t, err)
	}
	_, err = newTokens(t, func(o *auth.TokenOptions) { o.Algorithm = "HS512" }).Parse(good)
	requireInvalid(t, err)
}

func TestManyTokensAtOnceKeepTheirOwnClaims(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	signed := signMany(t, tokens)

	var group errgroup.Group
	ids := make([]map[string]bool, 4)
	for i := range ids {
		ids[i] = map[string]bool{}
		group.Go(func() error {
			for _, token := range signed {
				claims, err := tokens.Parse(token)
				if err != nil {
					return err
				}
				ids[i][claims.ID] = true
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	for _, seen := range ids {
		require.Len(t, seen, len(signed))
	}
}

// BenchmarkTokens_ParseFirst is the full check: no token comes again before it
// is forgotten.
func BenchmarkTokens_ParseFirst(b *testing.B) {
	tokens := newTokens(b)
	signed := signMany(b, tokens)

	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := tokens.Parse(signed[i%len(signed)]); err != nil {
			b.Fatal(err)
		}
	}
}
