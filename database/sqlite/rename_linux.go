package sqlite

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"multitenant/database"
)

// renameNoReplace fails with ErrExist when there is a file at to. Check and rename
// are one system call.
func renameNoReplace(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, fs.ErrExist):
		return database.ErrExist
	case errors.Is(err, fs.ErrNotExist):
		return database.ErrNotExist
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return renameChecked(from, to) // the file system does not know how
	}
	return err
}
