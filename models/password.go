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
		return changeCorePassword(tx, user, next)
	})
}

func changeCorePassword(tx *gorm.DB, user *CoreUser, next NewPassword) error {
	if err := replaceHash[CoreUser](tx, &user.Account, next.Hash, nextEpoch()); err != nil {
		return err
	}
	if err := readEpoch(tx, user); err != nil {
		return err
	}
	return keepSession(tx, user.ID, next.KeepSession, user.SessionEpoch)
}

// ChangeTenantPassword is ChangeCorePassword for a user of a tenant who is not the
// owner of its organization.
func ChangeTenantPassword(ctx context.Context, db *gorm.DB, event *Event, user *TenantUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return changeTenantPassword(tx, user, next)
	})
}

func changeTenantPassword(tx *gorm.DB, user *TenantUser, next NewPassword) error {
	if err := replaceHash[TenantUser](tx, &user.Account, next.Hash, map[string]any{}); err != nil {
		return err
	}
	return keepSession(tx, user.ID, next.KeepSession, 0)
}

func replaceHash[U User](tx *gorm.DB, user *Account, hash string, columns map[string]any) error {
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
	return endReset(tx, user.ID)
}
