package migrations

import (
	"time"

	"gorm.io/gorm"
)

// These tables are the same at core and in a tenant, as of 2026-11-29. GORM makes
// every integer key an AUTOINCREMENT or bigserial: no id is used twice.

// sessionColumns holds hashes of refresh tokens, never the tokens.
type sessionColumns struct {
	ID           int64     `gorm:"primaryKey"`
	UserID       int32     `gorm:"not null;index:ix_sessions_user_id"`
	Epoch        int64     `gorm:"not null"`
	FamilyHash   string    `gorm:"type:varchar;not null"`
	TokenHash    string    `gorm:"type:varchar;not null"`
	PreviousHash string    `gorm:"type:varchar;not null"`
	Salt         string    `gorm:"type:varchar;not null"`
	IP           string    `gorm:"type:varchar;not null"`
	UserAgent    string    `gorm:"type:varchar;not null"`
	CreatedAt    time.Time `gorm:"not null"`
	LastUsedAt   time.Time `gorm:"not null"`
	ExpiresAt    time.Time `gorm:"not null"`
}

// passwordResetColumns holds hashes of tokens, never the tokens. A user has at most
// one pending reset.
type passwordResetColumns struct {
	ID        int64     `gorm:"primaryKey"`
	UserID    int32     `gorm:"not null;uniqueIndex:ix_password_resets_user_id"`
	TokenHash string    `gorm:"type:varchar;not null;uniqueIndex:ix_password_resets_token_hash"`
	CreatedAt time.Time `gorm:"not null"`
	ExpiresAt time.Time `gorm:"not null"`
}

// createAudit creates the table of the audit trail. The events outlive the users
// that they name, so they have no foreign key.
func createAudit(tx *gorm.DB) error {
	type auditEvent struct {
		ID         int64     `gorm:"primaryKey;index:ix_audit_events_action,priority:2"`
		At         time.Time `gorm:"not null"`
		Action     string    `gorm:"type:varchar;not null;index:ix_audit_events_action,priority:1"`
		Outcome    string    `gorm:"type:varchar;not null"`
		ActorID    *int64
		Actor      string `gorm:"type:varchar;not null"`
		ReaderID   *int64
		TargetKind string `gorm:"type:varchar;not null"`
		TargetID   *int64
		TargetName string `gorm:"type:varchar;not null"`
		IP         string `gorm:"type:varchar;not null"`
		UserAgent  string `gorm:"type:varchar;not null"`
		RequestID  string `gorm:"type:varchar;not null"`
		Detail     string `gorm:"type:varchar;not null"`
	}
	if err := tx.Migrator().CreateTable(&auditEvent{}); err != nil {
		return err
	}
	return protectAudit(tx)
}

// protectAudit refuses the change and removal of events by triggers, which GORM does
// not know. The owner of the table could remove the triggers; to the owner they say
// that events are not meant to change.
func protectAudit(tx *gorm.DB) error {
	if isPostgres(tx) {
		return inOrder(tx, statements(
			"CREATE OR REPLACE FUNCTION audit_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$"+refuseChange+"$$",
			`CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
				FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse_change()`,
		))
	}
	return inOrder(tx, statements(auditTriggers()...))
}

// refuseChange is the body of the function that the trigger calls on PostgreSQL.
const refuseChange = `
				BEGIN
					RAISE EXCEPTION 'audit events are never changed or removed' USING ERRCODE = 'insufficient_privilege';
				END `

// auditTriggers creates the triggers on SQLite.
func auditTriggers() []string {
	return []string{
		`CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
			BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END`,
		`CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
			BEGIN SELECT RAISE(ABORT, 'audit events are never removed'); END`,
		// REPLACE removes rows without firing the trigger above.
		`CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
			WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
			BEGIN SELECT RAISE(ABORT, 'audit events are never replaced'); END`,
	}
}

func dropAudit(tx *gorm.DB) error {
	if err := run(tx, "DROP TABLE audit_events"); err != nil || !isPostgres(tx) {
		return err
	}
	return run(tx, "DROP FUNCTION audit_events_refuse_change()")
}
