package models

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// MaxSessions bounds a user's sessions: beyond it the oldest ends.
const MaxSessions = 100

// Session is what a login begins and a logout ends: a family of refresh tokens,
// of which one is good, and the access tokens that come with them. One that is
// ended is deleted. It is kept in the database that its user is in.
type Session struct {
	ID     int64 `gorm:"primaryKey"`
	UserID int64
	// Epoch is the SessionEpoch that the user, or the owner that the user is, had
	// when it began.
	Epoch int64

	FamilyHash   string // of what all its refresh tokens have in common
	TokenHash    string // of the good one's secret
	PreviousHash string // of the secret of the one before; empty at first
	Salt         string // what the good one was made with from the one before

	IP         string
	UserAgent  string
	CreatedAt  time.Time
	LastUsedAt time.Time // when the good one was made
	ExpiresAt  time.Time
}

// TableName names the table; GORM asks for it.
func (Session) TableName() string { return "sessions" }

// CreateSession begins a session of a user whose password was found to have this
// hash. If either has changed since, it is KindInvalidCredentials: nobody gets in
// by a password that was changed meanwhile. What the user no longer has any use
// for is removed.
func CreateSession[U User](ctx context.Context, db *gorm.DB, session *Session, hash string) error {
	var user U
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// Whoever changes the password waits for this, or this for them.
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Select("id").Where("id = ? AND hashed_password = ? AND is_active = ?", session.UserID, hash, true).
			Take(&user).Error
		if err != nil {
			return lookup(err, ErrInvalidCredentials)
		}
		if err := tidySessions(tx, session); err != nil {
			return err
		}
		return tx.Create(session).Error
	})
}

// tidySessions makes room for one more: it removes those that have ended and,
// where there are too many, the oldest.
func tidySessions(tx *gorm.DB, next *Session) error {
	const living = "user_id = ? AND expires_at > ? AND epoch >= ?"
	args := []any{next.UserID, next.CreatedAt, next.Epoch}
	kept := tx.Model(&Session{}).Select("id").Where(living, args...).Order("id DESC").Limit(MaxSessions - 1)
	return tx.Where("user_id = ? AND id NOT IN (?)", next.UserID, kept).Delete(&Session{}).Error
}

// FindSession returns the session with that id, or KindSessionNotFound.
func FindSession(ctx context.Context, db *gorm.DB, id int64) (Session, error) {
	var session Session
	err := db.WithContext(ctx).Model(&Session{}).Where("id = ?", id).Take(&session).Error
	return session, lookup(err, ErrSessionNotFound)
}

// SessionPage is a part of a list of sessions: at most Limit of those that have
// not expired and began after Since, the newest first, with an id less than Before
// where that is not zero.
type SessionPage struct {
	Before     int64
	Limit      int
	Since, Now time.Time
}

// ListSessions returns a page of the sessions of a user who is signed in.
func ListSessions(ctx context.Context, db *gorm.DB, user *Account, page SessionPage) ([]Session, error) {
	// The user's own lives, so that those of an earlier epoch do not.
	query := db.WithContext(ctx).Model(&Session{}).
		Where("user_id = ? AND epoch >= ? AND expires_at > ? AND created_at > ?", user.ID, *user.signedIn.epoch, page.Now, page.Since)
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	var sessions []Session
	err := query.Order("id DESC").Limit(page.Limit).Find(&sessions).Error
	return sessions, err
}

// RotateSession keeps what next has of another refresh token, if the one whose
// hash is given is still the good one, and reports whether it was.
func RotateSession(ctx context.Context, db *gorm.DB, next *Session, hash string) (bool, error) {
	rotated := db.WithContext(ctx).Model(&Session{}).Where("id = ? AND token_hash = ?", next.ID, hash).
		Select("token_hash", "previous_hash", "salt", "ip", "user_agent", "last_used_at", "expires_at").Updates(next)
	return rotated.RowsAffected > 0, rotated.Error
}

// EndSession ends one of the user's sessions; KindSessionNotFound when it is not
// theirs, or has ended.
func EndSession(ctx context.Context, db *gorm.DB, userID, id int64) error {
	ended := db.WithContext(ctx).Model(&Session{}).Where("id = ? AND user_id = ?", id, userID).Delete(&Session{})
	if ended.Error == nil && ended.RowsAffected == 0 {
		return ErrSessionNotFound
	}
	return ended.Error
}

// EndSessions ends all of the user's sessions.
func EndSessions(ctx context.Context, db *gorm.DB, userID int64) error {
	return db.WithContext(ctx).Model(&Session{}).Where("user_id = ?", userID).Delete(&Session{}).Error
}

// EndSessionsEverywhere ends all sessions of a user of the core, and those inside
// the tenants they own: user.SessionEpoch is another then. KindUserNotFound when
// they have gone meanwhile.
func EndSessionsEverywhere(ctx context.Context, db *gorm.DB, user *CoreUser) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Model(&CoreUser{}).Where("id = ?", user.ID).UpdateColumns(nextEpoch()).Error; err != nil {
			return err
		}
		if err := readEpoch(tx, user); err != nil {
			return err
		}
		return EndSessions(ctx, tx, user.ID)
	})
}

func nextEpoch() map[string]any {
	return map[string]any{"session_epoch": gorm.Expr("session_epoch + 1")}
}

// readEpoch may be called only by who has just made it: the row is locked.
func readEpoch(tx *gorm.DB, user *CoreUser) error {
	return lookup(tx.Model(user).Select("session_epoch").Take(user).Error, ErrUserNotFound)
}

// KeepSession ends all of the user's sessions but one, which is as good as new:
// it is of that epoch.
func KeepSession(ctx context.Context, db *gorm.DB, userID, id, epoch int64) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.WithContext(ctx).Model(&Session{}).Where("id = ? AND user_id = ?", id, userID).Update("epoch", epoch).Error
		if err != nil {
			return err
		}
		return tx.WithContext(ctx).Model(&Session{}).Where("id <> ? AND user_id = ?", id, userID).Delete(&Session{}).Error
	})
}
