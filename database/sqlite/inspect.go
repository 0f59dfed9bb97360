package sqlite

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

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"multitenant/database"
)

// List reads the folder.
func (b *backend) List(_ context.Context, prefix string) (database.Inventory, error) {
	var found database.Inventory
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

// Size adds up the file and its companions.
func (b *backend) Size(_ context.Context, name string) (bytes int64, err error) {
	for _, suffix := range append(companions(), "") {
		file, err := os.Stat(b.path(name) + suffix)
		switch {
		case err == nil:
			bytes += file.Size()
		case errors.Is(err, fs.ErrNotExist) && suffix != "":
		case errors.Is(err, fs.ErrNotExist):
			return 0, fmt.Errorf("size of database %s: %w", name, database.ErrNotExist)
		default:
			return 0, fmt.Errorf("size of database %s: %w", name, err)
		}
	}
	return bytes, nil
}

// Sizes is Size of each.
func (b *backend) Sizes(ctx context.Context, names []string) (map[string]int64, error) {
	sizes := make(map[string]int64, len(names))
	for _, name := range names {
		bytes, err := b.Size(ctx, name)
		switch {
		case err == nil:
			sizes[name] = bytes
		case !errors.Is(err, database.ErrNotExist):
			return nil, err
		}
	}
	return sizes, nil
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

// Cross tries on a connection like those that serve the tenant.
func (b *backend) Cross(ctx context.Context, c *database.Crossing) ([]database.Trial, error) {
	modes := b.tryModes()
	if c.From.Name == "" {
		return []database.Trial{modes}, nil
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
		return nil, errors.Join(err, database.Close(db))
	}
	trials := b.tryStatements(ctx, conn, c.Others)
	return append(trials, modes), errors.Join(conn.Close(), database.Close(db))
}

func (b *backend) tryStatements(ctx context.Context, conn *sql.Conn, others []database.Place) []database.Trial {
	places := append(slices.Clone(others), database.CorePlace(b.name))
	trials := make([]database.Trial, 0, len(places)+2)
	for _, place := range places {
		a := database.Attempt{Name: "attach_" + place.Kind, What: "attach the database of " + place.Label}
		_, err := conn.ExecContext(ctx, "ATTACH ? AS isolation_trial", b.path(place.Name))
		if err == nil {
			_, err = conn.ExecContext(ctx, "DETACH isolation_trial")
		}
		trials = append(trials, a.Judge(err, isConfined))
	}
	copied := filepath.Join(b.dir, ".isolation-"+rand.Text())
	_, err := conn.ExecContext(ctx, "VACUUM INTO ?", copied)
	if removing := os.Remove(copied); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
		err = errors.Join(err, removing)
	}
	a := database.Attempt{Name: "vacuum_into", What: "write a file by VACUUM INTO"}
	trials = append(trials, a.Judge(err, isConfined))
	_, err = conn.ExecContext(ctx, "SELECT load_extension('isolation_trial')")
	a = database.Attempt{Name: "load_extension", What: "load an extension"}
	return append(trials, a.Judge(err, isForbidden))
}

// isConfined is true for the refusal to have another file open.
func isConfined(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "too many attached databases")
}

// isForbidden is true for the refusal of a function or an action.
func isForbidden(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_ERROR &&
		(strings.Contains(lite.Error(), "not authorized") || strings.Contains(lite.Error(), "no such function"))
}

// tryModes checks the permissions of the files.
func (b *backend) tryModes() database.Trial {
	a := database.Attempt{Name: "read_files", What: "be read as files by other users of the machine"}
	if runtime.GOOS == "windows" {
		a.Excuse = "on Windows the folder's access list decides, which is not looked at"
		return a.Judge(nil, nil)
	}
	open, err := openFiles(b.dir)
	if err != nil {
		return database.Trial{Name: a.Name, Result: database.ResultFail, Detail: "it could not be looked who may read the files: " + err.Error()}
	}
	if len(open) > 0 {
		return database.Trial{Name: a.Name, Result: database.ResultFail, Detail: "can " + a.What + ": " + strings.Join(open, ", ")}
	}
	return database.Trial{Name: a.Name, Result: database.ResultPass, Detail: "cannot " + a.What}
}

// openFiles lists the folder and the files in it that other users may open.
func openFiles(dir string) (open []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
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
