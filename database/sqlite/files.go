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

// nameLock is the key of the lock under which a database gets a name, and under
// which what another of that name has left behind is cleared away.
func nameLock(path string) string { return "name " + path }

// clearAway removes what a connection left behind whose database was deleted or
// renamed under it: SQLite removes that only for a database that is still there.
func (b *backend) clearAway(path string) {
	if !isGone(path) || !hasCompanions(path) {
		return
	}
	release, ok := b.keys.TryLock(nameLock(path))
	if !ok {
		return // another database gets the name, and whoever gives it clears away
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

// requireFree fails with ErrExist when there is something at path, and clears
// away what a database of that name may have left beside it: SQLite would take
// it for the new one's.
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
