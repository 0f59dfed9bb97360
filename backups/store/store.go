// Package store keeps the objects of backups: in a folder now, and in any place that
// can keep named objects.
package store

import (
	"context"
	"io"
	"time"
)

// Object is an object of a Store, or what a Put that has not ended has of one.
type Object struct {
	Name       string
	At         time.Time // when it was begun, by the clock of the store
	Unfinished bool      // it cannot be opened
}

// Store keeps objects by their names, which are slash-separated paths. It is safe for
// concurrent use.
type Store interface {
	// Put keeps what write writes under a name that is free. The object appears whole,
	// or, after an error or the death of the process, not at all.
	Put(ctx context.Context, name string, write func(io.Writer) error) error
	// Open reads an object; fs.ErrNotExist where there is none.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns what there is in a folder and in those below it, by the order of the
	// names; "." is the folder of all. A missing folder is an empty one.
	List(ctx context.Context, folder string) ([]Object, error)
	// Remove removes an object, an unfinished one too. A missing one is no error.
	Remove(ctx context.Context, name string) error
	// Close frees what the Store uses.
	Close() error
}
