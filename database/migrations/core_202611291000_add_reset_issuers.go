package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// core202611291000AddResetIssuers adds the column that tenants need, so that the table
// is the same in both. At core it stays empty: the operator alone issues resets there.
func core202611291000AddResetIssuers() *gormigrate.Migration {
	return addResetIssuers("202611291000_add_core_reset_issuers")
}
