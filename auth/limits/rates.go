package limits

import (
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// siteBits is the part of an IPv6 address that a site has: a site owns all
// addresses that begin like it.
const siteBits = 64

// rates allows each key, such as an address, so many of something at once, and as many
// again in the time per, one after the other.
type rates struct{ bucket *table[bucket] }

// bucket holds what an address may still do.
type bucket struct{ *rate.Limiter }

func newRates(number int, per time.Duration) *rates {
	return &rates{newTable(func() bucket { return bucket{newLimiter(number, per)} })}
}

func newLimiter(number int, per time.Duration) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(number)/per.Seconds()), number)
}

// take counts one more for the key. It returns how long to wait where that is too
// many, and counts nothing then.
func (r *rates) take(k key, now time.Time) (wait time.Duration) {
	r.bucket.with(k, now, func(b bucket) { _, wait = reserve(b.Limiter, now) })
	return wait
}

// takeBoth is take where there is a limit for all addresses together, too. What
// one of the two refuses does not count at the other.
func (r *rates) takeBoth(from netip.Addr, all *rate.Limiter, now time.Time) (wait time.Duration) {
	r.bucket.with(addressKey(from), now, func(b bucket) {
		var own *rate.Reservation
		if own, wait = reserve(b.Limiter, now); wait > 0 {
			return
		}
		if _, wait = reserve(all, now); wait > 0 {
			own.CancelAt(now)
		}
	})
	return wait
}

// look is take that counts nothing.
func (r *rates) look(from netip.Addr, now time.Time) (wait time.Duration) {
	r.bucket.with(addressKey(from), now, func(b bucket) { wait = missing(b.Limiter, now) })
	return wait
}

// reserve takes one from the limiter, or returns how long it is until there is one.
func reserve(l *rate.Limiter, now time.Time) (*rate.Reservation, time.Duration) {
	reservation := l.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return reservation, wait
}

// missing returns how long it is until the limiter has one.
func missing(l *rate.Limiter, now time.Time) time.Duration {
	lacking := 1 - l.TokensAt(now)
	return max(0, time.Duration(lacking/float64(l.Limit())*float64(time.Second)))
}

// idle: a full bucket is like a new one.
func (b bucket) idle(now time.Time) bool {
	return b.TokensAt(now) >= float64(b.Burst())
}

// worth is greater for an emptier bucket, which refuses more requests.
func (b bucket) worth(now time.Time) float64 {
	return -b.TokensAt(now)
}

// site returns the address that counts for all of its site.
func site(from netip.Addr) netip.Addr {
	from = from.Unmap().WithZone("")
	if !from.Is6() {
		return from
	}
	prefix, err := from.Prefix(siteBits)
	if err != nil {
		return from
	}
	return prefix.Addr()
}

// addressKey is the key of an address; where it is none, they all have one.
func addressKey(from netip.Addr) key {
	if !from.IsValid() {
		return key{}
	}
	return site(from).As16()
}

// keyOf is the key of what the parts name together. None of them has a zero byte.
func keyOf(parts ...string) key {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return key(sum[:len(key{})])
}
