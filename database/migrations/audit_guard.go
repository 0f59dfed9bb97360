package migrations

import (
	"context"

	"gorm.io/gorm"
)

// RemoveEvents runs remove in a transaction in which the trigger of the audit trail does
// not refuse removal. table names the trail, with its schema where it needs one. No other
// transaction can profit from that: none can write to the trail before this one ends. On
// PostgreSQL only the owner of the table may do it, and a tenant's role is not the owner.
func RemoveEvents(ctx context.Context, db *gorm.DB, table string, remove func(tx *gorm.DB) error) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		guardAgain, err := liftGuard(tx, table)
		if err != nil {
			return err
		}
		if err := remove(tx); err != nil {
			return err
		}
		return run(tx, guardAgain)
	})
}

// liftGuard lets events be removed, and returns the statement that ends it.
func liftGuard(tx *gorm.DB, table string) (guardAgain string, err error) {
	if isPostgres(tx) {
		return "ALTER TABLE " + table + " ENABLE TRIGGER audit_events_no_change", inOrder(tx, statements(
			// Writes queue behind this one while it waits for a long transaction.
			"SET LOCAL lock_timeout = '1s'",
			"ALTER TABLE "+table+" DISABLE TRIGGER audit_events_no_change",
		))
	}
	const trigger = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'audit_events_no_delete'"
	if err := tx.Raw(trigger).Row().Scan(&guardAgain); err != nil {
		return "", err
	}
	return guardAgain, run(tx, "DROP TRIGGER audit_events_no_delete")
}
