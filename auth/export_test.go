package auth

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
)

// Occupy takes a worker as long-running hashing would, until it is released.
func Occupy(t *testing.T, p *Passwords) (release func()) {
	t.Helper()
	end, err := p.turns.Take(t.Context(), limits.Turn{})
	require.NoError(t, err)
	return end
}
