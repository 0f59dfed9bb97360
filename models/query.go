package models

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// lookup and insert alone translate what GORM says; any other error passes as
// it is and appears in the log only.

// lookup turns a missing record into the error the caller is told.
func lookup(err error, missing *Error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return missing.Because(err)
	}
	return err
}

// refuseAs turns every rule that err says was broken into refusal, which tells the
// caller nothing of the reason.
func refuseAs(refusal *Error, err error) error {
	if _, known := errors.AsType[*Error](err); known {
		return refusal.Because(err)
	}
	return err
}

// duplicate is the error of an engine that names the violated constraint.
type duplicate interface {
	error
	Constraint() string
}

// insert turns the violation of one of these constraints into the error the caller is
// told. They are named by the migrations or, in a table of the original, by PostgreSQL.
// Any other duplicate is a fault of the server: a sequence that gives an id twice
// says nothing about what the caller sent.
func insert(err error, taken *Error, constraints ...string) error {
	found, ok := errors.AsType[duplicate](err)
	if ok && slices.Contains(constraints, found.Constraint()) {
		return taken.Because(err)
	}
	return err
}

// forUpdate locks what a query finds until the transaction ends. SQLite's
// transactions that write lock the whole database.
func forUpdate() clause.Expression { return clause.Locking{Strength: clause.LockingStrengthUpdate} }

// rowScanner is a pool with a shorter way to one row than database/sql's.
type rowScanner interface {
	ScanRow(ctx context.Context, dest []any, query string, args ...any) error
}

// scanRow reads one row by the shortest way there is; no row is sql.ErrNoRows.
func scanRow(ctx context.Context, db *gorm.DB, dest []any, query string, args ...any) error {
	if pool, ok := db.Statement.ConnPool.(rowScanner); ok {
		return pool.ScanRow(ctx, dest, query, args...)
	}
	return db.Statement.ConnPool.QueryRowContext(ctx, query, args...).Scan(dest...)
}
