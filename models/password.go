package models

import (
	"context"

	"gorm.io/gorm"
)

// ChangeCorePassword gives a user of the core another password, and ends all
// their sessions but the one to keep, those inside the tenants they own included:
// user.SessionEpoch is another then. KindWrongPassword when the password was
// changed since the user was read.
func ChangeCorePassword(ctx context.Context, db *gorm.DB, user *CoreUser, hash string, keep int64) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		columns := map[string]any{"session_epoch": gorm.Expr("session_epoch + 1")}
		if err := replaceHash[CoreUser](tx, &user.Account, hash, columns); err != nil {
			return err
		}
		// The row is locked: it is the epoch that was just made.
		if err := tx.Model(user).Select("session_epoch").Take(user).Error; err != nil {
			return err
		}
		return KeepSession[CoreUser](ctx, tx, user.ID, keep, user.SessionEpoch)
	})
}

// ChangeTenantPassword is ChangeCorePassword for a user of a tenant who is not
// its owner.
func ChangeTenantPassword(ctx context.Context, db *gorm.DB, user *TenantUser, hash string, keep int64) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := replaceHash[TenantUser](tx, &user.Account, hash, map[string]any{}); err != nil {
			return err
		}
		return KeepSession[TenantUser](ctx, tx, user.ID, keep, 0)
	})
}

func replaceHash[U User](tx *gorm.DB, user *Account, hash string, columns map[string]any) error {
	var model U
	columns["hashed_password"] = hash
	columns["updated_at"] = tx.NowFunc()
	replaced := tx.Model(&model).Where("id = ? AND hashed_password = ?", user.ID, user.HashedPassword).UpdateColumns(columns)
	if replaced.Error == nil && replaced.RowsAffected == 0 {
		return ErrWrongPassword()
	}
	return replaced.Error
}

// ErrWrongPassword is what a caller is told whose current password is another.
func ErrWrongPassword() *Error {
	return Errorf(KindWrongPassword, "Incorrect password")
}
