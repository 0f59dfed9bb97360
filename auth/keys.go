package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// A key's id is as long as it takes for two of a handful never to be the same.
const keyIDBytes = 8

var errKeyID = errors.New("kid is none of ours")

// keys are the current key, which signs, and those that have signed before. Each
// is a []byte, boxed once and not at every request.
type keys struct {
	current any
	kid     string // the current one's
	byID    map[string]any
}

func newKeys(current []byte, previous [][]byte) (keys, error) {
	if len(previous) > MaxPreviousSecrets {
		return keys{}, fmt.Errorf("there must be at most %d previous token secrets", MaxPreviousSecrets)
	}
	byID := make(map[string]any, 1+len(previous))
	for _, secret := range append([][]byte{current}, previous...) {
		if len(secret) < MinSecretBytes {
			return keys{}, fmt.Errorf("token secret must have at least %d bytes", MinSecretBytes)
		}
		byID[keyID(secret)] = bytes.Clone(secret)
	}
	kid := keyID(current)
	return keys{current: byID[kid], kid: kid, byID: byID}, nil
}

// find returns the key that a token's header names. The name is looked up and
// nothing else is done with it; a token that names none is the current key's, or
// a forgery.
func (k *keys) find(header map[string]any) (any, error) {
	kid, named := header["kid"]
	if !named {
		return k.current, nil
	}
	name, ok := kid.(string)
	key, found := k.byID[name]
	if !ok || !found {
		return nil, errKeyID
	}
	return key, nil
}

// keyID names a key without saying anything about it.
func keyID(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("kid"))
	return hex.EncodeToString(mac.Sum(nil)[:keyIDBytes])
}
