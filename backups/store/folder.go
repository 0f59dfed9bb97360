package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

const (
	folderMode = 0o700
	fileMode   = 0o600
	// partSuffix ends the name of a file that is being written.
	partSuffix = ".part"
)

// Folder is a Store in a folder. No name leads out of it.
type Folder struct{ root *os.Root }

// OpenFolder opens the folder. It makes a missing one, for its owner alone, if create
// is set, and else fails with fs.ErrNotExist.
func OpenFolder(dir string, create bool) (*Folder, error) {
	if create {
		if err := os.MkdirAll(dir, folderMode); err != nil {
			return nil, fmt.Errorf("make the folder of backups: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of backups: %w", err)
	}
	return &Folder{root: root}, nil
}

// Put writes a file beside its name, and gives it the name when it is whole and on
// the disk.
func (f *Folder) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := f.put(ctx, name, write); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

func (f *Folder) put(ctx context.Context, name string, write func(io.Writer) error) (err error) {
	folder := path.Dir(name)
	if err := f.root.MkdirAll(folder, folderMode); err != nil {
		return err
	}
	part := path.Join(folder, rand.Text()+partSuffix)
	file, err := f.root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Remove(ctx, part))
		}
	}()
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close(), ctx.Err()); err != nil {
		return err
	}
	if _, err := f.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fs.ErrExist, err)
	}
	if err := f.root.Rename(part, name); err != nil {
		return err
	}
	return f.sync(folder)
}

// sync makes the names in a folder, and the folder's own, survive a loss of power.
func (f *Folder) sync(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot, and its file system does so itself
	}
	for {
		opened, err := f.root.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
			return err
		}
		if folder == "." {
			return nil
		}
		folder = path.Dir(folder)
	}
}

// Open opens a file.
func (f *Folder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return f.root.Open(name)
}

// List walks through the folder. A file that is being written has a name of its own.
func (f *Folder) List(ctx context.Context, folder string) (found []Object, err error) {
	err = fs.WalkDir(f.root.FS(), folder, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var about fs.FileInfo
			if about, err = entry.Info(); err == nil {
				found = append(found, Object{Name: name, At: about.ModTime(), Unfinished: strings.HasSuffix(name, partSuffix)})
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
			err = nil
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// Remove removes a file.
func (f *Folder) Remove(_ context.Context, name string) error {
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }
