package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"multitenant/database"
)

// changeOf begins what is said of a refused change of rows.
const changeOf = "a change of rows in "

// watch judges what the statement of an operator does, while SQLite compiles it. What it
// lets pass is what the role of a tenant may do on PostgreSQL.
type watch struct {
	entry     *database.Entry
	statement *database.Statement
	refused   string // the first thing that was refused
}

// set makes the connection ask judge; nil lets everything pass.
func (w *watch) set(conn database.Physical, judge sqlite.AuthorizerFn) error {
	if file, ok := conn.(*fileConn); ok {
		if asked, ok := file.Physical.(sqlite.AuthorizerRegisterer); ok {
			return asked.RegisterAuthorizer(judge)
		}
	}
	return fmt.Errorf("watch connection: it is a %T", conn)
}

// judge lets rows be read and, if the statement may write, changed. It refuses all that it
// does not know.
func (w *watch) judge(action sqlite.AuthorizerActionCode, first, second, _, _ string) sqlite.AuthorizerReturnCode {
	passes := false
	switch action { //nolint:exhaustive // the others are refused
	case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthRecursive:
		passes = true
	case sqlite.AuthFunction:
		passes = !strings.EqualFold(second, "load_extension")
	case sqlite.AuthPragma:
		passes = isHarmless(strings.ToLower(first), second)
	case sqlite.AuthInsert:
		passes = w.mayAdd(first)
	case sqlite.AuthUpdate, sqlite.AuthDelete:
		passes = w.mayAdd(first) && !slices.Contains(w.entry.Guarded.AppendOnly, first)
	}
	if passes {
		return sqlite.AuthorizerOK
	}
	if w.refused == "" {
		w.refused = nameOf(action, first)
	}
	return sqlite.AuthorizerDeny
}

func (w *watch) mayAdd(table string) bool {
	return w.statement.Write && !strings.HasPrefix(table, "sqlite_") && !slices.Contains(w.entry.Guarded.ReadOnly, table)
}

// isHarmless reports whether a pragma only tells something. One that takes a value as well
// only does so without it.
func isHarmless(name, value string) bool {
	switch name {
	case "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
		"foreign_key_check", "integrity_check", "quick_check":
		return true
	case "user_version", "application_id", "encoding", "journal_mode", "foreign_keys", "page_count", "page_size",
		"freelist_count", "compile_options":
		return value == ""
	}
	return false
}

// nameOf names an action. SQLite changes a schema by rows of its own tables.
func nameOf(action sqlite.AuthorizerActionCode, first string) string {
	switch action { //nolint:exhaustive // the others change the schema
	case sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete:
		if !strings.HasPrefix(first, "sqlite_") {
			return changeOf + first
		}
	case sqlite.AuthPragma:
		return "PRAGMA " + first
	case sqlite.AuthAttach, sqlite.AuthDetach:
		return "another file"
	case sqlite.AuthTransaction, sqlite.AuthSavepoint:
		return "a transaction"
	case sqlite.AuthFunction:
		return "a function"
	}
	return "a change of the schema"
}

// explain names the refused action. SQLite reports a refusal alone.
func (w *watch) explain(err error) error {
	err = translate(err)
	switch {
	case hasCode(err, sqlite3.SQLITE_READONLY), strings.HasPrefix(w.refused, changeOf) && !w.statement.Write:
		return fmt.Errorf("%w: %w", database.ErrNeedsWrite, err)
	case w.refused != "" && hasCode(err, sqlite3.SQLITE_AUTH):
		return fmt.Errorf("%s is refused: %w", w.refused, err)
	}
	return err
}
