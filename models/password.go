package models

import (
	"context"

	"gorm.io/gorm"
)

// ChangeCorePassword gives a user of the core another password, and ends all
// their sessions but the one to keep, those inside the tenants they own included:
// user.SessionEpoch is another then. A reset that is pending ends with them.
// KindWrongPassword when the password was changed since the user was read.
func ChangeCorePassword(ctx context.Context, db *gorm.DB, user *CoreUser, hash string, keep int64) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := replaceHash[CoreUser](tx, &user.Account, hash, nextEpoch()); err != nil {
			return err
		}
		if err := readEpoch(tx, user); err != nil {
			return err
		}
		return KeepSession(ctx, tx, user.ID, keep, user.SessionEpoch)
	})
}

// ChangeTenantPassword is ChangeCorePassword for a user of a tenant who is not
// its owner.
func ChangeTenantPassword(ctx context.Context, db *gorm.DB, user *TenantUser, hash string, keep int64) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := replaceHash[TenantUser](tx, &user.Account, hash, map[string]any{}); err != nil {
			return err
		}
		return KeepSession(ctx, tx, user.ID, keep, 0)
	})
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
	return EndReset(tx.Statement.Context, tx, user.ID)
}
