package limits_test

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/models"
)

var (
	ada      = limits.Account{Tenant: "acme", Email: "ada@example.com"}
	errWrong = models.ErrInvalidCredentials
)

func wrong() error { return errWrong }
func right() error { return nil }

// address is one of many.
func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func miss(t *testing.T, l *limits.Limits, from netip.Addr, times int) {
	t.Helper()
	for range times {
		require.ErrorIs(t, l.Guess(ada, from, wrong), errWrong)
	}
}

func TestTheWaitDoubles(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	miss(t, l, here, 10)
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900} {
		wait := time.Duration(seconds) * time.Second
		requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, wait)
		c.move(wait - time.Millisecond)
		requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, time.Millisecond)
		c.move(time.Millisecond)
		miss(t, l, here, 1)
	}
	c.move(15 * time.Minute)
	require.NoError(t, l.Guess(ada, here, right), "never for good")
	miss(t, l, here, 10) // all is forgiven
	requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, time.Second)
}

func TestMissesAreForgotten(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	miss(t, l, here, 9)
	c.move(24*time.Hour - time.Second)
	miss(t, l, here, 1)
	requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, time.Second)
	c.move(24 * time.Hour)
	miss(t, l, here, 10)
}

func TestWhatCountsTogether(t *testing.T) {
	t.Parallel()
	l, _ := setup(t)
	miss(t, l, here, 10)
	for _, same := range []limits.Account{ada, {Tenant: "acme", Email: " ADA@Example.com\t"}} {
		require.Error(t, l.Guess(same, here, right))
	}
	for _, other := range []limits.Account{
		{Email: "ada@example.com"},
		{Tenant: "globex", Email: "ada@example.com"},
		{Tenant: "acme", Email: "grace@example.com"},
		{Tenant: "acm", Email: "eada@example.com"},
	} {
		require.NoError(t, l.Guess(other, here, right))
	}
	require.NoError(t, l.Guess(ada, address(1), right))
}

// TestWhatIsNoMissIsGivenBack: neither what the service could not answer nor
// what was refused brings anybody nearer to a wait.
func TestWhatIsNoMissIsGivenBack(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	miss(t, l, here, 9)
	busy := errors.New("busy")
	for range 300 {
		require.ErrorIs(t, l.Guess(ada, here, func() error { return busy }), busy)
	}
	miss(t, l, here, 1)
	for range 300 {
		require.Error(t, l.Guess(ada, here, right))
	}
	c.move(time.Second)
	for range 300 { // nor does it open what is closed
		require.ErrorIs(t, l.Guess(ada, here, func() error { return busy }), busy)
	}
	miss(t, l, here, 1)
	requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, 2*time.Second)
	for i := range 88 {
		miss(t, l, address(i), 1)
	}
	require.NoError(t, l.Guess(ada, address(1000), right), "99 from everywhere, since the rest was given back")
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		from    func(i int) netip.Addr
		allowed int
	}{
		"from one address":    {func(int) netip.Addr { return here }, 10},
		"from many addresses": {address, 100},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := setup(t)
			var compared, arrived atomic.Int64
			var all sync.WaitGroup
			complete := make(chan struct{})
			arrive := func() {
				if arrived.Add(1) == 200 {
					close(complete)
				}
			}
			for i := range 200 {
				all.Go(func() {
					err := l.Guess(ada, tc.from(i), func() error {
						compared.Add(1)
						arrive()
						<-complete // no verdict before all have come
						return errWrong
					})
					if models.IsKind(err, models.KindTooManyAttempts) {
						arrive()
					}
				})
			}
			all.Wait()
			require.EqualValues(t, tc.allowed, compared.Load())
		})
	}
}

// TestNobodyIsLockedOut: guesses from everywhere close an account to newcomers
// for seconds, and never to an address that its user has come from.
func TestNobodyIsLockedOut(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	home := netip.MustParseAddr("198.51.100.7")
	require.NoError(t, l.Guess(ada, home, right))
	for i := range 100 {
		miss(t, l, address(i), 1)
	}
	for i, seconds := range []int{1, 2, 4, 8, 16, 30, 30, 30} {
		wait, newcomer := time.Duration(seconds)*time.Second, address(2000+i)
		requireWait(t, l.Guess(ada, newcomer, right), models.KindTooManyAttempts, wait)
		miss(t, l, home, 1)
		requireWait(t, l.Guess(ada, newcomer, right), models.KindTooManyAttempts, wait)
		c.move(wait)
		miss(t, l, address(1000+i), 1)
	}
	miss(t, l, home, 2)
	requireWait(t, l.Guess(ada, home, right), models.KindTooManyAttempts, time.Second) // for what was missed there
	c.move(time.Second)
	require.NoError(t, l.Guess(ada, home, right))
	miss(t, l, here, 1)
	require.NoError(t, l.Guess(ada, here, right))
}

