package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// ResetLifetime is how long a password reset is valid.
const ResetLifetime = time.Hour

var (
	errNoReset      = errors.New("no such password reset is pending")
	errResetsNobody = errors.New("password reset belongs to no active user with a password here")
)

// PasswordReset lets the holder of its token choose a new password for the user. It is
// kept in the database of its user, who has one at most.
type PasswordReset struct {
	ID        int64 `gorm:"primaryKey"`
	UserID    int64
	IssuedBy  *int64 // the user of the tenant who issued it; nil for the operator
	TokenHash string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// NewPasswordReset returns a reset that is valid from now on.
func NewPasswordReset(userID int64, tokenHash string, now time.Time) PasswordReset {
	return PasswordReset{UserID: userID, TokenHash: tokenHash, CreatedAt: now, ExpiresAt: now.Add(ResetLifetime)}
}

// IssueCoreReset stores a reset by the operator for a core user, in place of an earlier
// one. KindUserNotFound.
func IssueCoreReset(ctx context.Context, db *gorm.DB, event *Event, reset *PasswordReset) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		user, err := lockUser[CoreUser](ctx, tx, "id = ?", reset.UserID)
		if err != nil {
			return err
		}
		event.About(TargetUser, user.ID, user.Email)
		event.ReaderID = &user.ID
		return replaceReset(ctx, tx, reset)
	})
}

// IssueTenantReset is IssueCoreReset for a user of a tenant, on behalf of the actor of
// the event, who must be allowed to. No user can issue one for themselves, which would
// bypass their current password. The errors: KindCorePassword for the owner of the
// organization, and those of ChangeTenantUser.
func IssueTenantReset(ctx context.Context, db *gorm.DB, event *Event, reset *PasswordReset) error {
	reset.IssuedBy = event.ActorID
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), reset.UserID)
		if err != nil {
			return err
		}
		isOwn := c.actor.ID == c.target.ID
		if c.target.CoreUserID == nil && (!c.actor.Role.MayManage(c.target.Role) || isOwn) {
			return ErrRoleRequired
		}
		return issueTenantReset(ctx, tx, event, reset, &c.target)
	})
}

// IssueOperatorReset is IssueTenantReset by the operator.
func IssueOperatorReset(ctx context.Context, db *gorm.DB, event *Event, reset *PasswordReset) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		target, err := lockUser[TenantUser](ctx, tx, "id = ?", reset.UserID)
		if err != nil {
			return err
		}
		return issueTenantReset(ctx, tx, event, reset, &target)
	})
}

func issueTenantReset(ctx context.Context, tx *gorm.DB, event *Event, reset *PasswordReset, target *TenantUser) error {
	event.About(TargetUser, target.ID, target.Email)
	if target.CoreUserID != nil {
		return Errorf(KindCorePassword, "Password is kept at the core")
	}
	return replaceReset(ctx, tx, reset)
}

// replaceReset stores the reset. The caller must hold the lock on the user.
func replaceReset(ctx context.Context, tx *gorm.DB, reset *PasswordReset) error {
	if err := endReset(ctx, tx, reset.UserID); err != nil {
		return err
	}
	return gorm.G[PasswordReset](tx).Create(ctx, reset)
}

// ResetClaim is a token for a new password, as its hash, and the time of its use.
type ResetClaim struct {
	TokenHash string
	Now       time.Time
	Owner     Owner // of the tenant, at that time
}

// FindClaimant returns the user whose password the claim may change, or
// KindInvalidResetToken.
func FindClaimant[U User](ctx context.Context, db *gorm.DB, claim ResetClaim) (U, error) {
	pending := db.Model(&PasswordReset{}).Select("user_id").Where(isPending, claim.TokenHash, claim.Now)
	user, err := gorm.G[U](db).Where("id = (?) AND is_active = ?", pending, true).Take(ctx)
	return user, lookup(err, ErrInvalidResetToken)
}

// ResetCorePassword gives the claimant another password, uses up the claim, and ends
// all their sessions, those inside the tenants of their organizations included.
// KindInvalidResetToken when the claim is no longer valid.
func ResetCorePassword(ctx context.Context, db *gorm.DB, event *Event, claim ResetClaim, hash string) (CoreUser, error) {
	var user CoreUser
	err := recorded(ctx, db, event, func(tx *gorm.DB) (err error) {
		if user, err = takeReset[CoreUser](ctx, tx, claim, func(*PasswordReset) error { return nil }); err != nil {
			return err
		}
		return changeCorePassword(ctx, tx, &user, NewPassword{Hash: hash})
	})
	return user, err
}

// ResetTenantPassword is ResetCorePassword for a user of a tenant. The user who issued
// the reset must still be allowed to.
func ResetTenantPassword(ctx context.Context, db *gorm.DB, event *Event, claim ResetClaim, hash string) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		user, err := takeReset[TenantUser](ctx, tx, claim, func(reset *PasswordReset) error {
			return checkIssuer(ctx, tx, claim.Owner, reset)
		})
		if err != nil {
			return err
		}
		if user.CoreUserID != nil {
			return ErrInvalidResetToken.Because(errResetsNobody)
		}
		return changeTenantPassword(ctx, tx, &user, NewPassword{Hash: hash})
	})
}

// checkIssuer locks the issuer and the user of the reset, and returns an error unless
// the issuer may still manage the user. The operator always may.
func checkIssuer(ctx context.Context, tx *gorm.DB, owner Owner, reset *PasswordReset) error {
	if reset.IssuedBy == nil {
		return nil
	}
	c, err := lockIssuer(ctx, tx, owner, *reset.IssuedBy, reset.UserID)
	if err == nil && !c.actor.Role.MayManage(c.target.Role) {
		err = ErrRoleRequired
	}
	return refuseAs(ErrInvalidResetToken, err)
}

// takeReset uses the claim up and returns its user, locked. check may refuse the reset.
// The users are locked first, as by every change of a password: another order could
// deadlock.
func takeReset[U User](
	ctx context.Context, tx *gorm.DB, claim ResetClaim, check func(reset *PasswordReset) error,
) (U, error) {
	reset, err := gorm.G[PasswordReset](tx).Where(isPending, claim.TokenHash, claim.Now).Take(ctx)
	if err == nil {
		err = check(&reset)
	}
	if err != nil {
		var none U
		return none, lookup(err, ErrInvalidResetToken)
	}
	user, err := lockUser[U](ctx, tx, "id = ? AND is_active = ?", reset.UserID, true)
	if IsKind(err, KindUserNotFound) {
		return user, ErrInvalidResetToken.Because(errResetsNobody)
	}
	if err != nil {
		return user, err
	}
	taken, err := gorm.G[PasswordReset](tx).Where(isPending, claim.TokenHash, claim.Now).Delete(ctx)
	if err == nil && taken == 0 {
		return user, ErrInvalidResetToken.Because(errNoReset)
	}
	return user, err
}

// isPending is the condition of a reset that a claim may use.
const isPending = "token_hash = ? AND expires_at > ?"

// endReset ends the pending password reset of a user, if there is one.
func endReset(ctx context.Context, tx *gorm.DB, userID int64) error {
	_, err := gorm.G[PasswordReset](tx).Where("user_id = ?", userID).Delete(ctx)
	return err
}

// lockUser returns the user of that condition, locked until the transaction ends.
func lockUser[U User](ctx context.Context, tx *gorm.DB, condition string, args ...any) (U, error) {
	user, err := gorm.G[U](tx, forUpdate()).Where(condition, args...).Take(ctx)
	return user, lookup(err, ErrUserNotFound)
}
