package auth

import (
	"strings"
	"sync"
	"time"
)

// maxVerified bounds the tokens of one generation: two of them take about 5 MB.
const maxVerified = 4096

// verified remembers tokens that were found good, so that a client which sends
// the same one with every request has it checked in full only once. After that
// time alone can end it; its user is looked up at each request. It
// keeps two generations, and forgets the older when the younger is full.
type verified struct {
	mu           sync.RWMutex // guards young and older
	young, older map[string]Claims
}

// find returns the claims of a token that was found good and has not expired. A token
// that is yet to be issued, since the clock was set back, is checked in full again.
func (v *verified) find(token string, now time.Time) (Claims, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	claims, found := v.young[token]
	if !found {
		claims, found = v.older[token]
	}
	return claims, found && now.Before(claims.ExpiresAt) && !claims.IssuedAt.After(now)
}

// add remembers a token that was just checked in full.
func (v *verified) add(token string, claims Claims) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.young == nil || len(v.young) >= maxVerified {
		v.young, v.older = make(map[string]Claims), v.young
	}
	v.young[strings.Clone(token)] = claims // a header's text keeps all of the header alive
}
