package auth

import (
	"encoding/base64"
	"strings"

	"github.com/google/uuid"
)

// Opaque tokens are a prefix, by which readers and programs that look for leaked
// secrets recognise them, and bytes, of which the first are the tenant's id, or
// zero at the core. Their number is a multiple of three: base64 has one spelling of
// it.
const uuidRawBytes = 16

// encodeOpaque writes raw, whose first bytes are the tenant's.
func encodeOpaque(prefix, tenantID string, raw []byte) (string, error) {
	if tenantID != "" {
		tenant, err := uuid.Parse(tenantID)
		if err != nil {
			return "", errTenantID
		}
		copy(raw, tenant[:])
	}
	return prefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// decodeOpaque reads what encodeOpaque wrote, in that spelling alone. It gives no
// error of the decoder's, which would quote the text.
func decodeOpaque(prefix, text string, size int) (tenantID string, raw []byte, ok bool) {
	encoded, found := strings.CutPrefix(text, prefix)
	if !found || len(encoded) != base64.RawURLEncoding.EncodedLen(size) || strings.ContainsAny(encoded, "\r\n") {
		return "", nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", nil, false
	}
	if tenant := uuid.UUID(raw[:uuidRawBytes]); tenant != uuid.Nil {
		tenantID = tenant.String()
	}
	return tenantID, raw, true
}
