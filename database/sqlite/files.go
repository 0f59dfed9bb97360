package sqlite

import (
	"errors"
	"io/fs"
	"os"

	"multitenant/database"
)

// companions are the files SQLite keeps beside a database that is open, or was
// when its process died.
func companions() []string { return []string{"-wal", "-shm", "-journal"} }

// nameLock is the key of the lock for giving a database its name, and for removing
// the leftovers of an earlier database of that name.
func nameLock(path string) string { return "name " + path }

// clearAway removes the companions of a database that was deleted or renamed while
// a connection had it open. SQLite removes them only for an existing database.
func (b *backend) clearAway(path string) {
	if !isGone(path) || !hasCompanions(path) {
		return
	}
	release, ok := b.keys.TryLock(nameLock(path))
	if !ok {
		return // another caller gives the name to a database, and clears away itself
	}
	defer release()
	lock, err := b.tryFile(nameLock(path))
	if err != nil || lock == nil {
		return
	}
	defer removeLock(lock)
	if !isGone(path) {
		return
	}
	if err := removeCompanions(path); err != nil {
		b.log.Warn("clear away what a database has left", "error", err)
	}
}

func isGone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// requireFree fails with ErrExist when there is a file at path. Else it removes the
// companions of an earlier database, which SQLite would apply to the new one.
func requireFree(path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		return database.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeCompanions(path)
}

func removeDatabase(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeCompanions(path)
}

func removeCompanions(path string) error {
	for _, suffix := range companions() {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func hasCompanions(path string) bool {
	for _, suffix := range companions() {
		if _, err := os.Lstat(path + suffix); err == nil {
			return true
		}
	}
	return false
}
