package models

import (
	"context"

	"gorm.io/gorm"
)

// NewPassword is the hash of a new password, and the session that begins with it.
type NewPassword struct {
	Hash    string
	Session *Session // nil for none
}

// ChangeCorePassword gives a core user another password. It ends all their sessions,
// those inside the tenants of their organizations included, and a pending reset, and
// then begins next.Session. It sets the new user.SessionEpoch. KindWrongPassword when
// the password has changed since the user was read.
func ChangeCorePassword(ctx context.Context, db *gorm.DB, event *Event, user *CoreUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return changeCorePassword(ctx, tx, user, next)
	})
}

func changeCorePassword(ctx context.Context, tx *gorm.DB, user *CoreUser, next NewPassword) error {
	if err := replaceHash[CoreUser](ctx, tx, &user.Account, next.Hash, nextEpoch(tx)); err != nil {
		return err
	}
	if err := readEpoch(tx, user); err != nil {
		return err
	}
	return renewSessions(ctx, tx, user.ID, user.SessionEpoch, next.Session)
}

// ChangeTenantPassword is ChangeCorePassword for a user of a tenant who is not the
// owner of its organization. KindInvalidToken when the user was removed or deactivated
// meanwhile.
func ChangeTenantPassword(ctx context.Context, db *gorm.DB, event *Event, user *TenantUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := lockActive(ctx, tx, user.ID); err != nil {
			return err
		}
		return changeTenantPassword(ctx, tx, user, next)
	})
}

func changeTenantPassword(ctx context.Context, tx *gorm.DB, user *TenantUser, next NewPassword) error {
	if err := replaceHash[TenantUser](ctx, tx, &user.Account, next.Hash, map[string]any{}); err != nil {
		return err
	}
	return renewSessions(ctx, tx, user.ID, 0, next.Session)
}

func replaceHash[U User](ctx context.Context, tx *gorm.DB, user *Account, hash string, columns map[string]any) error {
	var model U
	columns["hashed_password"] = hash
	columns["updated_at"] = tx.NowFunc()
	replaced := tx.Model(&model).Where("id = ? AND hashed_password = ?", user.ID, user.HashedPassword).UpdateColumns(columns)
	if replaced.Error == nil && replaced.RowsAffected == 0 {
		return ErrWrongPassword
	}
	if replaced.Error != nil {
		return replaced.Error
	}
	return endReset(ctx, tx, user.ID)
}
