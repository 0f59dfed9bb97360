package database_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
)

// The name of the violated constraint is the same on both engines.
func TestDuplicatesNameTheirConstraint(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		db := open(t, url).Core().WithContext(t.Context())
		for _, statement := range []string{
			"CREATE TABLE a (id integer PRIMARY KEY, name varchar, x integer, y integer)",
			"CREATE UNIQUE INDEX ix_a_name ON a (name)",
			"CREATE UNIQUE INDEX ix_a_x_y ON a (x, y)",
			"CREATE TABLE c (x integer)",
			"CREATE UNIQUE INDEX ix_c_one ON c ((x > 0))",
			"INSERT INTO c VALUES (1)",
			"CREATE TABLE b (id varchar PRIMARY KEY)",
			"INSERT INTO a VALUES (1, 'UNIQUE constraint failed: a.id (1)', 1, 1)",
			"INSERT INTO b VALUES ('x')",
		} {
			require.NoError(t, db.Exec(statement).Error, statement)
		}
		for statement, want := range map[string]string{
			"INSERT INTO a VALUES (1, 'x', 5, 5)":                                  "a_pkey",
			"INSERT INTO a VALUES (2, 'UNIQUE constraint failed: a.id (1)', 5, 5)": "ix_a_name",
			"INSERT INTO a VALUES (2, 'x', 1, 1)":                                  "ix_a_x_y",
			"INSERT INTO c VALUES (2)":                                             "ix_c_one",
			"INSERT INTO b VALUES ('x')":                                           "b_pkey",
		} {
			err := db.Exec(statement).Error
			require.ErrorIs(t, err, gorm.ErrDuplicatedKey, statement)
			found, ok := errors.AsType[*database.DuplicateError](err)
			require.True(t, ok, statement)
			require.Equal(t, want, found.Constraint(), statement)
		}
	})
}
