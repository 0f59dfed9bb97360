package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// IsUnavailable reports whether err means that a database is out of reach for now:
// it cannot be connected to, no connection is free, or it is missing, foreign, replaced,
// damaged, full or locked. It is false for a wrong statement, and for a context of
// the caller that ended.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*timeoutError](err); ok {
		return true
	}
	if IsContextError(err) {
		return false
	}
	for _, ours := range []error{ErrBusy, ErrNotExist, ErrForeign, ErrInUse, ErrReplaced} {
		if errors.Is(err, ours) {
			return true
		}
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isUnavailableState(server.Code) || isFatal(server) || isConnectError(err)
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return isUnavailableCode(lite.Code())
	}
	return isConnectError(err) || isBrokenConnection(err) || isExhausted(err)
}

// IsConflict reports whether err means that a constraint refused what a statement would
// store, such as a foreign key, a check or a unique index. It is false for an id that is
// missing or given twice, which is the fault of a sequence.
func IsConflict(err error) bool {
	if duplicate, ok := errors.AsType[*DuplicateError](err); ok {
		return duplicate.constraint != KeyName(duplicate.table)
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(server.Code, "23") && server.ColumnName != "id"
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && slices.Contains([]int{
		sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_NOTNULL,
	}, lite.Code())
}

// IsUndefinedTable reports whether err means that a statement named a table the
// database does not have.
func IsUndefinedTable(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code == "42P01"
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	// SQLite has no code of its own for this.
	return ok && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such table")
}

// IsDenied reports whether err means that the role of the connection lacks a
// privilege.
func IsDenied(err error) bool { return HasState(err, "42501") }

// IsLoginRefused reports whether err means that a role may not log in, or not
// with that password.
func IsLoginRefused(err error) bool { return HasState(err, "28000", "28P01") }

// HasState reports whether err is an error of a PostgreSQL server with one of
// these SQLSTATEs.
func HasState(err error, states ...string) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(states, server.Code)
}

// IsDamaged reports whether err means that the content of the database is damaged.
func IsDamaged(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code == "XX001" || server.Code == "XX002"
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && (lite.Code()&0xff == sqlite3.SQLITE_CORRUPT || lite.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// timeoutError is the type of NewTimeout.
type timeoutError struct{ cause error }

// NewTimeout returns an error for a connection that took longer than we allow. It
// hides cause from errors.Is, since the context of the caller has not ended.
func NewTimeout(cause error) error { return &timeoutError{cause: cause} }

// Error tells the cause.
func (e *timeoutError) Error() string { return fmt.Sprintf("connect to database: %v", e.cause) }

// IsContextError reports whether a context that ended is the cause of err. It is
// sql.ErrTxDone if the context ended between two steps of a transaction: database/sql
// has rolled it back then.
func IsContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrTxDone)
}

// isUnavailableState knows the SQLSTATEs of faults of the server or the connection.
func isUnavailableState(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03", "57P04", "57P05", // shutting down, crashed, starting, dropped, idle for too long
		"55006",          // the database is being accessed by other users
		"55P03", "57014", // a lock or a statement timed out
		"40001", "40P01", // it conflicted with another transaction, and may be tried again
		"25006",          // the server is read-only
		"3D000",          // the database is missing
		"XX001", "XX002": // damaged
		return true
	}
	class := code[:min(2, len(code))]
	return class == "08" || class == "53" || class == "58" // connection, resources, system
}

// isFatal is true when the server, or a pooler before it, has ended the session.
func isFatal(err *pgconn.PgError) bool {
	return err.Severity == "FATAL" || err.SeverityUnlocalized == "FATAL"
}

// isUnavailableCode knows the result codes of faults of the file, not of the
// statement.
func isUnavailableCode(code int) bool {
	switch code & 0xff { // the primary code; the rest says where it happened
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM:
		return true
	}
	return false
}

// isConnectError is true for every failure to connect, a refused password included.
func isConnectError(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

func isBrokenConnection(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// isExhausted is true when the operating system lacks space, files or similar.
func isExhausted(err error) bool {
	number, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains([]syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.EROFS, syscall.EIO,
	}, number)
}
