package limits

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"time"

	"multitenant/models"
)

const (
	// firstWait is how long an account is closed after the last of the guesses
	// that are free. Each further one doubles it.
	firstWait = time.Second
	// longestWait bounds it for the address that the guesses come from.
	longestWait = 15 * time.Minute
	// longestWaitForAll bounds it for all others. It is short, since an
	// attacker could keep out a user who does nothing wrong.
	longestWaitForAll = 30 * time.Second

	// forgetAfter is when misses no longer count. At the longest wait, an
	// attacker gains nothing by waiting so long instead.
	forgetAfter = 24 * time.Hour
	// rememberFor is how long an address is known to be the account's own.
	rememberFor = 30 * 24 * time.Hour
	// knownWorth is what knowing that is worth, in misses.
	knownWorth = 5
)

// Account is an account that a caller names, whether it exists or not. Tenant is empty at
// the core.
type Account struct {
	Tenant models.Slug
	Email  string
}

// guesses bounds how often the password of an account is guessed: from one
// address, and from all.
type guesses struct {
	secret [sha256.Size]byte // makes keys that no caller can choose or read
	own    rule
	all    rule
	byOwn  *table[*attempts]
	byAll  *table[*attempts]
}

// rule says how many misses in a row are free, and how long the wait after
// further ones becomes.
type rule struct {
	free    int
	longest time.Duration
}

func newGuesses(free, freeForAll int) *guesses {
	g := &guesses{own: rule{free, longestWait}, all: rule{freeForAll, longestWaitForAll}}
	_, _ = rand.Read(g.secret[:]) // it never fails
	fresh := func() *attempts { return &attempts{} }
	g.byOwn, g.byAll = newTable(fresh), newTable(fresh)
	return g
}

// attempt is one that is under way, and counts as a miss until it has ended.
type attempt struct {
	own, all             key
	ownClosed, allClosed time.Time // what it closed the account until, if it did
	isKnown              bool      // it counts at the address alone
}

// begin counts an attempt. It returns how long to wait where there were too
// many, and counts nothing then.
func (g *guesses) begin(who Account, from netip.Addr, now time.Time) (a attempt, wait time.Duration) {
	a.own, a.all = g.key(who, from), g.key(who, netip.Addr{})
	g.byOwn.with(a.own, now, func(own *attempts) {
		a.isKnown = own.isKnown(now)
		a.ownClosed, wait = own.count(g.own, now)
	})
	if wait > 0 || a.isKnown {
		return a, wait
	}
	g.byAll.with(a.all, now, func(all *attempts) { a.allClosed, wait = all.count(g.all, now) })
	if wait > 0 {
		g.byOwn.with(a.own, now, func(own *attempts) { own.giveBack(a.ownClosed) })
	}
	return a, wait
}

// end says how the attempt ended: by a wrong password, by the right one, or by
// something that has nothing to do with either.
func (g *guesses) end(a *attempt, err error, now time.Time) {
	switch {
	case models.IsKind(err, models.KindInvalidCredentials):
	case err == nil:
		g.byOwn.with(a.own, now, func(own *attempts) { *own = attempts{known: now} })
		g.byAll.with(a.all, now, func(all *attempts) { *all = attempts{} })
	default:
		g.byOwn.with(a.own, now, func(own *attempts) { own.giveBack(a.ownClosed) })
		if !a.isKnown {
			g.byAll.with(a.all, now, func(all *attempts) { all.giveBack(a.allClosed) })
		}
	}
}

// key of an account seen from an address, or from all where that is none.
// Addresses that are the same to a login are so here.
func (g *guesses) key(who Account, from netip.Addr) key {
	text := append(make([]byte, 0, 256), g.secret[:]...)
	if from.IsValid() {
		address := addressKey(from)
		text = append(text, address[:]...)
	}
	text = append(text, who.Tenant...)
	text = append(text, 0) // no slug has one
	text = append(text, models.CanonicalEmail(models.TrimEmail(who.Email))...)
	sum := sha256.Sum256(text)
	return key(sum[:16])
}

// attempts are those at one account.
type attempts struct {
	misses int // in a row
	last   time.Time
	closed time.Time // until then none is allowed
	known  time.Time // when one last succeeded
}

// count counts one more as a miss, and returns until when it closes the account.
// Where the account is closed it returns how long that will be.
func (a *attempts) count(r rule, now time.Time) (closed time.Time, wait time.Duration) {
	if wait := a.closed.Sub(now); wait > 0 {
		return time.Time{}, wait
	}
	if now.Sub(a.last) >= forgetAfter {
		a.misses = 0
	}
	a.misses++
	a.last, a.closed = now, time.Time{}
	if a.misses >= r.free {
		a.closed = now.Add(r.wait(a.misses - r.free))
	}
	return a.closed, 0
}

// giveBack takes back one that was counted.
func (a *attempts) giveBack(closed time.Time) {
	a.misses = max(0, a.misses-1)
	if a.closed.Equal(closed) {
		a.closed = time.Time{}
	}
}

func (a *attempts) isKnown(now time.Time) bool {
	return now.Sub(a.known) < rememberFor
}

func (a *attempts) idle(now time.Time) bool {
	return !a.isKnown(now) && (a.misses == 0 || now.Sub(a.last) >= forgetAfter)
}

// worth: who has missed often is about to be refused. Of those alike, the one
// that has been quiet for longest goes.
func (a *attempts) worth(now time.Time) float64 {
	worth := float64(a.misses) - now.Sub(a.last).Hours()/forgetAfter.Hours()
	if a.isKnown(now) {
		worth = max(worth, 0) + knownWorth
	}
	return worth
}

// wait returns how long an account is closed after so many misses that were not
// free.
func (r rule) wait(more int) time.Duration {
	wait := firstWait
	for range more {
		if wait *= 2; wait >= r.longest {
			return r.longest
		}
	}
	return wait
}
