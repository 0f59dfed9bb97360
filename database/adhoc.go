package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var (
	// ErrNeedsWrite says that a statement would change something and may only read.
	ErrNeedsWrite = errors.New("the statement may only read")
	// ErrNotAlone says that a text has several statements.
	ErrNotAlone = errors.New("several statements in one text are refused: run them one by one")
)

// Adhoc lets an operator work in one tenant's database by hand, as the tenant.
type Adhoc interface {
	// Execute runs one statement in a transaction, which is taken back unless the
	// statement may write. It reports whether it left out rows beyond MaxRows. The errors:
	// ErrNeedsWrite, ErrNotAlone, those of the functions of the statement, those of
	// OpenTenant, and those of the engine about the statement.
	Execute(ctx context.Context, e *Entry, s *Statement) (isCut bool, err error)
	// Client says how to start the engine's own program on the database. Without write it
	// is told to change nothing.
	Client(e *Entry, write bool) (Client, error)
}

// Entry leads an operator into a tenant's database, with the tenant's rights alone.
type Entry struct {
	Name    string
	Login   Login // must name a role on an engine with roles
	Check   Check
	Guarded Guarded
}

// Statement is one statement of SQL that an operator runs. No log has it.
type Statement struct {
	SQL     string
	Write   bool // it may change rows, not the schema
	Timeout time.Duration
	MaxRows int // so many rows are read, and no more
	// Columns takes the names of the columns, before the first row. A statement that returns
	// none has the column rows_affected.
	Columns func(names []string) error
	Row     func(cells []Cell) error
	// BeforeCommit is called when a statement that may write has succeeded. Its error takes
	// the changes back.
	BeforeCommit func(ctx context.Context) error
}

// RowsAffected is the column of statements that return no rows.
const RowsAffected = "rows_affected"

// Cell is one value of a row, as the engine prints it. Bytes are hexadecimal after \x.
type Cell struct {
	Text   string
	IsNull bool
	IsJSON bool // the text is a number, a Boolean or a document of JSON
}

// Client is the engine's own program for one database.
type Client struct {
	Program string
	Package string            // by which it can be installed
	Args    []string          // without secrets: every user of the machine sees them
	Env     map[string]string // with the password
}

// Check refuses a text that cannot be one statement in a transaction. The engines refuse the
// same texts, with words that say less.
func (s *Statement) Check() error {
	word := s.Verb()
	switch {
	case strings.ContainsRune(s.SQL, 0):
		return errors.New("the text has a zero byte")
	case word == "":
		return errors.New("there is no statement")
	case slices.Contains(transactionVerbs(), word):
		return fmt.Errorf("%s is refused: each statement has a transaction of its own", strings.ToUpper(word))
	case word == "copy":
		return errors.New("COPY is refused: its rows would go past the result")
	}
	return nil
}

func transactionVerbs() []string {
	return []string{"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"}
}

// Verb is the first word of the statement, in lower case; empty where there is none.
func (s *Statement) Verb() string {
	rest := SkipBlank(s.SQL, ";")
	end := strings.IndexFunc(rest, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' })
	if end == 0 && strings.HasPrefix(rest, "(") {
		return "select"
	}
	if end < 0 {
		end = len(rest)
	}
	if end == 0 && rest != "" {
		return "?"
	}
	return strings.ToLower(rest[:end])
}

// SkipBlank returns a text without the spaces, comments and other characters that it begins
// with.
func SkipBlank(text, others string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n\f\v"+others)
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text[2:], "*/")
		default:
			return text
		}
	}
}
