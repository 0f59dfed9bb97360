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
	// longestTurn bounds how long an address that has missed waits for its turn
	// while others keep the account closed. It waits longestWait at first.
	longestTurn = 4 * time.Hour

	// longestGuessWait bounds how long an attempt waits for others that are under way.
	longestGuessWait = 2 * time.Second
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
// address, and from all. Guesses from many addresses close the account to an address
// that makes none, so each address that is refused for them gets a turn: one attempt
// once it has waited as long as it was told, however often others have tried meanwhile.
// All turns together are few, since after a miss the next one takes long to come.
type guesses struct {
	secret [sha256.Size]byte // makes keys that no caller can choose or read
	own    rule
	all    rule
	turn   rule // of an address that has missed
	byOwn  *table[*attempts]
	byAll  *table[*attempts]
}

// rule says how many misses in a row are free, how long the wait is after the last of
// them, and how long it becomes after further ones.
type rule struct {
	free           int
	first, longest time.Duration
}

func newGuesses(free, freeForAll int) *guesses {
	g := &guesses{
		own:  rule{free, firstWait, longestWait},
		all:  rule{freeForAll, firstWait, longestWaitForAll},
		turn: rule{1, longestWait, longestTurn},
	}
	_, _ = rand.Read(g.secret[:]) // it never fails
	fresh := func() *attempts { return &attempts{} }
	g.byOwn, g.byAll = newTable(fresh), newTable(fresh)
	return g
}

// attempt is one that is under way, and counts as a miss until it has ended.
type attempt struct {
	own, all           key
	ownCount, allCount count
	isKnown            bool      // it counts at the address alone
	turn               time.Time // that the address had; zero for none
}

// closure says why an attempt is refused.
type closure struct {
	wait time.Duration // until the account is open again, if no attempt under way changes that
	// isProven says that enough attempts have ended by a wrong password. The others are
	// under way, and may be right.
	isProven bool
	ended    <-chan struct{} // closed when the next of them ends; nil when none is under way
}

// count holds the time until which the account was closed before and after an attempt.
type count struct{ before, after time.Time }

func (c *closure) err() error {
	message := "Too many wrong passwords, try again later"
	if !c.isProven {
		message = "Too many attempts at once, try again later"
	}
	return refusal(c.wait, models.KindTooManyAttempts, message)
}

// begin counts an attempt. It returns why there were too many, and counts nothing then.
func (g *guesses) begin(who Account, from netip.Addr, now time.Time) (a attempt, refused *closure) {
	a.own, a.all = g.key(who, from), g.key(who, netip.Addr{})
	g.byOwn.with(a.own, now, func(own *attempts) {
		a.isKnown = own.isKnown(now)
		if a.ownCount, refused = own.count(g.own, now, false); refused == nil {
			a.turn, own.turn = own.turn, time.Time{}
		}
	})
	if refused != nil || a.isKnown {
		return a, refused
	}
	hasTurn := !a.turn.IsZero() && !a.turn.After(now)
	g.byAll.with(a.all, now, func(all *attempts) { a.allCount, refused = all.count(g.all, now, hasTurn) })
	if refused != nil {
		g.byOwn.with(a.own, now, func(own *attempts) {
			own.end()
			a.giveBackOwn(own)
			refused.wait = own.waitForTurn(g.turn, now, refused.wait)
		})
	}
	return a, refused
}

// end says how the attempt ended: by a wrong password, by the right one, or by
// something that has nothing to do with either.
func (g *guesses) end(a *attempt, err error, now time.Time) {
	g.byOwn.with(a.own, now, func(own *attempts) {
		own.end()
		switch {
		case models.IsKind(err, models.KindInvalidCredentials):
		case err == nil:
			*own = attempts{known: now, last: now, underWay: own.underWay}
		default:
			a.giveBackOwn(own)
		}
	})
	if a.isKnown && err != nil {
		return
	}
	g.byAll.with(a.all, now, func(all *attempts) {
		if !a.isKnown {
			all.end()
		}
		switch {
		case models.IsKind(err, models.KindInvalidCredentials):
		case err == nil:
			all.wake()
			*all = attempts{last: now, underWay: all.underWay}
		default:
			all.giveBack(a.allCount)
		}
	})
}

