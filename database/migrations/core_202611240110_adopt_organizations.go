package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

func core202611240110AdoptOrganizations() *gormigrate.Migration {
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
		ID: "202611240110_adopt_organizations",
		Migrate: func(tx *gorm.DB) error {
			if err := organizations.adopt(tx); err != nil {
				return err
			}
			return fillNulls(tx, organizations.name)
		},
	}
}
