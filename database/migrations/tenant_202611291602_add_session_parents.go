package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611291602AddSessionParents adds the core session that made a session inside,
// which ends with it. It ends the sessions of the organization's owner, since nothing says
// which of them a core session has made. So does the rollback, after which such a session
// would outlive its parent.
func tenant202611291602AddSessionParents() *gormigrate.Migration {
	endOwners := statements("DELETE FROM sessions WHERE user_id IN (SELECT id FROM tenant_users WHERE core_user_id IS NOT NULL)")
	m := addSessionParents("202611291602_add_tenant_session_parents")
	add, drop := m.Migrate, m.Rollback
	m.Migrate = func(tx *gorm.DB) error { return inOrder(tx, endOwners, add) }
	m.Rollback = func(tx *gorm.DB) error { return inOrder(tx, endOwners, drop) }
	return m
}

func addSessionParents(id string) *gormigrate.Migration {
	type session struct {
		ParentID     int64  `gorm:"not null;default:0"` // 0 for a session without a parent
		ParentFamily string `gorm:"type:varchar;not null;default:('')"`
	}
	return &gormigrate.Migration{
		ID:       id,
		Migrate:  func(tx *gorm.DB) error { return addColumns(&session{}, "ParentID", "ParentFamily")(tx) },
		Rollback: func(tx *gorm.DB) error { return dropColumns("sessions", "parent_id", "parent_family")(tx) },
	}
}
