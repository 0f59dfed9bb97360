// Package auth signs and checks tokens, and hashes and checks passwords.
package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"multitenant/models"
)

const (
	// MinSecretBytes is the least length of a key that signs tokens.
	MinSecretBytes = 32

	// Issuer and audience are the service itself: it reads no other service's tokens.
	// The issuer also names the installation.
	issuer   = "multitenant"
	audience = "multitenant"

	// A token of ours has about 400 bytes; whatever is far longer is not worth decoding.
	maxTokenBytes = 4096

	// MaxPreviousSecrets bounds how many keys that sign no longer are still good.
	MaxPreviousSecrets = 8

	// Clocks of two servers differ by a little.
	leeway = 10 * time.Second
)

// TokenOptions configure Tokens.
type TokenOptions struct {
	// Secret signs every token, as the raw bytes that were set.
	Secret []byte
	// PreviousSecrets sign nothing, but what they have signed is good: with them a
	// key is changed without a token being refused for it.
	PreviousSecrets [][]byte
	// Installation is the random id of the core database. Another installation with
	// the same key refuses the tokens. Empty names none.
	Installation string
	// Algorithm is one of Algorithms.
	Algorithm string
	// Lifetime is how long a token is good for.
	Lifetime time.Duration
	// RefreshLifetime is how long a refresh token is, at least as long as Lifetime.
	RefreshLifetime time.Duration
	// SessionLifetime is how long a session is, however often it is refreshed; at
	// least as long as RefreshLifetime.
	SessionLifetime time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Tokens signs and checks tokens of one algorithm.
type Tokens struct {
	method   jwt.SigningMethod
	issuer   string
	keys     keys
	parser   *jwt.Parser
	lifetime time.Duration
	refresh  time.Duration
	session  time.Duration
	now      func() time.Time
	verified verified
}

// Algorithms lists the algorithms tokens may be signed with.
func Algorithms() []string {
	return []string{"HS256", "HS384", "HS512"}
}

// NewTokens checks the options and makes Tokens of them.
func NewTokens(o TokenOptions) (*Tokens, error) {
	if !slices.Contains(Algorithms(), o.Algorithm) {
		return nil, fmt.Errorf("token algorithm must be one of %v", Algorithms())
	}
	keys, err := newKeys(o.Secret, o.PreviousSecrets)
	if err != nil {
		return nil, err
	}
	if o.Lifetime < time.Second {
		return nil, errors.New("token lifetime must be at least a second")
	}
	if o.Now == nil {
		o.Now = time.Now
	}

	issuedBy := issuer
	if o.Installation != "" {
		issuedBy += "/" + o.Installation
	}
	refresh := max(o.RefreshLifetime, o.Lifetime) // a session outlives its tokens
	return &Tokens{
		method: jwt.GetSigningMethod(o.Algorithm),
		issuer: issuedBy,
		keys:   keys,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{o.Algorithm}),
			jwt.WithStrictDecoding(),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithIssuer(issuedBy),
			jwt.WithAudience(audience),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(o.Now),
		),
		lifetime: o.Lifetime,
		refresh:  refresh,
		session:  max(o.SessionLifetime, refresh),
		now:      o.Now,
	}, nil
}

// Lifetime returns how long a new token is good for.
func (t *Tokens) Lifetime() time.Duration {
	return t.lifetime
}

// RefreshLifetime returns how long a new refresh token is good for.
func (t *Tokens) RefreshLifetime() time.Duration {
	return t.refresh
}

// SessionLifetime returns how long after the login a session ends, however often
// it is refreshed.
func (t *Tokens) SessionLifetime() time.Duration {
	return t.session
}

// Now returns the time by the clock that tokens are issued and checked by, as
// precisely as both engines keep it.
func (t *Tokens) Now() time.Time {
	return t.now().UTC().Truncate(time.Microsecond)
}

// Sign returns a token for the claims. It sets what a caller has no say in: the
// token's id, when it was issued, by whom and for whom, and when it expires, which
// is never after c.ExpiresAt where that is set.
func (t *Tokens) Sign(c Claims) (token string, err error) {
	c.ID = rand.Text()
	c.IssuedAt = t.now()
	if end := c.IssuedAt.Add(t.lifetime); c.ExpiresAt.IsZero() || c.ExpiresAt.After(end) {
		c.ExpiresAt = end
	}

	wire := newWireClaims(c, t.issuer)
	if err := wire.Validate(); err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}

	unsigned := jwt.NewWithClaims(t.method, wire)
	unsigned.Header["kid"] = t.keys.kid
	token, err = unsigned.SignedString(t.keys.current)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// Parse checks a token in full and returns its claims. Every refusal is a
// models.Error of KindInvalidToken with one and the same message; its cause, for
// the log, holds nothing of the token.
func (t *Tokens) Parse(token string) (Claims, error) {
	if claims, found := t.verified.find(token, t.now()); found {
		return claims, nil
	}
	if len(token) > maxTokenBytes {
		return Claims{}, invalidToken(errTokenTooLong)
	}
	// Even the strict decoder skips these, and a token must have one spelling.
	if strings.ContainsAny(token, "\r\n") {
		return Claims{}, invalidToken(errTokenLines)
	}

	var wire wireClaims
	if _, err := t.parser.ParseWithClaims(token, &wire, t.keyFor); err != nil {
		return Claims{}, invalidToken(err)
	}
	claims := wire.claims()
	t.verified.add(token, claims)
	return claims, nil
}

// keyFor is asked by the parser for the key once the algorithm is known to be ours.
func (t *Tokens) keyFor(token *jwt.Token) (any, error) {
	// "crit" names extensions that must be understood; we understand none.
	if _, found := token.Header["crit"]; found {
		return nil, errCriticalHeader
	}
	return t.keys.find(token.Header)
}

func invalidToken(cause error) error {
	return models.ErrInvalidToken.Because(cause)
}
