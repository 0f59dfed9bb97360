package models

import (
	"context"

	"gorm.io/gorm"
)

// NewPassword is a new password, and the session that survives the change.
type NewPassword struct {
	Hash        string
	KeepSession int64 // 0 for none
}

// ChangeCorePassword gives a core user another password. It ends their other sessions,
// those inside the tenants of their organizations included, and a pending reset. It
// sets the new user.SessionEpoch. KindWrongPassword when the password has changed since
// the user was read.
func ChangeCorePassword(ctx context.Context, db *gorm.DB, event *Event, user *CoreUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return changeCorePassword(ctx, tx, user, next)
	})
}

func changeCorePassword(ctx context.Context, tx *gorm.DB, user *CoreUser, next NewPassword) error {
	if err := replaceHash[CoreUser](ctx, tx, &user.Account, next.Hash, nextEpoch()); err != nil {
		return err
	}
	if err := readEpoch(tx, user); err != nil {
		return err
	}
	return keepSession(ctx, tx, user.ID, next.KeepSession, user.SessionEpoch)
}

// ChangeTenantPassword is ChangeCorePassword for a user of a tenant who is not the
// owner of its organization.
func ChangeTenantPassword(ctx context.Context, db *gorm.DB, event *Event, user *TenantUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return changeTenantPassword(ctx, tx, user, next)
	})
}

func changeTenantPassword(ctx context.Context, tx *gorm.DB, user *TenantUser, next NewPassword) error {
	if err := replaceHash[TenantUser](ctx, tx, &user.Account, next.Hash, map[string]any{}); err != nil {
		return err
	}
	return keepSession(ctx, tx, user.ID, next.KeepSession, 0)
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
