package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/google/uuid"

	"multitenant/models"
)

const (
	// resetPrefix is another than a refresh token's, and so is the length: neither
	// can be read as the other.
	resetPrefix = "mtpw_"

	resetEnd = uuidRawBytes + secretBytes // a multiple of three: base64 has one spelling of it
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
	if t.TenantID != "" {
		tenant, err := uuid.Parse(t.TenantID)
		if err != nil {
			return "", errTenantID
		}
		copy(raw[:uuidRawBytes], tenant[:])
	}
	copy(raw[uuidRawBytes:], t.secret[:])
	return resetPrefix + base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// ParseResetToken reads what Encode wrote, in that spelling alone; any other text
// is KindInvalidResetToken.
func ParseResetToken(text string) (ResetToken, error) {
	encoded, found := strings.CutPrefix(text, resetPrefix)
	if !found || len(encoded) != base64.RawURLEncoding.EncodedLen(resetEnd) || strings.ContainsAny(encoded, "\r\n") {
		return ResetToken{}, models.ErrInvalidResetToken().Because(errResetForm)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return ResetToken{}, models.ErrInvalidResetToken().Because(errResetForm) // the decoder's own would quote it
	}
	var token ResetToken
	if tenant := uuid.UUID(raw[:uuidRawBytes]); tenant != uuid.Nil {
		token.TenantID = tenant.String()
	}
	copy(token.secret[:], raw[uuidRawBytes:])
	return token, nil
}
