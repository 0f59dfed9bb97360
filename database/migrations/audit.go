package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

const auditEvents = "audit_events"

// audit202611251340 makes the table of the audit trail, which is the same at the
// core and in a tenant. The events outlive the users they name, so nothing refers
// to those. more makes what only one of them has.
func audit202611251340(id string, more func(tx *gorm.DB) error) *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: id,
		Migrate: func(tx *gorm.DB) error {
			if err := auditTable202611251340().adopt(tx); err != nil {
				return err
			}
			if err := run(tx, "CREATE INDEX IF NOT EXISTS ix_audit_events_action ON audit_events (action, id)"); err != nil {
				return err
			}
			if err := more(tx); err != nil {
				return err
			}
			return appendOnly202611251340(tx)
		},
		Rollback: func(tx *gorm.DB) error {
			if err := run(tx, "DROP TABLE audit_events"); err != nil || !isPostgres(tx) {
				return err
			}
			return run(tx, "DROP FUNCTION audit_events_refuse_change()")
		},
	}
}

func auditTable202611251340() table {
	const notNull, key = " NOT NULL", " PRIMARY KEY"
	text := func(name string) column { return same(name, "varchar"+notNull) }
	number := func(name string) column { return column{name, "bigint", "integer"} }
	return table{
		name: auditEvents,
		columns: []column{
			{"id", "bigserial" + key, "integer" + key + " AUTOINCREMENT"},
			{"at", "timestamptz" + notNull, "datetime" + notNull},
			text("action"),
			text("outcome"),
			number("actor_id"),
			text("actor"),
			number("reader_id"),
			text("target_kind"),
			number("target_id"),
			text("target_name"),
			text("ip"),
			text("user_agent"),
			text("request_id"),
			text("detail"),
		},
	}
}

// appendOnly202611251340 refuses to whoever may write rows to change or remove
// them. To the owner of the table, who can take the triggers away, it says that
// this is not how it is meant.
func appendOnly202611251340(tx *gorm.DB) error {
	statements := []string{
		`CREATE TRIGGER IF NOT EXISTS audit_events_no_update BEFORE UPDATE ON audit_events
			BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END`,
		`CREATE TRIGGER IF NOT EXISTS audit_events_no_delete BEFORE DELETE ON audit_events
			BEGIN SELECT RAISE(ABORT, 'audit events are never removed'); END`,
		// REPLACE removes rows without asking the trigger above.
		`CREATE TRIGGER IF NOT EXISTS audit_events_no_replace BEFORE INSERT ON audit_events
			WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
			BEGIN SELECT RAISE(ABORT, 'audit events are never replaced'); END`,
	}
	if isPostgres(tx) {
		statements = []string{
			`CREATE OR REPLACE FUNCTION audit_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN
					RAISE EXCEPTION 'audit events are never changed or removed' USING ERRCODE = 'insufficient_privilege';
				END $$`,
			`CREATE OR REPLACE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
				FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse_change()`,
		}
	}
	for _, statement := range statements {
		if err := run(tx, statement); err != nil {
			return err
		}
	}
	return nil
}
