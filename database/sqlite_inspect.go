package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// List reads the folder, once.
func (b *sqliteBackend) List(_ context.Context, prefix string) (Inventory, error) {
	var found Inventory
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return found, fmt.Errorf("list databases: %w", err)
	}
	names := make(map[string]bool, len(entries))
	for _, entry := range entries {
		names[entry.Name()] = true
	}
	for _, entry := range entries {
		file := entry.Name()
		if !strings.HasPrefix(file, prefix) {
			continue
		}
		name, isDatabase := strings.CutSuffix(file, extension)
		switch {
		case isDatabase && !b.isCore(name):
			found.Databases = append(found.Databases, name)
		case isCompanion(file) && !names[withoutCompanion(file)]:
			found.Files = append(found.Files, file)
		}
	}
	return found, nil
}

func isCompanion(file string) bool { return withoutCompanion(file) != file }

// withoutCompanion is the name of the file that a companion belongs to.
func withoutCompanion(file string) string {
	for _, suffix := range companions() {
		if main, found := strings.CutSuffix(file, extension+suffix); found {
			return main + extension
		}
	}
	return file
}

// Survey is empty.
func (*sqliteBackend) Survey(context.Context, string) (Survey, error) { return Survey{}, nil }

// Lacking is empty.
func (*sqliteBackend) Lacking(context.Context, *gorm.DB, string, Guarded) ([]string, error) {
	return nil, nil
}

// Cross tries on a connection as those that serve the tenant.
func (b *sqliteBackend) Cross(ctx context.Context, c *Crossing) ([]Trial, error) {
	modes := b.tryModes()
	if c.From.Name == "" {
		return []Trial{modes}, nil
	}
	db, err := b.OpenTenant(ctx, c.From.Name, c.From.Login, nil)
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, Close(db))
	}
	trials := b.tryStatements(ctx, conn, c.Others)
	return append(trials, modes), errors.Join(conn.Close(), Close(db))
}

func (b *sqliteBackend) tryStatements(ctx context.Context, conn *sql.Conn, others []Place) []Trial {
	places := append(slices.Clone(others), corePlace(b.name))
	trials := make([]Trial, 0, len(places)+2)
	for _, place := range places {
		a := attempt{name: "attach_" + place.Kind, what: "attach the database of " + place.Label}
		_, err := conn.ExecContext(ctx, "ATTACH ? AS isolation_trial", b.path(place.Name))
		if err == nil {
			_, err = conn.ExecContext(ctx, "DETACH isolation_trial")
		}
		trials = append(trials, a.judge(err, isConfined))
	}
	copied := filepath.Join(b.dir, ".isolation-"+rand.Text())
	_, err := conn.ExecContext(ctx, "VACUUM INTO ?", copied)
	if removing := os.Remove(copied); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
		err = errors.Join(err, removing)
	}
	a := attempt{name: "vacuum_into", what: "write a file by VACUUM INTO"}
	trials = append(trials, a.judge(err, isConfined))
	_, err = conn.ExecContext(ctx, "SELECT load_extension('isolation_trial')")
	a = attempt{name: "load_extension", what: "load an extension"}
	return append(trials, a.judge(err, isForbidden))
}

// isConfined is true for the refusal to have another file open.
func isConfined(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "too many attached databases")
}

// isForbidden is true for the refusal of what a connection was not made for.
func isForbidden(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_ERROR &&
		(strings.Contains(lite.Error(), "not authorized") || strings.Contains(lite.Error(), "no such function"))
}

// tryModes looks whom the system lets at the files.
func (b *sqliteBackend) tryModes() Trial {
	a := attempt{name: "read_files", what: "be read as files by other users of the machine"}
	if runtime.GOOS == "windows" {
		a.excuse = "on Windows the folder's access list decides, which is not looked at"
		return a.judge(nil, nil)
	}
	open, err := openFiles(b.dir)
	if err != nil {
		return Trial{Name: a.name, Result: ResultFail, Detail: "it could not be looked who may read the files: " + err.Error()}
	}
	if len(open) > 0 {
		return Trial{Name: a.name, Result: ResultFail, Detail: "can " + a.what + ": " + strings.Join(open, ", ")}
	}
	return Trial{Name: a.name, Result: ResultPass, Detail: "cannot " + a.what}
}

// openFiles lists what in the folder others than its owner may use, itself first.
func openFiles(dir string) (open []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was there a moment ago
		}
		if err != nil {
			return err
		}
		found, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if found.Mode().Perm()&^folderMode != 0 || !entry.IsDir() && found.Mode().Perm()&^fileMode != 0 {
			open = append(open, fmt.Sprintf("%s is %04o", filepath.Base(path), found.Mode().Perm()))
		}
		return nil
	})
	return open, err
}
