package limits_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/models"
)

func turn(tenant, from string) limits.Turn {
	return limits.Turn{Tenant: tenant, From: netip.MustParseAddr(from)}
}

// served returns the order in which the callers get their turns, who come in the
// given order while another has the only one.
func served(t *testing.T, callers []limits.Turn) (order []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		turns := limits.NewTurns(1, time.Hour)
		end, err := turns.Take(t.Context(), limits.Turn{})
		require.NoError(t, err)
		begun := make(chan int, len(callers))
		for i, caller := range callers {
			go func() {
				end, err := turns.Take(t.Context(), caller)
				if err == nil {
					begun <- i
					end()
				}
			}()
			synctest.Wait()
		}
		require.Equal(t, len(callers), turns.Waiting())
		end()
		for range callers {
			order = append(order, <-begun)
		}
		require.Zero(t, turns.Waiting())
	})
	return order
}

func TestTurns(t *testing.T) {
	t.Parallel()
	login := func(t limits.Turn) limits.Turn { t.Login = true; return t }
	flood := func(n int, turn func(i int) limits.Turn) (all []limits.Turn) {
		for i := range n {
			all = append(all, turn(i))
		}
		return all
	}
	mine := turn("globex", "192.0.2.1")
	for name, tc := range map[string]struct {
		flood []limits.Turn
		mine  limits.Turn
		most  int // of the flood that go first
	}{
		"one tenant from one address": {flood(50, func(int) limits.Turn { return turn("acme", "192.0.2.9") }), mine, 1},
		"one tenant from many addresses": {
			flood(50, func(i int) limits.Turn { return turn("acme", "192.0.2."+strconv.Itoa(50+i)) }), mine, 1,
		},
		"many tenants from one address": {
			flood(50, func(i int) limits.Turn { return turn(fmt.Sprint("acme", i), "192.0.2.9") }), mine, 1,
		},
		"the same tenant from another address": {flood(50, func(int) limits.Turn { return turn("globex", "192.0.2.9") }), mine, 1},
		"another tenant from the same address": {flood(50, func(int) limits.Turn { return turn("acme", "192.0.2.1") }), mine, 1},
		"one network": {
			flood(50, func(i int) limits.Turn { return turn(fmt.Sprint("acme", i), fmt.Sprintf("2001:db8::%x", i)) }), mine, 1,
		},
		"a login": {
			flood(50, func(i int) limits.Turn { return turn(fmt.Sprint("acme", i), "192.0.2."+strconv.Itoa(50+i)) }),
			login(mine), 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order := served(t, append(slices.Clone(tc.flood), tc.mine))
			require.LessOrEqual(t, slices.Index(order, len(tc.flood)), tc.most, "%v", order)
		})
	}
}

// TestATurnThatDoesNotCome is busy after the wait, and harms no other.
func TestATurnThatDoesNotCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := limits.NewTurns(1, 2*time.Second)
		end, err := turns.Take(t.Context(), limits.Turn{})
		require.NoError(t, err)
		began := time.Now()
		_, err = turns.Take(t.Context(), limits.Turn{})
		require.True(t, models.IsKind(err, models.KindBusy), "%v", err)
		require.Equal(t, 2*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = turns.Take(ctx, limits.Turn{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, turns.Waiting())
		end()
		end, err = turns.Take(t.Context(), limits.Turn{})
		require.NoError(t, err)
		end()
	})
}
