package sqlite

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"multitenant/database"
)

// SQLite has no roles: what keeps its databases apart is that each is a file
// and that a connection cannot attach another.

// HasRoles is false.
func (*backend) HasRoles() bool { return false }

// CreateRole does nothing.
func (*backend) CreateRole(*gorm.DB, database.Login) error { return nil }

// DropRole does nothing.
func (*backend) DropRole(*gorm.DB, string) error { return nil }

// GrantTables does nothing.
func (*backend) GrantTables(*gorm.DB, string, database.Guarded) error { return nil }

// Secure does nothing: the folder is the owner's alone.
func (*backend) Secure(context.Context) error { return nil }

// Admit does nothing.
func (s *session) Admit(ctx context.Context, name, _ string) error { return s.check(ctx, name) }

// Claim renames the file once also is committed. When it fails, or the process
// dies in between, the file still has its old name.
func (s *session) Claim(ctx context.Context, from, to, _ string, also func(tx *gorm.DB) error) error {
	if err := s.check(ctx, from, to); err != nil {
		return fmt.Errorf("rename database %s: %w", from, err)
	}
	err := s.backend.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := also(tx); err != nil {
			return err
		}
		// Found here, it need not be undone by the caller.
		if err := requireFree(s.backend.path(to)); err != nil {
			return fmt.Errorf("rename database %s to %s: %w", from, to, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Rename(ctx, from, to)
}
