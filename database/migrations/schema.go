package migrations

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// table describes a table as it was on the day of a migration, which therefore
// has its own and never that of models.
type table struct {
	name    string
	columns []column
	indexes []index
}

// column is a name and what follows it in each engine's own words.
type column struct{ name, postgres, sqlite string }

// index is named ix_<table>_<column>, as the original's are.
type index struct {
	column string
	unique bool
}

// Names that more than one table uses.
const (
	createdAt = "created_at"
	updatedAt = "updated_at"
	expiresAt = "expires_at"
	tenantID  = "tenant_id"
)

// uuidKey is a primary key that is a UUID.
func uuidKey(name string) column {
	return column{name, "uuid PRIMARY KEY", "text NOT NULL PRIMARY KEY"}
}

// same is for columns both engines describe alike.
func same(name, definition string) column { return column{name, definition, definition} }

// adopt makes the table, or what it lacks.
func (t table) adopt(tx *gorm.DB) error {
	present, err := columnsOf(tx, t.name)
	if err != nil {
		return err
	}
	if len(present) == 0 {
		err = t.create(tx)
	} else {
		err = t.complete(tx, present)
	}
	if err != nil {
		return err
	}
	for _, i := range t.indexes {
		if err := i.ensure(tx, t.name); err != nil {
			return err
		}
	}
	return nil
}

func (t table) create(tx *gorm.DB) error {
	definitions := make([]string, len(t.columns))
	for i, c := range t.columns {
		definitions[i] = c.name + " " + c.definition(tx)
	}
	return run(tx, "CREATE TABLE "+t.name+" ("+strings.Join(definitions, ", ")+")")
}

func (t table) complete(tx *gorm.DB, present []string) error {
	for _, c := range t.columns {
		if slices.Contains(present, c.name) {
			continue
		}
		if err := c.add(tx, t.name); err != nil {
			return err
		}
	}
	return nil
}

func (c column) definition(tx *gorm.DB) string {
	if isPostgres(tx) {
		return c.postgres
	}
	return c.sqlite
}

// add makes the column in a table that exists. SQLite refuses to add a default
// that is not constant; our own inserts never rely on it.
func (c column) add(tx *gorm.DB, table string) error {
	definition := c.definition(tx)
	if !isPostgres(tx) {
		definition = strings.TrimSuffix(definition, " DEFAULT CURRENT_TIMESTAMP")
	}
	return run(tx, "ALTER TABLE "+table+" ADD COLUMN "+c.name+" "+definition)
}

// ensure makes the index where it is missing. Uniqueness may as well come from a
// constraint, or from an index of another name.
func (i index) ensure(tx *gorm.DB, table string) error {
	name := "ix_" + table + "_" + i.column
	there, err := i.exists(tx, table, name)
	if err != nil || there {
		return err
	}
	if i.unique {
		return run(tx, "CREATE UNIQUE INDEX "+name+" ON "+table+" ("+i.column+")")
	}
	return run(tx, "CREATE INDEX "+name+" ON "+table+" ("+i.column+")")
}

func (i index) exists(tx *gorm.DB, table, name string) (bool, error) {
	var there bool
	var query string
	args := []any{table, i.column}
	switch {
	case i.unique && isPostgres(tx):
		query = `SELECT EXISTS (SELECT 1 FROM pg_index i
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = to_regclass(?) AND i.indisunique AND i.indisvalid
			AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = ?)`
	case i.unique:
		query = `SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) l
			WHERE l."unique" = 1 AND l.partial = 0
			AND (SELECT group_concat(name) FROM pragma_index_info(l.name)) = ?)`
	case isPostgres(tx):
		query, args = "SELECT to_regclass(?) IS NOT NULL", []any{name}
	default:
		query, args = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?)", []any{name}
	}
	if err := tx.Raw(query, args...).Scan(&there).Error; err != nil {
		return false, fmt.Errorf("look for index %s: %w", name, err)
	}
	return there, nil
}

// columnsOf lists the columns of a table; a table that is not there has none.
func columnsOf(tx *gorm.DB, table string) ([]string, error) {
	query := "SELECT name FROM pragma_table_info(?)"
	if isPostgres(tx) {
		query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
	}
	var names []string
	if err := tx.Raw(query, table).Scan(&names).Error; err != nil {
		return nil, fmt.Errorf("list columns of %s: %w", table, err)
	}
	return names, nil
}

func isPostgres(tx *gorm.DB) bool { return tx.Name() == "postgres" }

func run(tx *gorm.DB, statement string, args ...any) error { return tx.Exec(statement, args...).Error }

// fillNulls gives the original's nullable columns the values its code meant.
func fillNulls(tx *gorm.DB, table string) error {
	if err := run(tx, "UPDATE "+table+" SET is_active = TRUE WHERE is_active IS NULL"); err != nil {
		return err
	}
	return run(tx, "UPDATE "+table+" SET created_at = ? WHERE created_at IS NULL", tx.NowFunc())
}

// batch is how many rows are read and written at once.
const batch = 500

// setByID sets one column of many rows: values holds id and value in turns.
func setByID(tx *gorm.DB, table, column, kind string, values []any) error {
	if len(values) == 0 {
		return nil
	}
	row := "(CAST(? AS integer), CAST(? AS " + kind + "))"
	rows := strings.Repeat(", "+row, len(values)/2)[2:]
	return run(tx, "UPDATE "+table+" SET "+column+" = v.column2 FROM (VALUES "+rows+") AS v WHERE "+
		table+".id = v.column1", values...)
}
