package backups

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keyMode lets the owner of the token key alone read it.
const keyMode = 0o600

// keepKey puts the token key where the program looks for it. A key that is there must be
// the same.
func (b *Backups) keepKey(key []byte) error {
	if b.keyFile == "" || len(key) == 0 {
		return nil
	}
	found, err := os.ReadFile(b.keyFile)
	switch {
	case err == nil && bytes.Equal(found, key):
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s is another token key", ErrNotEmpty, b.keyFile)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	part := filepath.Join(filepath.Dir(b.keyFile), ".part-"+filepath.Base(b.keyFile)) // a key is whole or not there
	if err := writeSynced(part, key); err != nil {
		return err
	}
	return os.Rename(part, b.keyFile)
}

func writeSynced(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, keyMode) //nolint:gosec // the path is a setting
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
