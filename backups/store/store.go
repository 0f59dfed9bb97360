// Package store keeps the objects of backups: in a folder now, and in any place that
// can keep named objects.
package store

import (
	"context"
	"io"
)

// Store keeps objects by their names, which are slash-separated paths. It is safe for
// concurrent use.
type Store interface {
	// Put keeps what write writes under a name that is free. The object appears whole,
	// or, after an error or the death of the process, not at all.
	Put(ctx context.Context, name string, write func(io.Writer) error) error
	// Open reads an object; fs.ErrNotExist where there is none.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the names that end in suffix, in their order.
	List(ctx context.Context, suffix string) ([]string, error)
	// Remove removes an object. A missing one is no error.
	Remove(ctx context.Context, name string) error
	// Close frees what the Store uses.
	Close() error
}
