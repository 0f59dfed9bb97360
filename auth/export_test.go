package auth

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Occupy takes a worker as long-running hashing would, until it is released.
func Occupy(t *testing.T, p *Passwords) (release func()) {
	t.Helper()
	require.NoError(t, p.acquire(t.Context()))
	return func() { p.slots.Release(1) }
}
