package archive

import (
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
)

// errRecipient repeats no value: it might be an identity, pasted into the wrong place.
var errRecipient = errors.New("must be an age recipient, which begins with age1")

// ParseRecipient reads a recipient of age.
func ParseRecipient(text string) (age.Recipient, error) {
	if recipient, err := age.ParseX25519Recipient(text); err == nil {
		return recipient, nil
	}
	if recipient, err := age.ParseHybridRecipient(text); err == nil {
		return recipient, nil
	}
	return nil, errRecipient
}

// ReadIdentities reads a file of age identities, as age-keygen writes it.
func ReadIdentities(path string) ([]age.Identity, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	identities, err := age.ParseIdentities(file)
	if err != nil {
		return nil, fmt.Errorf("%s is no file of age identities", path) // the reason could quote one
	}
	return identities, nil
}
