// Package limits keeps callers from doing too often what costs the service or
// others much: guessing passwords, registering, making tenants. What it
// remembers is of this process, bounded in memory, and gone with it.
package limits

import (
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"multitenant/models"
)

// Options are the limits, all of them greater than zero.
type Options struct {
	LoginsPerMinute      int // from one address
	RegistrationsPerHour int // from one address
	TenantsPerHour       int // made from one address, by registrations and as organizations; and as many backups, and exports
	AllTenantsPerHour    int // made from all; and as many backups, and exports
	Organizations        int // of one core user
	PasswordsPerMinute   int // set by the signed-in users of one tenant, or by one core user
	WritesPerMinute      int // of one signed-in user
	AllWritesPerMinute   int // of all signed-in users of one tenant
	Guesses              int // wrong passwords in a row at one account, from one address
	AllGuesses           int // wrong passwords in a row at one account, from all

	Now func() time.Time // nil means time.Now
}

// Limits counts what is done. A nil one lets everything pass. It is safe for use
// by several goroutines.
type Limits struct {
	organizations int
	logins        *rates
	registrations *rates
	tenants       *rates
	allTenants    *rate.Limiter
	backups       *rates
	allBackups    *rate.Limiter
	exports       *rates
	allExports    *rate.Limiter
	passwords     *rates
	writes        *rates
	allWrites     *rates
	guesses       *guesses
	now           func() time.Time
}

// New returns limits that no caller has come near yet. Without options there are none.
func New(o *Options) *Limits {
	if o == nil {
		return nil
	}
	l := &Limits{
		organizations: o.Organizations,
		logins:        newRates(o.LoginsPerMinute, time.Minute),
		registrations: newRates(o.RegistrationsPerHour, time.Hour),
		tenants:       newRates(o.TenantsPerHour, time.Hour),
		allTenants:    newLimiter(o.AllTenantsPerHour, time.Hour),
		backups:       newRates(o.TenantsPerHour, time.Hour),
		allBackups:    newLimiter(o.AllTenantsPerHour, time.Hour),
		exports:       newRates(o.TenantsPerHour, time.Hour),
		allExports:    newLimiter(o.AllTenantsPerHour, time.Hour),
		passwords:     newRates(o.PasswordsPerMinute, time.Minute),
		writes:        newRates(o.WritesPerMinute, time.Minute),
		allWrites:     newRates(o.AllWritesPerMinute, time.Minute),
		guesses:       newGuesses(o.Guesses, o.AllGuesses),
		now:           o.Now,
	}
	if l.now == nil {
		l.now = time.Now
	}
	return l
}

// Login counts a login from the address; KindTooManyLogins where it is too many.
func (l *Limits) Login(from netip.Addr) error {
	if l == nil {
		return nil
	}
	return refusal(l.logins.take(addressKey(from), l.now()), models.KindTooManyLogins, "Too many logins, try again later")
}

// Registration counts a registration from the address;
// KindTooManyRegistrations where it is too many.
func (l *Limits) Registration(from netip.Addr) error {
	if l == nil {
		return nil
	}
	return refusal(l.registrations.take(addressKey(from), l.now()),
		models.KindTooManyRegistrations, "Too many registrations, try again later")
}

// CheckTenant is Tenant before the work that comes first is done: it counts nothing.
func (l *Limits) CheckTenant(from netip.Addr) error {
	if l == nil {
		return nil
	}
	now := l.now()
	return tooManyTenants(max(l.tenants.look(from, now), missing(l.allTenants, now)))
}

// Tenant counts a tenant that a registration or an organization from the address
// makes; KindTooManyTenants where it is too many, from there or from everywhere. Its
// deletion gives nothing back.
func (l *Limits) Tenant(from netip.Addr) error {
	if l == nil {
		return nil
	}
	return tooManyTenants(l.tenants.takeBoth(from, l.allTenants, l.now()))
}

func tooManyTenants(wait time.Duration) error {
	return refusal(wait, models.KindTooManyTenants, "Too many new tenants, try again later")
}

// Backup counts a backup that an owner asks for from the address; KindTooManyBackups where
// it is too many, from there or from everywhere.
func (l *Limits) Backup(from netip.Addr) error {
	if l == nil {
		return nil
	}
	return refusal(l.backups.takeBoth(from, l.allBackups, l.now()), models.KindTooManyBackups, "Too many backups, try again later")
}

// Export counts an export that an owner asks for from the address; KindTooManyExports where
// it is too many, from there or from everywhere.
func (l *Limits) Export(from netip.Addr) error {
	if l == nil {
		return nil
	}
	return refusal(l.exports.takeBoth(from, l.allExports, l.now()), models.KindTooManyExports, "Too many exports, try again later")
}

// NewPassword counts a password that a signed-in user sets, or the bearer of a token
// for that: together those of one tenant, at the core those of one user. It fails with
// KindTooManyRequests where it is too many.
func (l *Limits) NewPassword(of Account) error {
	if l == nil {
		return nil
	}
	if of.Tenant != "" {
		of.Email = ""
	}
	return tooManyRequests(l.passwords.take(keyOf(string(of.Tenant), models.CanonicalEmail(of.Email)), l.now()))
}

// Write counts a request of a signed-in user that changes something, where tenantID is
// empty at the core. It fails with KindTooManyRequests where it is too many, of the user
// or of all users of the tenant.
func (l *Limits) Write(tenantID string, userID int64) error {
	if l == nil {
		return nil
	}
	now := l.now()
	err := tooManyRequests(l.writes.take(keyOf(tenantID, strconv.FormatInt(userID, 10)), now))
	if err == nil && tenantID != "" {
		err = tooManyRequests(l.allWrites.take(keyOf(tenantID), now))
	}
	return err
}

func tooManyRequests(wait time.Duration) error {
	return refusal(wait, models.KindTooManyRequests, "Too many requests, try again later")
}

// Organizations is how many one core user may own; 0 means any number.
func (l *Limits) Organizations() int {
	if l == nil {
		return 0
	}
	return l.organizations
}

// Guess runs compare, which compares the password that a caller at the address
// sends for the account. It is counted as a miss before, so that however many
// come at once no more than may are compared; and no longer where compare
// returns anything but KindInvalidCredentials. Where there were too many it is
// KindTooManyAttempts, whether there is such an account or not.
//
// Those under way may be right, as when several devices of a user log in at once. So an
// attempt that is too many waits for them, but not for long.
func (l *Limits) Guess(who Account, from netip.Addr, compare func() error) error {
	if l == nil {
		return compare()
	}
	attempt, refused := l.beginGuess(who, from)
	if refused != nil {
		return refused.err()
	}
	err := compare()
	l.guesses.end(&attempt, err, l.now())
	return err
}

// beginGuess waits while an attempt under way may still make room for this one.
func (l *Limits) beginGuess(who Account, from netip.Addr) (attempt, *closure) {
	counted, refused := l.guesses.begin(who, from, l.now())
	timer := time.NewTimer(longestGuessWait)
	defer timer.Stop()
	for refused != nil && refused.ended != nil {
		select {
		case <-refused.ended:
			counted, refused = l.guesses.begin(who, from, l.now())
		case <-timer.C:
			return counted, refused
		}
	}
	return counted, refused
}

// refusal is nil where there is nothing to wait for.
func refusal(wait time.Duration, kind models.Kind, message string) error {
	if wait <= 0 {
		return nil
	}
	return &models.Error{Kind: kind, Message: message, RetryAfter: wait}
}
