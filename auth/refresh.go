package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
)

const (
	refreshPrefix = "mtr_"

	sessionBytes = 8
	familyBytes  = 16
	secretBytes  = sha256.Size

	tenantEnd  = uuidRawBytes
	sessionEnd = tenantEnd + sessionBytes
	familyEnd  = sessionEnd + familyBytes
	secretEnd  = familyEnd + secretBytes
)

var (
	errRefreshForm    = errors.New("refresh token is malformed")
	errRefreshSession = errors.New("refresh token names no session")
)

// RefreshToken gets its bearer another pair of tokens, once. It says where its
// session is kept, proves that it is of that session's family, and holds a secret
// of its own, which the next of the family does not share.
type RefreshToken struct {
	// TenantID is the tenant's immutable id, empty in the core realm.
	TenantID  string
	SessionID int64

	family [familyBytes]byte
	secret [secretBytes]byte
}

// NewRefreshToken returns the first of a family. Its session is yet to be named.
func NewRefreshToken(tenantID string) RefreshToken {
	token := RefreshToken{TenantID: tenantID}
	rand.Read(token.family[:])
	rand.Read(token.secret[:])
	return token
}

// NewSalt returns what makes the next of a family: 256 random bits, and a few more.
func NewSalt() string {
	return rand.Text() + rand.Text()
}

// Next returns the token that follows this one. It is derived from this one's
// secret and a random salt, so that a caller who holds this one and repeats a request
// can be given the same answer, although only hashes of the two are kept.
func (t *RefreshToken) Next(salt string) RefreshToken {
	mac := hmac.New(sha256.New, t.secret[:])
	mac.Write([]byte(salt))
	next := *t
	mac.Sum(next.secret[:0])
	return next
}

// FamilyHash is what is kept of what all tokens of a family have in common.
func (t *RefreshToken) FamilyHash() string {
	return hashOf(t.family[:])
}

// SecretHash is what is kept of the token's own secret.
func (t *RefreshToken) SecretHash() string {
	return hashOf(t.secret[:])
}

// hashOf needs no salt and no cost: what is hashed is random.
func hashOf(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// Encode returns the token as it is sent.
func (t *RefreshToken) Encode() (string, error) {
	var raw [secretEnd]byte
	if t.SessionID < 1 {
		return "", errRefreshSession
	}
	binary.BigEndian.PutUint64(raw[tenantEnd:sessionEnd], uint64(t.SessionID))
	copy(raw[sessionEnd:familyEnd], t.family[:])
	copy(raw[familyEnd:], t.secret[:])
	return encodeOpaque(refreshPrefix, t.TenantID, raw[:])
}

// ParseRefreshToken reads what Encode wrote, in that spelling alone; any other
// text is KindInvalidToken. What it says is to be believed only once its hashes
// are found to be those that are kept.
func ParseRefreshToken(text string) (RefreshToken, error) {
	tenantID, raw, ok := decodeOpaque(refreshPrefix, text, secretEnd)
	if !ok {
		return RefreshToken{}, invalidToken(errRefreshForm)
	}
	session := binary.BigEndian.Uint64(raw[tenantEnd:sessionEnd])
	if session < 1 || session > math.MaxInt64 {
		return RefreshToken{}, invalidToken(errRefreshSession)
	}
	token := RefreshToken{TenantID: tenantID, SessionID: int64(session)}
	copy(token.family[:], raw[sessionEnd:familyEnd])
	copy(token.secret[:], raw[familyEnd:])
	return token, nil
}
