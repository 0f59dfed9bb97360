package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611251340CreateAuditEvents makes room for what happens in a tenant. Who
// may read one of its events may read all.
func tenant202611251340CreateAuditEvents() *gormigrate.Migration {
	return audit202611251340("202611251340_create_tenant_audit_events", func(*gorm.DB) error { return nil })
}
