package sqlite

import (
	"errors"
	"io/fs"
	"os"

	"multitenant/database"
)

// renameChecked refuses to replace a file. Between the look and the rename
// another process could make it, if it did not hold the lock on the name.
func renameChecked(from, to string) error {
	_, err := os.Lstat(to)
	if err == nil {
		return database.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}
