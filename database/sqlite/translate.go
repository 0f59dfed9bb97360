package sqlite

import (
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"multitenant/database"
)

// translate wraps GORM's own errors around those of the driver.
func translate(err error) error {
	lite, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch lite.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return duplicate(lite)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	case sqlite3.SQLITE_CONSTRAINT_TRIGGER:
		if strings.Contains(lite.Error(), database.ErrReplaced.Error()) {
			return fmt.Errorf("%w: %w", database.ErrReplaced, err)
		}
	}
	return err
}

// duplicate finds the violated constraint. SQLite gives a primary key a code of its own,
// and names the columns of an index in its message: "… failed: users.a, users.b (2067)",
// or the index itself where it is on an expression. The names are those of our schema;
// no value is in the message.
func duplicate(err *sqlite.Error) error {
	_, named, _ := strings.Cut(err.Error(), "UNIQUE constraint failed: ")
	named, _, _ = strings.Cut(named, " (")
	if index, found := strings.CutPrefix(named, "index '"); found {
		return database.NewDuplicate("", strings.TrimSuffix(index, "'"), err)
	}
	var table string
	var columns []string
	for column := range strings.SplitSeq(named, ", ") {
		var name string
		table, name, _ = strings.Cut(column, ".")
		columns = append(columns, name)
	}
	if err.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return database.NewDuplicate(table, database.KeyName(table), err)
	}
	return database.NewDuplicate(table, database.UniqueName(table, columns...), err)
}
