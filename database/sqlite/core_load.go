package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"multitenant/database"
)

// LoadCore makes a file beside core, and gives it the place of core's.
func (b *backend) LoadCore(
	ctx context.Context, _ []*gormigrate.Migration, feed func(database.Fill) error, finish func(db *gorm.DB) error,
) (err error) {
	b.copies.Do(b.clearCopies)
	path := filepath.Join(b.dir, copyPrefix+rand.Text()+extension)
	unlock, err := b.lockFile(ctx, copyLock(path))
	if err != nil {
		return err
	}
	defer unlock()
	defer func() { err = errors.Join(err, removeDatabase(path)) }()
	if err := os.WriteFile(path, nil, fileMode); err != nil {
		return err
	}
	if err := b.load(ctx, &loader{ctx: ctx, backend: b, path: path}, feed); err != nil {
		return fmt.Errorf("load core database: %w", err)
	}
	db, err := b.open(ctx, b.newConnector(path, nil), 1)
	if err != nil {
		return err
	}
	if err := errors.Join(finish(db), database.Close(db)); err != nil {
		return fmt.Errorf("load core database: %w", err)
	}
	return b.replaceCore(path)
}

// replaceCore gives a file the place of core's. Until then core is empty, and no log of
// it may be left, which would be applied to the other file. The connections to core
// notice that their file is another.
func (b *backend) replaceCore(path string) error {
	handles, err := b.core.DB()
	if err != nil {
		return err
	}
	handles.SetMaxIdleConns(0)
	defer handles.SetMaxIdleConns(coreConnections)
	if hasCompanions(b.file) || hasCompanions(path) {
		return fmt.Errorf("replace core database: %w", database.ErrInUse)
	}
	if err := os.Rename(path, b.file); err != nil {
		return fmt.Errorf("replace core database: %w", err)
	}
	return syncFolder(b.dir)
}
