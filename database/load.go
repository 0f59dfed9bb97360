package database

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
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
	// LoadDump makes the content of an empty database of the dump that feed writes, by the
	// pg_restore that is beside that program pg_dump, in one transaction. All belongs to the
	// application's own role; privileges are left out. After an error the database must be
	// dropped. The errors are ErrNoDump where pg_restore is missing, and those of feed and of
	// pg_restore.
	LoadDump(ctx context.Context, name, program string, feed func(io.Writer) error) error
	// LoadCore makes core, which must be empty, of a copy that has the migrations of list,
	// and calls finish on core as it is then. All of it is done, or nothing is and core
	// is empty still. The errors are those of Load and of finish, and ErrInUse where
	// another process has core open.
	LoadCore(ctx context.Context, list []*gormigrate.Migration, feed func(Fill) error, finish func(db *gorm.DB) error) error
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

// Relay is a Sink that hands the content of one database to another while it is read.
type Relay struct {
	Fill   Fill
	Check  func(*Content) error // may refuse the content; nil refuses none
	Report func(*Passage)       // is told how much has arrived; it may be called often

	passed Passage
}

// Passage says how much of a copy has arrived.
type Passage struct {
	Tables, Done int // tables of the source, and those that have arrived; none of a file
	Bytes        int64
	Unexplained  []string // of the source: the copy lacks it
}

// Describe hands the description on.
func (r *Relay) Describe(content *Content) error {
	if r.Check != nil {
		if err := r.Check(content); err != nil {
			return err
		}
	}
	r.passed.Unexplained = content.Unexplained
	if err := r.Fill.Describe(content); err != nil {
		return err
	}
	r.passed.Tables = len(content.Tables)
	r.Report(&r.passed)
	return nil
}

// Table hands rows on, and requires that all of them have arrived.
func (r *Relay) Table(name string, write func(io.Writer) (int64, error)) error {
	from, to := io.Pipe()
	var written int64
	ended := make(chan error, 1)
	go func() {
		rows, err := write(to)
		written = rows
		_ = to.CloseWithError(err) // it never fails
		ended <- err
	}()
	arrived, err := r.Fill.Table(name, io.TeeReader(from, r))
	_ = from.CloseWithError(err)        // the writer must not wait for a reader that has left
	if cause := <-ended; cause != nil { // that of the fill, if it failed first
		return cause
	}
	if err != nil {
		return err
	}
	if arrived != written {
		return fmt.Errorf("%w: table %s has %d rows, and %d arrived", ErrUnloadable, name, written, arrived)
	}
	r.passed.Done++
	r.Report(&r.passed)
	return nil
}

// File hands the file on.
func (r *Relay) File(_ int64, content io.Reader) error {
	err := r.Fill.File(io.TeeReader(content, r))
	r.passed.Done = r.passed.Tables
	r.Report(&r.passed)
	return err
}

// Write counts what passes.
func (r *Relay) Write(piece []byte) (int, error) {
	r.passed.Bytes += int64(len(piece))
	r.Report(&r.passed)
	return len(piece), nil
}
