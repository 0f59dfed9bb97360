package config

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"multitenant/auth"
)

// A key that is made has as many random bytes as the longest algorithm uses.
const newSecretBytes = 64

// A key with fewer different bytes is a placeholder or a word repeated.
const minDifferentBytes = 8

// checkSecret finds what is wrong with the key of the tokens and changes nothing.
// Where the URL was wrong, and so is "", a missing key may be none.
func (s *settings) checkSecret(databaseURL string) error {
	if s.JWTSecretKey == "" && databaseURL == "" {
		return nil
	}
	_, err := s.findSecret(databaseURL)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// secret returns the key of the tokens and makes it if there is none yet.
func (s *settings) secret(databaseURL string) ([]byte, error) {
	secret, err := s.findSecret(databaseURL)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}

	path := secretPath(databaseURL)
	if err := makeSecret(path); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	// Read back, because another process may have been faster.
	return readSecret(path)
}

// findSecret returns the key that is set or was made; fs.ErrNotExist says that
// it is to be made.
func (s *settings) findSecret(databaseURL string) ([]byte, error) {
	switch {
	case s.JWTSecretKey != "":
		return strongEnough([]byte(s.JWTSecretKey))
	case strings.HasPrefix(databaseURL, sqliteScheme):
		return readSecret(secretPath(databaseURL))
	default:
		return nil, fmt.Errorf("is required on PostgreSQL, with at least %d bytes", auth.MinSecretBytes)
	}
}

// previousSecrets are the keys that sign no longer.
func (s *settings) previousSecrets() [][]byte {
	if len(s.JWTPreviousKeys) == 0 {
		return nil
	}
	secrets := make([][]byte, 0, len(s.JWTPreviousKeys))
	for _, key := range s.JWTPreviousKeys {
		secrets = append(secrets, []byte(key))
	}
	return secrets
}

// checkPreviousSecrets tells none of them, and names the one that is too short by
// its place.
func (s *settings) checkPreviousSecrets() error {
	if len(s.JWTPreviousKeys) > auth.MaxPreviousSecrets {
		return fmt.Errorf("must be at most %d keys", auth.MaxPreviousSecrets)
	}
	return checkEach(s.JWTPreviousKeys, func(key string) error {
		_, err := strongEnough([]byte(key))
		return err
	})
}

// strongEnough refuses a key that is short, or so uniform that it was never random: of
// keys of 32 random hexadecimal digits, one in 28 million is refused.
func strongEnough(secret []byte) ([]byte, error) {
	if len(secret) < auth.MinSecretBytes {
		return nil, fmt.Errorf("must have at least %d bytes", auth.MinSecretBytes)
	}
	different := map[byte]bool{}
	for _, b := range secret {
		different[b] = true
	}
	if len(different) < minDifferentBytes {
		return nil, fmt.Errorf("must have at least %d different bytes", minDifferentBytes)
	}
	return secret, nil
}

// secretPath bears the core database's name, since two installations may share a
// folder and must not take each other's tokens.
func secretPath(databaseURL string) string {
	return strings.TrimPrefix(databaseURL, sqliteScheme) + ".jwt_secret"
}

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	// Windows has no such modes and reports every file as readable by all.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: make it private (chmod 600), or remove it for a new key", path)
	}

	text, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, err
	}
	secret, err := strongEnough(bytes.TrimRight(text, "\r\n"))
	if err != nil {
		return nil, fmt.Errorf("%s %w: remove it for a new key", path, err)
	}
	return secret, nil
}

// makeSecret writes a new key. A link appears whole or not at all and never
// replaces a file, so of two processes that start at once one makes the key and
// neither reads half of it.
func makeSecret(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(folder, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	// A leftover would do no harm: no key was ever read from it.
	defer func() { _ = os.Remove(temporary.Name()) }()

	if err := writeSecret(temporary); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func writeSecret(file *os.File) error {
	random := make([]byte, newSecretBytes)
	rand.Read(random)

	_, err := file.WriteString(base64.RawURLEncoding.EncodeToString(random) + "\n")
	return errors.Join(err, file.Sync(), file.Close())
}
