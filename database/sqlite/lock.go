package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"multitenant/database"
)

const (
	// lockFolder is where lock files live. A dot keeps it clear of databases.
	lockFolder = ".locks"
	// lockRetry is the time between two attempts to take a lock.
	lockRetry = 10 * time.Millisecond
)

// Lock waits for key, first in this process, then for its file.
func (b *backend) Lock(ctx context.Context, key string) (database.Session, error) {
	unlock, err := b.lockFile(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", key, err)
	}
	return &session{backend: b, release: unlock}, nil
}

// TryLock takes key if it is free.
func (b *backend) TryLock(_ context.Context, key string) (database.Session, bool, error) {
	release, ok := b.keys.TryLock(key)
	if !ok {
		return nil, false, nil
	}
	lock, err := b.tryFile(key)
	if err != nil || lock == nil {
		release()
	}
	if err != nil {
		return nil, false, fmt.Errorf("lock %s: %w", key, err)
	}
	if lock == nil {
		return nil, false, nil
	}
	return &session{backend: b, release: func() { removeLock(lock); release() }}, true, nil
}

func (b *backend) lockFile(ctx context.Context, key string) (unlock func(), err error) {
	release, err := b.keys.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		lock, err := b.tryFile(key)
		if err != nil {
			release()
			return nil, err
		}
		if lock != nil {
			return func() { removeLock(lock); release() }, nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
}

// tryFile locks the file of key, or returns nil when the lock is taken. A holder
// removes its file at the end, so the locked file may no longer be the one at the
// path. Then it does not count.
func (b *backend) tryFile(key string) (*flock.Flock, error) {
	folder := filepath.Join(b.dir, lockFolder)
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	sum := sha256.Sum256([]byte(key))
	path := filepath.Join(folder, hex.EncodeToString(sum[:]))
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(fileMode))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if !locked {
		return nil, nil //nolint:nilnil // not an error, and there is no lock to return
	}
	mine, err := lock.Stat()
	if err != nil {
		return nil, closeLock(lock, err)
	}
	current, err := os.Stat(path)
	if err != nil || !os.SameFile(mine, current) {
		return nil, closeLock(lock, nil)
	}
	return lock, nil
}

func closeLock(lock *flock.Flock, err error) error {
	if closing := lock.Close(); closing != nil {
		return fmt.Errorf("lock file: %w", closing)
	}
	return err
}

// removeLock gives a lock back. A file that stays behind is harmless.
func removeLock(lock *flock.Flock) {
	_ = os.Remove(lock.Path()) // while it is still ours
	_ = lock.Close()
}
