package auth

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// invitationPrefix lets readers, and programs that look for leaked secrets,
// recognise an invitation.
const invitationPrefix = "mti_"

// NewInvitationToken returns 256 random bits, by which a user proves an
// invitation.
func NewInvitationToken() string {
	var secret [secretBytes]byte
	rand.Read(secret[:])
	return invitationPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
}

// HashInvitationToken returns what is kept of an invitation's token, and reports
// whether the text may be one.
func HashInvitationToken(text string) (hash string, ok bool) {
	secret, found := strings.CutPrefix(text, invitationPrefix)
	if !found || len(secret) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return "", false
	}
	return hashOf([]byte(secret)), true
}
