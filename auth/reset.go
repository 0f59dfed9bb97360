package auth

import (
	"crypto/rand"
	"errors"

	"multitenant/models"
)

const (
	// resetPrefix is another than a refresh token's, and so is the length: neither
	// can be read as the other.
	resetPrefix = "mtpw_"

	resetEnd = uuidRawBytes + secretBytes
)

var errResetForm = errors.New("password reset token is malformed")

// ResetToken lets its bearer choose a new password, once. It says where its user
// is; who that is, only the database knows.
type ResetToken struct {
	// TenantID is the tenant's immutable id, empty in the core realm.
	TenantID string

	secret [secretBytes]byte
}

// NewResetToken returns a token of 256 random bits.
func NewResetToken(tenantID string) ResetToken {
	token := ResetToken{TenantID: tenantID}
	rand.Read(token.secret[:])
	return token
}

// Hash is what is kept of the token.
func (t *ResetToken) Hash() string {
	return hashOf(t.secret[:])
}

// Encode returns the token as it is handed over.
func (t *ResetToken) Encode() (string, error) {
	var raw [resetEnd]byte
	copy(raw[uuidRawBytes:], t.secret[:])
	return encodeOpaque(resetPrefix, t.TenantID, raw[:])
}

// ParseResetToken reads what Encode wrote, in that spelling alone; any other text
// is KindInvalidResetToken.
func ParseResetToken(text string) (ResetToken, error) {
	tenantID, raw, ok := decodeOpaque(resetPrefix, text, resetEnd)
	if !ok {
		return ResetToken{}, models.ErrInvalidResetToken.Because(errResetForm)
	}
	token := ResetToken{TenantID: tenantID}
	copy(token.secret[:], raw[uuidRawBytes:])
	return token, nil
}
