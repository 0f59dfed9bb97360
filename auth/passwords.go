package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"

	"multitenant/auth/limits"
	"multitenant/models"
)

const (
	// MinCost is the least cost a password may be hashed with.
	MinCost = bcrypt.MinCost
	// MaxCost is the greatest cost; a hash that claims more would hold a worker for seconds.
	MaxCost = 15

	// bcrypt reads no further than this.
	maxPasswordBytes = 72

	// $2b$12$ and then salt and digest in bcrypt's own base64.
	hashBytes    = 60
	digestBytes  = 53
	hashAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

	defaultWait = 2 * time.Second
)

var (
	errNobody         = errors.New("there is no such user")
	errPasswordLength = errors.New("password is longer than bcrypt reads")
	errHashMalformed  = errors.New("stored hash is malformed")
	errHashCost       = errors.New("stored hash claims too great a cost")
)

// PasswordOptions configure Passwords.
type PasswordOptions struct {
	// Cost is bcrypt's cost of new hashes, MinCost to MaxCost.
	Cost int
	// Workers is how many passwords may be hashed at once; 0 means one less than
	// GOMAXPROCS, but at least one.
	Workers int
	// Wait is how long a caller waits for its turn; 0 means two seconds.
	Wait time.Duration
	// OnCompare, where it is set, is called before each comparison, so that a test
	// can count them.
	OnCompare func()
}

// Passwords hashes and compares passwords. A flood of them waits for its turns, so
// that it does not take the processors from everything else.
type Passwords struct {
	cost  int
	turns *limits.Turns

	onCompare func()

	// decoys holds, by cost, a hash that no password has.
	decoys map[int][]byte
}

// NewPasswords checks the options and makes Passwords of them.
func NewPasswords(o PasswordOptions) (*Passwords, error) {
	if o.Cost < MinCost || o.Cost > MaxCost {
		return nil, fmt.Errorf("password cost must be between %d and %d", MinCost, MaxCost)
	}
	if o.Workers < 0 || o.Wait < 0 {
		return nil, errors.New("password workers and wait must not be negative")
	}
	if o.Workers == 0 {
		// Hashing does not yield: were all processors at it, every other
		// request would wait for a tenth of a second.
		o.Workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}

	return &Passwords{
		cost:   o.Cost,
		turns:  limits.NewTurns(o.Workers, o.Wait),
		decoys: newDecoys(o.Cost),

		onCompare: o.OnCompare,
	}, nil
}

// newDecoys makes hashes of no password, by cost. Nothing is hashed for them, so that a
// server starts at once: comparing with one does the work that its cost says, and whether
// it could ever match is of no interest.
func newDecoys(cost int) map[int][]byte {
	digest := (rand.Text() + rand.Text() + rand.Text())[:digestBytes] // its letters are bcrypt's, too
	decoys := make(map[int][]byte, cost)
	for c := MinCost; c <= cost; c++ {
		decoys[c] = fmt.Appendf(nil, "$2a$%02d$%s", c, digest)
	}
	return decoys
}

// Hash returns the bcrypt hash of a password of at most 72 bytes; the
// caller has refused longer ones before. It fails with KindBusy
// when its turn does not come in time.
func (p *Passwords) Hash(ctx context.Context, turn limits.Turn, password string) (string, error) {
	if len(password) > maxPasswordBytes {
		return "", fmt.Errorf("hash password: %w", errPasswordLength)
	}
	end, err := p.turns.Take(ctx, turn)
	if err != nil {
		return "", err
	}
	defer end()

	hash, err := bcrypt.GenerateFromPassword([]byte(password), p.cost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// Compare returns nil if the hash is the password's. The hash is "" where there
// is no such user. It fails with KindInvalidCredentials, with one message and
// after the same time whatever the reason, or with KindBusy when its turn does
// not come in time.
func (p *Passwords) Compare(ctx context.Context, turn limits.Turn, hash, password string) error {
	end, err := p.turns.Take(ctx, turn)
	if err != nil {
		return err
	}
	defer end()
	if p.onCompare != nil {
		p.onCompare()
	}

	if err := p.compare([]byte(hash), []byte(password)); err != nil {
		return models.ErrInvalidCredentials.Because(err)
	}
	return nil
}

func (p *Passwords) compare(hash, password []byte) error {
	cost, err := worthComparing(hash, password)
	if err != nil {
		p.spend(p.cost, password)
		return err
	}

	err = bcrypt.CompareHashAndPassword(hash, password)
	// A hash of a lesser cost is made up for, or it would tell that its user
	// exists: each step of cost doubles the work, so 2^cost plus all the steps
	// from there to the live cost is the work of the live cost.
	for c := cost; c < p.cost; c++ {
		p.spend(c, password)
	}
	return err
}

// worthComparing returns the cost of a hash that is worth comparing with the
// password. It looks closer than bcrypt, which would find a bad salt only when
// asked to compare, and answer before any work.
func worthComparing(hash, password []byte) (int, error) {
	if len(hash) == 0 {
		return 0, errNobody
	}
	if len(password) > maxPasswordBytes {
		return 0, errPasswordLength
	}
	if len(hash) != hashBytes || !slices.Contains([]string{"$2a$", "$2b$", "$2y$"}, string(hash[:4])) ||
		len(bytes.Trim(hash[hashBytes-digestBytes:], hashAlphabet)) != 0 {
		return 0, errHashMalformed
	}
	cost, err := bcrypt.Cost(hash)
	if err != nil {
		return 0, err
	}
	if cost > MaxCost {
		return 0, errHashCost
	}
	return cost, nil
}

// spend does the work of one comparison for nothing but its time.
func (p *Passwords) spend(cost int, password []byte) {
	// The error says that the password is not the decoy's, which is the point of it.
	_ = bcrypt.CompareHashAndPassword(p.decoys[cost], password[:min(len(password), maxPasswordBytes)])
}

// Waiting is how many wait for their turn to hash or compare.
func (p *Passwords) Waiting() int { return p.turns.Waiting() }
