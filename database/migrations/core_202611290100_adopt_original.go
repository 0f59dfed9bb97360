package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611290100AdoptOriginal adopts or creates the core tables of the original.
// Its way back touches nothing: the tables and rows may have been there before us.
func core202611290100AdoptOriginal() *gormigrate.Migration {
	organizations := table{
		name: "organizations",
		columns: []column{
			{"id", "serial PRIMARY KEY", "integer PRIMARY KEY AUTOINCREMENT"},
			same("name", "varchar NOT NULL"),
			same("slug", "varchar NOT NULL"),
			same("description", "varchar"),
			same("owner_id", "integer NOT NULL REFERENCES core_users (id)"),
			same("is_active", "boolean"),
			{createdAt, "timestamptz DEFAULT now()", "datetime DEFAULT CURRENT_TIMESTAMP"},
			{updatedAt, "timestamptz", "datetime"},
		},
		indexes: []index{{"id", false}, {"slug", true}, {"owner_id", false}},
	}
	return &gormigrate.Migration{
		ID: "202611290100_adopt_core_original",
		Migrate: func(tx *gorm.DB) error {
			return adoptAll(tx, originalUsers("core_users"), organizations)
		},
		Rollback: func(*gorm.DB) error { return nil },
	}
}