// waitOf returns how long the caller is told to wait.
func waitOf(t *testing.T, err error) time.Duration {
	t.Helper()
	var known *models.Error
	require.ErrorAs(t, err, &known)
	require.Equal(t, models.KindTooManyAttempts, known.Kind)
	return known.RetryAfter
}

// attack has many addresses guess each second for that time, and returns how many
// guesses were compared.
func attack(l *limits.Limits, c *clock, lasts time.Duration) (compared int) {
	for end := c.now.Add(lasts); ; c.move(time.Second) {
		for i := range 60 {
			_ = l.Guess(ada, address(i), func() error { compared++; return errWrong })
		}
		if !c.now.Before(end) {
			return compared
		}
	}
}

// TestEachAddressHasItsTurn, while others guess as often as they can: when it has waited
// as long as it was told, it has one attempt. What they guess in all is bounded.
func TestEachAddressHasItsTurn(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	require.Equal(t, 100, attack(l, c, time.Second))
	attack(l, c, 5*time.Minute)
	wait := waitOf(t, l.Guess(ada, here, right))
	require.LessOrEqual(t, wait, 30*time.Second)
	attack(l, c, wait-time.Second)
	require.LessOrEqual(t, waitOf(t, l.Guess(ada, here, right)), time.Second, "asking early changes nothing")
	c.move(time.Second)
	busy := errors.New("busy")
	require.ErrorIs(t, l.Guess(ada, here, func() error { return busy }), busy, "it does not use the turn up")
	attack(l, c, 0)
	miss(t, l, here, 1)

	requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, 15*time.Minute)
	attack(l, c, 15*time.Minute)
	require.NoError(t, l.Guess(ada, here, right), "later for one that missed")

	compared := attack(l, c, time.Hour)
	require.Greater(t, compared, 100, "all is forgiven first")
	require.Less(t, compared, 100+2*60+3*60)
}

// TestManyTurnsAtOnce: however many attempts come at once, an address has one.
func TestManyTurnsAtOnce(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	attack(l, c, time.Minute)
	attack(l, c, waitOf(t, l.Guess(ada, here, wrong)))
	var compared atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_ = l.Guess(ada, here, func() error { compared.Add(1); return errWrong })
		})
	}
	all.Wait()
	require.EqualValues(t, 1, compared.Load())
}

// TestMemoryIsBounded: a million keys take no more memory than there is for them, and push out nobody who is being refused.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	home := netip.MustParseAddr("198.51.100.7")
	require.NoError(t, l.Guess(ada, home, right))
	miss(t, l, here, 10)
	for range 20 {
		require.NoError(t, l.Login(here))
	}
	before := heap()
	const strangers = 340_000 // each is three keys: an address, an account, and both
	for i := range strangers {
		from := address(i)
		require.NoError(t, l.Login(from))
		stranger := limits.Account{Tenant: "acme", Email: fmt.Sprintf("user%d@example.com", i)}
		if err := l.Guess(stranger, from, wrong); !errors.Is(err, errWrong) {
			require.NoError(t, err)
		}
	}
	grown := heap() - before
	t.Logf("%d entries, %.1f MB", l.Size(), grown/1e6)
	require.LessOrEqual(t, l.Size(), 3*limits.MaxEntries)
	require.Greater(t, l.Size(), 2*limits.MaxEntries)
	require.Less(t, grown, 64e6)
	require.Error(t, l.Login(here), "hot keys stay")
	requireWait(t, l.Guess(ada, here, right), models.KindTooManyAttempts, time.Second)
	miss(t, l, netip.MustParseAddr("203.0.113.1"), 10)
	for i := range 80 {
		miss(t, l, address(strangers+i), 1)
	}
	require.Error(t, l.Guess(ada, here, right))
	require.NoError(t, l.Guess(ada, home, right), "and so does who has logged in")

	c.move(31 * 24 * time.Hour)
	for i := range 10_000 { // comes by all shards
		require.NoError(t, l.Login(address(i)))
		require.NoError(t, l.Registration(address(i)))
		stranger := limits.Account{Email: fmt.Sprintf("user%d@example.com", i)}
		require.ErrorIs(t, l.Guess(stranger, address(i), wrong), errWrong)
	}
	require.LessOrEqual(t, l.Size(), 40_000, "what is idle is removed")
}

func heap() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
