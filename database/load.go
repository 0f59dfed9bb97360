package database

import (
	"context"
	"errors"
	"io"
)

var (
	// ErrOtherEngine says that a copy is of another engine than the database that it
	// is to fill.
	ErrOtherEngine = errors.New("it is a copy of another engine's database")
	// ErrUnloadable says that a copy does not fit the schema of the database that it is
	// to fill, or that its rows contradict each other.
	ErrUnloadable = errors.New("the copy cannot be loaded")
)

// Loader fills databases with copies. It is the opposite of a Copier.
type Loader interface {
	// Load gives feed a Fill that puts a copy in the place of all rows of a database.
	// The database must have the schema of the copy, and no other user. Load keeps
	// what feed has filled if feed returns nil. After an error the database must be
	// dropped. The errors are those of OpenDatabase, ErrOtherEngine, ErrUnloadable
	// and those of feed.
	Load(ctx context.Context, name string, feed func(Fill) error) error
}

// Fill takes a copy that a Sink was given, in the same order.
type Fill interface {
	// Describe comes first, once.
	Describe(content *Content) error
	// Table takes the rows of a table and returns how many there are. It is not
	// called for a table without rows.
	Table(name string, rows io.Reader) (int64, error)
	// File takes the whole database as a file.
	File(content io.Reader) error
}
