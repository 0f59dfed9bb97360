package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611291010AddResetIssuers adds the user who issued a reset, whose rights
// decide when it is redeemed.
func tenant202611291010AddResetIssuers() *gormigrate.Migration {
	return addResetIssuers("202611291010_add_tenant_reset_issuers")
}

// addResetIssuers also ends the resets that are pending, since nothing says who issued
// them. They would have been valid for an hour at most.
func addResetIssuers(id string) *gormigrate.Migration {
	type passwordReset struct {
		IssuedBy *int32 // NULL for the operator
	}
	return &gormigrate.Migration{
		ID: id,
		Migrate: func(tx *gorm.DB) error {
			return inOrder(tx, statements("DELETE FROM password_resets"), addColumns(&passwordReset{}, "IssuedBy"))
		},
		Rollback: func(tx *gorm.DB) error {
			return inOrder(tx, statements("DELETE FROM password_resets"), dropColumns("password_resets", "issued_by"))
		},
	}
}
