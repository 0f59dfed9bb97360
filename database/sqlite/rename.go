package sqlite

import (
	"errors"
	"io/fs"
	"os"

	"multitenant/database"
)

// renameChecked refuses to replace a file. The lock on the name keeps other
// processes from making it between the check and the rename.
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
