package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"gorm.io/gorm"

	"multitenant/database"
)

// session holds the lock on a file.
type session struct {
	backend  *backend
	release  func()
	unlocked atomic.Bool
}

// Create makes the file, already switched to write-ahead logging.
func (s *session) Create(ctx context.Context, name string) error {
	if err := s.check(ctx, name); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if err := s.backend.create(ctx, name); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func (b *backend) create(ctx context.Context, name string) error {
	path := b.path(name)
	if err := requireSpace(b.dir); err != nil {
		return err
	}
	unlock, err := b.lockFile(ctx, nameLock(path))
	if err != nil {
		return err
	}
	defer unlock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode) //nolint:gosec // the name passed checkName
	if errors.Is(err, fs.ErrExist) {
		return database.ErrExist
	}
	if err != nil {
		return err
	}
	// Only now, as the creator of the file, may we remove older companions.
	if err := errors.Join(file.Close(), removeCompanions(path)); err != nil {
		return errors.Join(err, removeDatabase(path))
	}
	db, err := b.open(ctx, b.newConnector(path, nil), 1)
	if err == nil {
		err = database.Close(db)
	}
	if err != nil {
		return errors.Join(err, removeDatabase(path))
	}
	return syncFolder(b.dir)
}

// CheckFree looks for the file.
func (s *session) CheckFree(ctx context.Context, name string) error {
	err := s.check(ctx, name)
	if err == nil {
		err = requireFree(s.backend.path(name))
	}
	if err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	return nil
}

// CountSessions counts an other if the write-ahead log stays when we open and close the
// database, or cannot be read now.
func (s *session) CountSessions(ctx context.Context, name string) (own, others int, err error) {
	if err := s.check(ctx, name); err != nil {
		return 0, 0, fmt.Errorf("look for users of database %s: %w", name, err)
	}
	err = s.backend.checkpoint(ctx, s.backend.path(name))
	if err != nil && !errors.Is(err, database.ErrNotExist) {
		others = 1
	}
	return 0, others, nil
}

// Leave only closes the file: no pooler stands before it.
func (*session) Leave(_ context.Context, _ string, open *gorm.DB) error {
	if open == nil {
		return nil
	}
	return database.Close(open)
}

// LiftLimit does nothing: a file has no limit.
func (*session) LiftLimit(context.Context, string) error { return nil }

// Claim renames the file before the transaction, and back if that fails.
func (s *session) Claim(ctx context.Context, from, to, _ string, also func(tx *gorm.DB) error) error {
	if err := s.check(ctx, from, to); err != nil {
		return fmt.Errorf("rename database %s: %w", from, err)
	}
	if err := s.backend.rename(ctx, from, to); err != nil {
		return err
	}
	err := s.backend.core.WithContext(ctx).Transaction(also)
	if err == nil {
		return nil
	}
	if stuck := s.backend.rename(context.WithoutCancel(ctx), to, from); stuck != nil {
		// The file has its new name: errors.Is must not find the reason, as after a refusal.
		err = fmt.Errorf("%w; rename it back: %s", err, stuck.Error())
	}
	return err
}

// rename gives a file another name.
func (b *backend) rename(ctx context.Context, from, to string) error {
	if err := b.moveFile(ctx, b.path(from), b.path(to)); err != nil {
		return fmt.Errorf("rename database %s to %s: %w", from, to, err)
	}
	return nil
}

func (b *backend) moveFile(ctx context.Context, source, target string) error {
	if _, err := os.Lstat(source); errors.Is(err, fs.ErrNotExist) {
		return database.ErrNotExist
	}
	unlock, err := b.lockFile(ctx, nameLock(target))
	if err != nil {
		return err
	}
	defer unlock()
	if err := requireFree(target); err != nil {
		return err
	}
	if err := b.checkpoint(ctx, source); err != nil {
		return err
	}
	if err := renameNoReplace(source, target); err != nil {
		return err
	}
	return syncFolder(b.dir)
}

// checkpoint moves the write-ahead log into the database file, by opening and
// closing it. It fails with ErrInUse when a log remains, since the database is open
// elsewhere.
func (b *backend) checkpoint(ctx context.Context, path string) error {
	if !hasCompanions(path) {
		return nil
	}
	db, err := b.open(ctx, b.newConnector(path, nil), 1)
	if err != nil {
		return err
	}
	if err := database.Close(db); err != nil {
		return err
	}
	if hasCompanions(path) {
		return database.ErrInUse
	}
	return nil
}

// Drop removes the files of a database, the main one first: the others mean nothing
// without it.
func (s *session) Drop(ctx context.Context, name, _ string) error {
	if err := s.check(ctx, name); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	err := removeDatabase(s.backend.path(name))
	if err == nil {
		err = syncFolder(s.backend.dir)
	}
	if err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// Unlock gives the lock back.
func (s *session) Unlock() {
	if s.unlocked.CompareAndSwap(false, true) {
		s.release()
	}
}

func (s *session) check(ctx context.Context, names ...string) error {
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	for _, name := range names {
		if err := database.CheckName(name); err != nil {
			return err
		}
		if s.backend.isCore(name) {
			return fmt.Errorf("%w: it is the core database", database.ErrForeign)
		}
	}
	return ctx.Err()
}
