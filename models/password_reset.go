package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ResetLifetime is how long a password reset is good for.
const ResetLifetime = time.Hour

var (
	errNoReset      = errors.New("no such password reset is pending")
	errResetsNobody = errors.New("password reset is of nobody who is active and has a password here")
)

// PasswordReset lets whoever has its token choose a new password for the user. It
// is kept in the database that its user is in; a user has one at most.
type PasswordReset struct {
	ID        int64 `gorm:"primaryKey"`
	UserID    int64
	TokenHash string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// NewPasswordReset returns one that is good from now on.
func NewPasswordReset(userID int64, tokenHash string, now time.Time) PasswordReset {
	return PasswordReset{UserID: userID, TokenHash: tokenHash, CreatedAt: now, ExpiresAt: now.Add(ResetLifetime)}
}

// IssueCoreReset puts the reset in place of the one that its user may have, or is
// KindUserNotFound.
func IssueCoreReset(ctx context.Context, db *gorm.DB, reset *PasswordReset) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if _, err := lockUser[CoreUser](tx, reset.UserID); err != nil {
			return err
		}
		return replaceReset(ctx, tx, reset)
	})
}

// IssueTenantReset is IssueCoreReset for a user of a tenant, on behalf of the
// actor, who must be allowed to when it happens, and returns whose it is. Nobody
// gets round their own current password by it. The errors: KindCorePassword for the
// organization's owner, and those of ChangePerson.
func IssueTenantReset(ctx context.Context, db *gorm.DB, reset *PasswordReset, actorID int64) (target TenantUser, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, actorID, reset.UserID)
		if err != nil {
			return err
		}
		target = c.target
		if target.CoreUserID == nil && (!c.actor.Role.MayManage(target.Role) || actorID == target.ID) {
			return ErrRoleRequired
		}
		return issueTenantReset(ctx, tx, reset, &target)
	})
	return target, err
}

// IssueOperatorReset is IssueTenantReset for whoever runs the server.
func IssueOperatorReset(ctx context.Context, db *gorm.DB, reset *PasswordReset) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		target, err := lockUser[TenantUser](tx, reset.UserID)
		if err != nil {
			return err
		}
		return issueTenantReset(ctx, tx, reset, &target)
	})
}

func issueTenantReset(ctx context.Context, tx *gorm.DB, reset *PasswordReset, target *TenantUser) error {
	if target.CoreUserID != nil {
		return Errorf(KindCorePassword, "Password is kept at the core")
	}
	return replaceReset(ctx, tx, reset)
}

// replaceReset may be called only by who has locked the user.
func replaceReset(ctx context.Context, tx *gorm.DB, reset *PasswordReset) error {
	if err := EndReset(ctx, tx, reset.UserID); err != nil {
		return err
	}
	return tx.WithContext(ctx).Model(&PasswordReset{}).Create(reset).Error
}

// ResetClaim is what somebody comes with who wants to choose a new password.
type ResetClaim struct {
	TokenHash string
	Now       time.Time
}

// FindClaimant returns the user whose password the claim may change, or
// KindInvalidResetToken.
func FindClaimant[U User](ctx context.Context, db *gorm.DB, claim ResetClaim) (U, error) {
	pending := pendingResets(ctx, db, claim).Select("user_id")
	user, err := gorm.G[U](db).Where("id = (?) AND is_active = ?", pending, true).Take(ctx)
	return user, lookup(err, ErrInvalidResetToken)
}

// ResetCorePassword gives the claimant another password, uses up the claim, and
// ends all their sessions, those inside the tenants they own included. It is
// KindInvalidResetToken where the claim is good no longer.
func ResetCorePassword(ctx context.Context, db *gorm.DB, claim ResetClaim, hash string) (CoreUser, error) {
	var user CoreUser
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		if user, err = takeReset[CoreUser](ctx, tx, claim); err != nil {
			return err
		}
		return ChangeCorePassword(ctx, tx, &user, hash, 0)
	})
	return user, err
}

// ResetTenantPassword is ResetCorePassword for a user of a tenant.
func ResetTenantPassword(ctx context.Context, db *gorm.DB, claim ResetClaim, hash string) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		user, err := takeReset[TenantUser](ctx, tx, claim)
		if err != nil {
			return err
		}
		if user.CoreUserID != nil {
			return ErrInvalidResetToken.Because(errResetsNobody)
		}
		return ChangeTenantPassword(ctx, tx, &user, hash, 0)
	})
}

// takeReset uses the claim up and returns its user, locked. The user comes first,
// as with all who change a password: in another order two would wait for each other.
func takeReset[U User](ctx context.Context, tx *gorm.DB, claim ResetClaim) (U, error) {
	var reset PasswordReset
	if err := pendingResets(ctx, tx, claim).Take(&reset).Error; err != nil {
		var nobody U
		return nobody, lookup(err, ErrInvalidResetToken)
	}
	user, err := lockUser[U](tx.Where("is_active = ?", true), reset.UserID)
	if IsKind(err, KindUserNotFound) {
		return user, ErrInvalidResetToken.Because(errResetsNobody)
	}
	if err != nil {
		return user, err
	}
	taken := pendingResets(ctx, tx, claim).Delete(&PasswordReset{})
	if taken.Error == nil && taken.RowsAffected == 0 {
		return user, ErrInvalidResetToken.Because(errNoReset)
	}
	return user, taken.Error
}

func pendingResets(ctx context.Context, db *gorm.DB, claim ResetClaim) *gorm.DB {
	return db.WithContext(ctx).Model(&PasswordReset{}).Where("token_hash = ? AND expires_at > ?", claim.TokenHash, claim.Now)
}

// EndReset ends the password reset that the user may have pending.
func EndReset(ctx context.Context, db *gorm.DB, userID int64) error {
	return db.WithContext(ctx).Model(&PasswordReset{}).Where("user_id = ?", userID).Delete(&PasswordReset{}).Error
}

func lockUser[U User](tx *gorm.DB, id int64) (U, error) {
	var user U
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", id).Take(&user).Error
	return user, lookup(err, ErrUserNotFound)
}
