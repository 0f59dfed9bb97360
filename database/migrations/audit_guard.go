package migrations

import (
	"context"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// RemoveEvents runs remove in a transaction in which the trigger of the audit trail does
// not refuse removal. table names the trail, with its schema where it needs one. No other
// transaction can profit from that: none can write to the trail before this one ends. On
// PostgreSQL only the owner of the table may do it, and a tenant's role is not the owner.
func RemoveEvents(ctx context.Context, db *gorm.DB, table string, remove func(tx *gorm.DB) error) error {
	return unguarded(ctx, db, guard{table, "audit_events_no_delete"}, remove)
}

// RewriteEvents is RemoveEvents for a change of events. What rewrite replaces, in any
// table, does not stay in the file of an SQLite database.
func RewriteEvents(ctx context.Context, db *gorm.DB, table string, rewrite func(tx *gorm.DB) error) error {
	return unguarded(ctx, db, guard{table, "audit_events_no_update"}, func(tx *gorm.DB) error {
		if isPostgres(tx) {
			return rewrite(tx)
		}
		var isOn bool
		if err := tx.Raw("PRAGMA secure_delete = ON").Row().Scan(&isOn); err != nil {
			return err
		}
		return rewrite(tx)
	})
}

// AddEvents runs add, which adds events with ids of its own, in a transaction. No other
// event gets such an id afterwards. table is that of RemoveEvents.
func AddEvents(ctx context.Context, db *gorm.DB, table string, add func(tx *gorm.DB) error) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := add(tx); err != nil || !isPostgres(tx) { // SQLite looks at the table itself
			return err
		}
		return run(tx, "SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence(?, 'id'), pg_catalog.max(id)) FROM "+table+" HAVING pg_catalog.max(id) > 0", table)
	})
}

// guard is what keeps events from a change: on SQLite the trigger of that name.
type guard struct{ table, trigger string }

func unguarded(ctx context.Context, db *gorm.DB, g guard, do func(tx *gorm.DB) error) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		again, err := g.lift(tx)
		if err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		return run(tx, again)
	})
}

// lift lifts the guard, and returns the statement that puts it back.
func (g guard) lift(tx *gorm.DB) (again string, err error) {
	if isPostgres(tx) {
		return "ALTER TABLE " + g.table + " ENABLE TRIGGER audit_events_no_change", inOrder(tx, statements(
			// Writes queue behind this one while it waits for a long transaction.
			"SET LOCAL lock_timeout = '1s'",
			"ALTER TABLE "+g.table+" DISABLE TRIGGER audit_events_no_change",
		))
	}
	const trigger = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?"
	if err := tx.Raw(trigger, g.trigger).Row().Scan(&again); err != nil {
		return "", err
	}
	return again, run(tx, "DROP TRIGGER "+g.trigger)
}

// AuditFault is a fault of the triggers of the audit trail.
type AuditFault struct {
	Problem string
	Repair  []string // statements; none where only the administrator can mend it
}

// InspectAudit finds that the triggers of the audit trail are missing, disabled or
// changed. A database without the trail has none.
func InspectAudit(ctx context.Context, db *gorm.DB) ([]AuditFault, error) {
	db = db.WithContext(ctx)
	if isPostgres(db) {
		return inspectTrigger(db)
	}
	return inspectTriggers(db)
}

// inspectTrigger looks at the trigger of PostgreSQL: that it fires once before each
// statement that updates, deletes or truncates, and that its function refuses. It does not
// repair a function of another role, which could change it again.
func inspectTrigger(db *gorm.DB) ([]AuditFault, error) {
	var found []struct {
		Body    string // of the function
		IsOurs  bool   // the function may be replaced
		IsFired bool
	}
	err := db.Raw(`
		SELECT coalesce(f.prosrc, '') AS body, f.oid IS NULL OR f.proowner = c.relowner AS is_ours,
			EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audit_events_no_change' AND t.tgfoid = f.oid
				AND t.tgenabled IN ('O', 'A') AND t.tgtype = 58 AND t.tgqual IS NULL AND t.tgattr::pg_catalog.text = '') AS is_fired
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
		LEFT JOIN pg_catalog.pg_proc f ON f.pronamespace = n.oid AND f.proname = 'audit_events_refuse_change' AND f.pronargs = 0
		WHERE c.relname = 'audit_events' AND c.relkind = 'r'`).Scan(&found).Error
	if err != nil || len(found) == 0 || found[0].IsFired && inOneLine(found[0].Body) == inOneLine(refuseChange) {
		return nil, err
	}
	fault := AuditFault{Problem: "the trigger that keeps audit events from change is missing, disabled or changed"}
	if found[0].IsOurs {
		fault.Repair = []string{
			"CREATE OR REPLACE FUNCTION public.audit_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$" + refuseChange + "$$",
			`CREATE OR REPLACE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_events
				FOR EACH STATEMENT EXECUTE FUNCTION public.audit_events_refuse_change()`,
			"ALTER TABLE public.audit_events ENABLE TRIGGER audit_events_no_change",
		}
	}
	return []AuditFault{fault}, nil
}

// inspectTriggers compares the triggers of SQLite with those that there should be.
func inspectTriggers(db *gorm.DB) ([]AuditFault, error) {
	var hasTrail bool
	var found []struct{ Name, SQL string }
	err := db.Raw("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit_events')").Scan(&hasTrail).Error
	if err != nil || !hasTrail {
		return nil, err
	}
	if err := db.Raw("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").Scan(&found).Error; err != nil {
		return nil, err
	}
	var faults []AuditFault
	for _, statement := range auditTriggers() {
		name := strings.Fields(statement)[2]
		isThere := slices.ContainsFunc(found, func(t struct{ Name, SQL string }) bool {
			return t.Name == name && inOneLine(t.SQL) == inOneLine(statement)
		})
		if !isThere {
			faults = append(faults, AuditFault{
				Problem: "the trigger " + name + " is missing or changed",
				Repair:  []string{"DROP TRIGGER IF EXISTS " + name, statement},
			})
		}
	}
	return faults, nil
}

// inOneLine makes all white space alike.
func inOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
