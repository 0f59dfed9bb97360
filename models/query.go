package models

import (
	"errors"

	"gorm.io/gorm"
)

// lookup and insert alone translate what GORM says; any other error passes as
// it is and is nobody's business but the log's.

// lookup turns a missing record into the error the caller is told.
func lookup(err error, missing *Error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return missing.Because(err)
	}
	return err
}

// insert turns a broken uniqueness into the error the caller is told.
func insert(err error, duplicate *Error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return duplicate.Because(err)
	}
	return err
}
