package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// core202611291601AddSessionParents adds the columns that tenants need, so that the table
// is the same in both. A session at core has no parent.
func core202611291601AddSessionParents() *gormigrate.Migration {
	return addSessionParents("202611291601_add_core_session_parents")
}
