package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611251340CreateAuditEvents makes room for what happens at the core, with
// a short way to what one core user may read of it.
func core202611251340CreateAuditEvents() *gormigrate.Migration {
	return audit202611251340("202611251340_create_core_audit_events", func(tx *gorm.DB) error {
		return run(tx, "CREATE INDEX IF NOT EXISTS ix_audit_events_reader_id ON audit_events (reader_id, id)")
	})
}
