package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// The stamp says whose database it is. Its one row is written by whoever made
// the database and knows; a database without it is opened for nobody.
func tenant202611240230CreateStamp() *gormigrate.Migration {
	stamp := table{
		name:    "tenant_stamp",
		columns: []column{uuidKey(tenantID)},
	}
	return &gormigrate.Migration{
		ID: "202611240230_create_tenant_stamp",
		Migrate: func(tx *gorm.DB) error {
			if err := stamp.adopt(tx); err != nil {
				return err
			}
			return oneRow(tx, stamp.name, tenantID)
		},
	}
}
