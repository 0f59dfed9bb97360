package database

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
)

// Copier copies whole databases out of an engine.
type Copier interface {
	// Layout returns what the migrations of list make, to compare databases with. It
	// leaves nothing behind. It is empty on an engine that copies whole files.
	Layout(ctx context.Context, list []*gormigrate.Migration) (Layout, error)
	// Copy gives sink the content of a database as it is at one moment, while others
	// write. It fails where a row would be missing. The caller must hold the lock
	// that keeps the database from being migrated. What is outside is not changed. The
	// errors are those of OpenDatabase and of sink, and ErrOtherEngine.
	Copy(ctx context.Context, source *Source, sink Sink) error
	// CheckDump returns an error if that program pg_dump, a name or a path, cannot dump the
	// databases: ErrNoDump where it is missing or older than the server, or the engine has
	// none.
	CheckDump(ctx context.Context, program string) error
	// ReadDump has pg_restore, which is beside that program pg_dump, read to its end the dump
	// that feed writes. Where it is not there, feed writes to nothing. The errors are those
	// of feed and of pg_restore.
	ReadDump(ctx context.Context, program string, feed func(io.Writer) error) error
}

// ErrNoDump says that databases cannot be dumped. The message says why.
var ErrNoDump = errors.New("no dump can be made")

// Source is a database to be copied.
type Source struct {
	Name string // empty for core
	// Outside is where a database is that is not of the Backend. Name is empty then.
	Outside Outside
	Check   Check  // of the connection that reads it; may be nil
	Role    string // whose privileges are ours to grant; may be empty
	// Layout is what this code's migrations make.
	Layout Layout
	// Dump wants a dump, too; nil wants none. Copies of files need none.
	Dump *Dump
	// AsRows gives rows where the engine would give a file, and says of each table the kinds
	// of its columns and its keys. Times are in UTC.
	AsRows bool
}

// Dump is how a copy also gets a dump by pg_dump, of the same moment.
type Dump struct {
	Program string // pg_dump: its name or its path
	// Take is called after the tables, where there are things that the layout does not
	// explain. write writes the dump, in the custom format.
	Take func(write func(io.Writer) error) error
}

// Outside leads to a database that is not of a Backend, but has a tenant of it: on another
// server, or in a file. The zero value leads nowhere.
type Outside struct {
	URL  string // of a database of PostgreSQL
	File string // of SQLite, which no program has open
}

// IsNone reports whether it leads nowhere.
func (o Outside) IsNone() bool { return o == Outside{} }

// String names the server and the database, or the file, without users and passwords.
func (o Outside) String() string {
	if o.URL == "" {
		return filepath.Base(o.File)
	}
	_, hosts, after := CutHosts(o.URL)
	path, _, _ := strings.Cut(after, "?")
	return hosts + path
}

// Sink takes the content of one database. An error of it ends the copy.
type Sink interface {
	// Describe comes first, once.
	Describe(content *Content) error
	// Table takes the rows of a table. write writes a line for each row, and returns
	// how many there are.
	Table(name string, write func(io.Writer) (rows int64, err error)) error
	// File takes the whole database as a file of that size.
	File(size int64, content io.Reader) error
}

// Content describes a copy of a database.
type Content struct {
	Engine        string            `json:"engine"`
	EngineVersion string            `json:"engine_version"`
	Applied       []string          `json:"applied"` // migrations, the oldest first
	Tables        []ContentTable    `json:"tables"`
	Sequences     []ContentSequence `json:"sequences"`
	// Unexplained names what the migrations do not make again and the copy does not
	// hold.
	Unexplained []string `json:"unexplained"`
	// Owners are the roles, other than superusers and the application's own, to which
	// something in a dump belongs. They are known where Source.Dump is set.
	Owners []string `json:"owners,omitempty"`
}

// ContentTable is a table of a copy.
type ContentTable struct {
	Name    string          `json:"name"`
	Columns []ContentColumn `json:"columns,omitempty"` // in the order of the rows' values
	Rows    int64           `json:"rows,omitempty"`    // known before only in a file
	// PrimaryKey and References are the keys of a table of Source.AsRows.
	PrimaryKey []string           `json:"primary_key,omitempty"`
	References []ContentReference `json:"references,omitempty"`
}

// ContentReference is a column of a table that leads to a row of another.
type ContentReference struct {
	Column   string `json:"column"`
	Table    string `json:"table"`
	ToColumn string `json:"to_column"`
}

// ContentColumn is a column of a table.
type ContentColumn struct {
	Name string    `json:"name"`
	Type string    `json:"type"`
	Kind ValueKind `db:"-"      json:"kind,omitempty"` // of Source.AsRows
}

// ContentSequence is where a sequence stood after the moment of the copy.
type ContentSequence struct {
	Name      string `json:"name"`
	LastValue int64  `json:"last_value"`
	IsCalled  bool   `json:"is_called"`
}

// Object is something in a database.
type Object struct {
	Name       string // for people, with its kind: "index ix_users_email"
	Definition string
}

// Layout is the set of objects that migrations make.
type Layout map[Object]bool

// Unexplained returns the names of the objects that are not in the layout.
func (l Layout) Unexplained(objects []Object) []string {
	names := []string{}
	for _, object := range objects {
		if !l[object] {
			names = append(names, object.Name)
		}
	}
	return names
}

// Names reports whether the layout has an object of that name.
func (l Layout) Names(name string) bool {
	for object := range l {
		if object.Name == name {
			return true
		}
	}
	return false
}