// giveBackOwn takes the attempt back at its address, which has its turn again.
func (a *attempt) giveBackOwn(own *attempts) {
	own.giveBack(a.ownCount)
	if !a.turn.IsZero() {
		own.turn = a.turn
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
	turn   time.Time // from when on the address has its turn; zero for none

	underWay int           // of those in misses
	ended    chan struct{} // closed when the next one ends; nil when no attempt waits for it
}

// count counts one more as a miss. Where the account is closed it counts nothing and
// says why, unless the attempt has its turn.
func (a *attempts) count(r rule, now time.Time, hasTurn bool) (c count, refused *closure) {
	if wait := a.closed.Sub(now); wait > 0 && !hasTurn {
		return c, &closure{wait: wait, isProven: a.misses-a.underWay >= r.free, ended: a.nextEnd()}
	}
	a.underWay++
	c.before = a.closed
	if now.Sub(a.last) >= forgetAfter {
		a.misses = 0
	}
	a.misses++
	a.last, a.closed = now, time.Time{}
	if a.misses >= r.free {
		a.closed = now.Add(r.wait(a.misses - r.free))
	}
	c.after = a.closed
	return c, nil
}

// nextEnd returns a channel that is closed when the next attempt under way ends, or nil
// when there is none.
func (a *attempts) nextEnd() <-chan struct{} {
	if a.underWay > 0 && a.ended == nil {
		a.ended = make(chan struct{})
	}
	return a.ended
}

// end notes that an attempt is no longer under way.
func (a *attempts) end() {
	a.underWay = max(0, a.underWay-1) // the table may have forgotten it
	a.wake()
}

// wake lets those try again that wait for an end.
func (a *attempts) wake() {
	if a.ended != nil {
		close(a.ended)
		a.ended = nil
	}
}

// giveBack takes back one that was counted.
func (a *attempts) giveBack(c count) {
	a.misses = max(0, a.misses-1)
	if a.closed.Equal(c.after) {
		a.closed = c.before
	}
}

// waitForTurn returns how long the address waits for its turn. wait is how long the
// account is closed to all, which is too short for an address that has missed there: an
// attacker has many of them.
func (a *attempts) waitForTurn(r rule, now time.Time, wait time.Duration) time.Duration {
	if a.turn.IsZero() {
		if a.misses >= r.free {
			wait = r.wait(a.misses - r.free)
		}
		a.turn = now.Add(wait)
	}
	// It may have come meanwhile, by a concurrent attempt that was given back.
	return max(a.turn.Sub(now), time.Millisecond)
}

// isWaiting reports whether the address has a turn, or had it not long ago.
func (a *attempts) isWaiting(now time.Time) bool {
	return !a.turn.IsZero() && now.Sub(a.turn) < forgetAfter
}

func (a *attempts) isKnown(now time.Time) bool {
	return now.Sub(a.known) < rememberFor
}

func (a *attempts) idle(now time.Time) bool {
	return !a.isKnown(now) && !a.isWaiting(now) && (a.misses+a.underWay == 0 || now.Sub(a.last) >= forgetAfter)
}

// worth: who has missed often is about to be refused. Of those alike, the one
// that has been quiet for longest goes.
func (a *attempts) worth(now time.Time) float64 {
	worth := float64(a.misses) - now.Sub(a.last).Hours()/forgetAfter.Hours()
	if a.isWaiting(now) {
		worth++
	}
	if a.isKnown(now) {
		worth = max(worth, 0) + knownWorth
	}
	return worth
}

// wait returns how long an account is closed after so many misses that were not
// free.
func (r rule) wait(more int) time.Duration {
	wait := r.first
	for range more {
		if wait *= 2; wait >= r.longest {
			return r.longest
		}
	}
	return wait
}
