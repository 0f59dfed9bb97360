package migrations

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// table describes a table of the original. Only adoption uses this language, since
// GORM cannot complete a table in the original's own words. Our tables are structs.
type table struct {
	name    string
	columns []column
	indexes []index
}

// column is a name and its definition in the SQL of each engine.
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
)

// same returns a column that both engines define alike.
func same(name, definition string) column { return column{name, definition, definition} }

// adopt creates the table, or the columns and indexes that it lacks.
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

// add creates the column in an existing table. SQLite refuses to add a default
// that is not constant; our own inserts never rely on it.
func (c column) add(tx *gorm.DB, table string) error {
	definition := c.definition(tx)
	if !isPostgres(tx) {
		definition = strings.TrimSuffix(definition, " DEFAULT CURRENT_TIMESTAMP")
	}
	return run(tx, "ALTER TABLE "+table+" ADD COLUMN "+c.name+" "+definition)
}

// ensure creates a missing index. A constraint, or an index of another name, may
// provide uniqueness as well.
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

// columnsOf lists the columns of a table. A missing table has none.
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

// fillNulls gives the original's nullable columns the values that its code assumed.
func fillNulls(tx *gorm.DB, table string) error {
	if err := run(tx, "UPDATE "+table+" SET is_active = TRUE WHERE is_active IS NULL"); err != nil {
		return err
	}
	return run(tx, "UPDATE "+table+" SET created_at = ? WHERE created_at IS NULL", tx.NowFunc())
}

// originalUsers describes what the original's two tables of users have in common.
func originalUsers(name string, more ...column) table {
	return table{
		name: name,
		columns: append([]column{
			{"id", "serial PRIMARY KEY", "integer PRIMARY KEY AUTOINCREMENT"},
			same("email", "varchar NOT NULL"),
			same("hashed_password", "varchar NOT NULL"),
			same("full_name", "varchar"),
			same("is_active", "boolean"),
			{createdAt, "timestamptz DEFAULT now()", "datetime DEFAULT CURRENT_TIMESTAMP"},
			{updatedAt, "timestamptz", "datetime"},
		}, more...),
		indexes: []index{{"id", false}, {"email", true}},
	}
}

// adoptAll adopts the tables in order and fills their NULLs.
func adoptAll(tx *gorm.DB, tables ...table) error {
	for _, t := range tables {
		if err := t.adopt(tx); err != nil {
			return err
		}
		if err := fillNulls(tx, t.name); err != nil {
			return err
		}
	}
	return nil
}
