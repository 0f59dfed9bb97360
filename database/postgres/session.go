package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"gorm.io/gorm"

	"multitenant/database"
)

// session is a connection to core that holds an advisory lock.
type session struct {
	backend  *backend
	conn     *sql.Conn
	key      int64
	release  func() // gives back the lock inside this process and the room for the session
	unlocked atomic.Bool
}

// Lock waits for key, first in this process, then on the server.
func (b *backend) Lock(ctx context.Context, key string) (database.Session, error) {
	unlock, err := b.keys.Lock(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", key, err)
	}
	s, err := b.pin(ctx, key, unlock)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", key, err)
	}
	if _, err := s.conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", s.key); err != nil {
		s.unlock(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("lock %s: %w", key, err)
	}
	return s, nil
}

// TryLock takes key if it is free.
func (b *backend) TryLock(ctx context.Context, key string) (database.Session, bool, error) {
	unlock, ok := b.keys.TryLock(key)
	if !ok {
		return nil, false, nil
	}
	s, err := b.pin(ctx, key, unlock)
	if err != nil {
		return nil, false, fmt.Errorf("lock %s: %w", key, err)
	}
	err = s.conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", s.key).Scan(&ok)
	if err != nil {
		s.unlock(context.WithoutCancel(ctx))
		return nil, false, fmt.Errorf("lock %s: %w", key, err)
	}
	if !ok {
		s.unlock(context.WithoutCancel(ctx))
		return nil, false, nil
	}
	return s, true, nil
}

// pin takes a core connection for a session, and calls unlock when that fails.
func (b *backend) pin(ctx context.Context, key string, unlock func()) (*session, error) {
	select {
	case b.sessions <- struct{}{}:
	case <-ctx.Done():
		unlock()
		return nil, ctx.Err()
	}
	release := func() { <-b.sessions; unlock() }
	pool, err := b.core.DB()
	if err != nil {
		release()
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		release()
		return nil, err
	}
	return &session{backend: b, conn: conn, key: advisoryKey(key), release: release}, nil
}

// advisoryKey hashes a key to a number. The prefix keeps it apart from advisory
// locks of other software in the same database.
func advisoryKey(key string) int64 {
	sum := sha256.Sum256([]byte("multitenant lock " + key))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // all 64 bits are wanted, whatever they mean
}

// Create makes a database and closes it to all roles but its owner.
func (s *session) Create(ctx context.Context, name string) error {
	if err := s.backend.checkTenant(name); err != nil {
		return err
	}
	// A session in template1 would delay us.
	err := s.exec(ctx, "CREATE DATABASE "+quoteIdentifier(name)+" TEMPLATE template0 "+s.backend.likeness)
	if database.HasState(err, "42P04", "23505") {
		return fmt.Errorf("create database %s: %w", name, database.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if err := s.exec(ctx, closeStatement(name)); err != nil {
		return fmt.Errorf("close database %s to others: %w", name, err)
	}
	return nil
}

// CheckFree looks for it in the catalog.
func (s *session) CheckFree(ctx context.Context, name string) error {
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	var exists bool
	err := s.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", name).Scan(&exists)
	if err == nil && exists {
		err = database.ErrExist
	}
	if err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	return nil
}

// closeStatement closes a database to all roles but its owner.
func closeStatement(name string) string {
	return "REVOKE ALL ON DATABASE " + quoteIdentifier(name) + " FROM PUBLIC"
}

// Claim runs also, renames the database and admits its role, in one transaction of
// core.
func (s *session) Claim(ctx context.Context, from, to, role string, also func(tx *gorm.DB) error) error {
	if err := errors.Join(s.backend.checkTenant(from), s.backend.checkTenant(to)); err != nil {
		return err
	}
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	return s.backend.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := also(tx); err != nil {
			return err
		}
		if err := explainRename(execIn(tx, renameStatement(from, to)), from, to); err != nil {
			return err
		}
		return admit(tx, to, role)
	})
}

func renameStatement(from, to string) string {
	return "ALTER DATABASE " + quoteIdentifier(from) + " RENAME TO " + quoteIdentifier(to)
}

func explainRename(err error, from, to string) error {
	switch {
	case err == nil:
		return nil
	case database.HasState(err, "42P04", "23505"):
		return fmt.Errorf("rename database %s to %s: %w", from, to, database.ErrExist)
	case isMissing(err):
		return fmt.Errorf("rename database %s: %w", from, database.ErrNotExist)
	case database.HasState(err, "55006"):
		return fmt.Errorf("rename database %s: %w: %w", from, database.ErrInUse, err)
	}
	return fmt.Errorf("rename database %s: %w", from, err)
}

// Unlock gives the lock back, by ending the connection if need be.
func (s *session) Unlock() { s.unlock(context.Background()) }

func (s *session) unlock(ctx context.Context) {
	if !s.unlocked.CompareAndSwap(false, true) {
		return
	}
	defer s.release()
	ctx, cancel := context.WithTimeout(ctx, database.CloseTimeout)
	defer cancel()
	var held bool
	err := s.conn.QueryRowContext(ctx, "SELECT pg_advisory_unlock($1)", s.key).Scan(&held)
	if err != nil {
		// The server may still hold the lock; ending the connection ends it.
		_ = s.conn.Raw(breakConn)
	}
	_ = s.conn.Close()
}

func (s *session) exec(ctx context.Context, statement string) error {
	if s.unlocked.Load() {
		return database.ErrUnlocked
	}
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}
