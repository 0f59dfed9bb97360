package database

import (
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// DuplicateError says that a statement would have stored a value twice that is unique.
// It wraps gorm.ErrDuplicatedKey and the error of the driver.
type DuplicateError struct {
	table, constraint string
	cause             error
}

// NewDuplicate returns the error for a violated constraint of a table. Constraints are
// named as the migrations name them, see KeyName and UniqueName.
func NewDuplicate(table, constraint string, cause error) *DuplicateError {
	return &DuplicateError{table, constraint, cause}
}

// KeyName is the name of the primary key of a table.
func KeyName(table string) string { return table + "_pkey" }

// UniqueName is the name of the unique index of a table on these columns.
func UniqueName(table string, columns ...string) string {
	return "ix_" + table + "_" + strings.Join(columns, "_")
}

// Constraint is the name of the violated constraint, which alone decides what the
// error means.
func (e *DuplicateError) Constraint() string { return e.constraint }

// Error names the table and the constraint. The ids of a table are given by a sequence,
// so a duplicate id is the fault of the sequence.
func (e *DuplicateError) Error() string {
	if e.constraint == KeyName(e.table) {
		return fmt.Sprintf("the sequence of table %s gave an id that is in use: run tenants doctor --repair: %v", e.table, e.cause)
	}
	return fmt.Sprintf("duplicate in table %s by %s: %v", e.table, e.constraint, e.cause)
}

// Unwrap returns GORM's error and the driver's.
func (e *DuplicateError) Unwrap() []error { return []error{gorm.ErrDuplicatedKey, e.cause} }
