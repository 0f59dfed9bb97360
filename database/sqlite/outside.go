package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"multitenant/database"
)

// errWritten says that a file is in use.
var errWritten = errors.New("a program writes to the file: give a copy that none has open")

// copyOutside copies a file of another place. SQLite opens the copy alone: it would change
// a file with a log beside it.
func (b *backend) copyOutside(ctx context.Context, source *database.Source, sink database.Sink) error {
	path := source.Outside.File
	if path == "" {
		return fmt.Errorf("%w: of a server, and the databases here are files", database.ErrOtherEngine)
	}
	err := b.copyFile(ctx, source, sink, func(target string) error {
		if err := copyWithLog(path, target); err != nil {
			return err
		}
		return b.checkpoint(ctx, target)
	})
	if err != nil {
		return fmt.Errorf("copy file %s: %w", path, err)
	}
	return nil
}

// copyWithLog copies a database and the log beside it. It fails with errWritten if either
// has changed meanwhile: they would not belong together.
func copyWithLog(source, target string) error {
	found, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !found.Mode().IsRegular() {
		return errors.New("it is no plain file")
	}
	logs := []string{companions()[0], companions()[2]} // the shared memory is made anew
	before, err := looksOf(source, logs)
	if err != nil {
		return err
	}
	for suffix := range before {
		if err := copyBytes(source+suffix, target+suffix); err != nil {
			return err
		}
	}
	after, err := looksOf(source, logs)
	if err == nil && !isSame(before, after) {
		err = errWritten
	}
	return err
}

// looksOf describes a database and those of its companions that exist, by their suffixes.
func looksOf(path string, suffixes []string) (map[string]fs.FileInfo, error) {
	looks := map[string]fs.FileInfo{}
	for _, suffix := range append([]string{""}, suffixes...) {
		found, err := os.Stat(path + suffix)
		if suffix != "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		looks[suffix] = found
	}
	return looks, nil
}

func isSame(before, after map[string]fs.FileInfo) bool {
	if len(before) != len(after) {
		return false
	}
	for suffix, was := range before {
		is := after[suffix]
		if is == nil || !os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime()) {
			return false
		}
	}
	return true
}

func copyBytes(source, target string) (err error) {
	from, err := os.Open(source) //nolint:gosec // an operator names the file
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()                                          // it was only read
	to, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fileMode) //nolint:gosec // a random name in our folder
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
