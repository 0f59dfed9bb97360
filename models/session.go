package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// MaxSessions bounds a user's sessions: beyond it the oldest ends.
const MaxSessions = 100

// Session begins with a login and ends with a logout. It is a family of refresh
// tokens, of which one is valid, and their access tokens. A session that ends is
// deleted. It is kept in the database of its user.
type Session struct {
	ID     int64 `gorm:"primaryKey"`
	UserID int64
	// Epoch is the SessionEpoch of the core user when the session began; 0 for a user
	// of a tenant who is no owner.
	Epoch int64
	// ParentID and ParentFamily are the key of the core session that made this one; zero
	// for a session that began with a password.
	ParentID     int64
	ParentFamily string

	FamilyHash   string // of the part that all its refresh tokens share
	TokenHash    string // of the secret of the valid token
	PreviousHash string // of the secret of the token before; empty at first
	Salt         string // with which the valid token was derived from the one before

	IP         string
	UserAgent  string
	CreatedAt  time.Time
	LastUsedAt time.Time // when the valid token was made
	ExpiresAt  time.Time
}

// TableName names the table; GORM asks for it.
func (Session) TableName() string { return "sessions" }

// SessionKey names a session in a token. The id finds the session, and the family proves
// that it is the same one: a database restored from a backup gives ids out again.
type SessionKey struct {
	ID         int64
	FamilyHash string
}

// Key returns the session's key.
func (s *Session) Key() SessionKey { return SessionKey{s.ID, s.FamilyHash} }

// Parent returns the key of the core session that made this one, and that it ends with;
// zero for a session that began with a password.
func (s *Session) Parent() SessionKey { return SessionKey{s.ParentID, s.ParentFamily} }

// CreateSession begins a session of a user whose password had this hash when it was
// compared. KindInvalidCredentials when the password or the user's state has changed
// since. It also removes sessions of the user that have ended.
func CreateSession[U User](ctx context.Context, db *gorm.DB, event *Event, session *Session, hash string) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return createSession[U](ctx, tx, event, session, hash)
	})
}

func createSession[U User](ctx context.Context, tx *gorm.DB, event *Event, session *Session, hash string) error {
	// The lock makes a concurrent change of the password wait for this session.
	_, err := gorm.G[U](tx, forUpdate()).Select("id").
		Where("id = ? AND hashed_password = ? AND is_active = ?", session.UserID, hash, true).Take(ctx)
	if err != nil {
		return lookup(err, ErrInvalidCredentials)
	}
	if err := tidySessions(ctx, tx, session); err != nil {
		return err
	}
	if err := gorm.G[Session](tx).Create(ctx, session); err != nil {
		return err
	}
	event.About(TargetSession, session.ID, "")
	return nil
}

// tidySessions removes the user's sessions that have ended, and the oldest beyond
// MaxSessions.
func tidySessions(ctx context.Context, tx *gorm.DB, next *Session) error {
	const living = "user_id = ? AND expires_at > ? AND epoch >= ?"
	args := []any{next.UserID, next.CreatedAt, next.Epoch}
	kept := tx.Model(&Session{}).Select("id").Where(living, args...).Order("id DESC").Limit(MaxSessions - 1)
	_, err := gorm.G[Session](tx).Where("user_id = ? AND id NOT IN (?)", next.UserID, kept).Delete(ctx)
	return err
}

// FindSession returns the session with that id, or KindSessionNotFound.
func FindSession(ctx context.Context, db *gorm.DB, id int64) (Session, error) {
	session, err := gorm.G[Session](db).Where("id = ?", id).Take(ctx)
	return session, lookup(err, ErrSessionNotFound)
}

// FindSessionByKey returns the session with that key, or KindSessionNotFound.
func FindSessionByKey(ctx context.Context, db *gorm.DB, key SessionKey) (Session, error) {
	session, err := gorm.G[Session](db).Where("id = ? AND family_hash = ?", key.ID, key.FamilyHash).Take(ctx)
	return session, lookup(err, ErrSessionNotFound)
}

// SessionPage selects a page of sessions: at most Limit that have not expired and
// began after Since, the newest first. Before, if not zero, is above their ids.
type SessionPage struct {
	Before     int64
	Limit      int
	Since, Now time.Time
}

// ListSessions returns a page of the sessions of a signed-in user.
func ListSessions(ctx context.Context, db *gorm.DB, user *Account, page SessionPage) ([]Session, error) {
	// The user is signed in by a session of the current epoch, so earlier ones have ended.
	query := gorm.G[Session](db).
		Where("user_id = ? AND epoch >= ? AND expires_at > ? AND created_at > ?", user.ID, *user.signedIn.epoch, page.Now, page.Since)
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	return query.Order("id DESC").Limit(page.Limit).Find(ctx)
}

// RotateSession stores the next refresh token if the one with that hash is still the
// valid one, and reports whether it was.
func RotateSession(ctx context.Context, db *gorm.DB, next *Session, hash string) (bool, error) {
	rotated, err := gorm.G[Session](db).Where("id = ? AND token_hash = ?", next.ID, hash).
		Select("token_hash", "previous_hash", "salt", "ip", "user_agent", "last_used_at", "expires_at").Updates(ctx, *next)
	return rotated > 0, err
}

// EndSession ends a session of the actor of the event; KindSessionNotFound when it has
// ended, or is another user's.
func EndSession(ctx context.Context, db *gorm.DB, event *Event, id int64) error {
	event.About(TargetSession, id, "")
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		ended, err := gorm.G[Session](tx).Where("id = ? AND user_id = ?", id, event.actorID()).Delete(ctx)
		if err == nil && ended == 0 {
			return ErrSessionNotFound
		}
		return err
	})
}

// EndSessions ends all sessions of the actor of the event in this database.
func EndSessions(ctx context.Context, db *gorm.DB, event *Event) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return endSessions(ctx, tx, event.actorID())
	})
}

func endSessions(ctx context.Context, tx *gorm.DB, userID int64) error {
	_, err := gorm.G[Session](tx).Where("user_id = ?", userID).Delete(ctx)
	return err
}

// EndSessionsEverywhere ends all sessions of a core user, and those inside the tenants
// of their organizations. It sets the new user.SessionEpoch. KindUserNotFound when the
// user was removed meanwhile.
func EndSessionsEverywhere(ctx context.Context, db *gorm.DB, event *Event, user *CoreUser) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := tx.Model(&CoreUser{}).Where("id = ?", user.ID).UpdateColumns(nextEpoch(tx)).Error; err != nil {
			return err
		}
		if err := readEpoch(tx, user); err != nil {
			return err
		}
		return endSessions(ctx, tx, user.ID)
	})
}

// nextEpoch sets an epoch above all earlier ones, also above those that a restored core
// has forgotten while tenants keep sessions of them. That is why it is a time, unless the
// clock was set back.
func nextEpoch(tx *gorm.DB) map[string]any {
	now := tx.NowFunc().UnixMicro()
	return map[string]any{"session_epoch": gorm.Expr("CASE WHEN session_epoch < ? THEN ? ELSE session_epoch + 1 END", now, now)}
}

// readEpoch reads the epoch that the same transaction has just written.
func readEpoch(tx *gorm.DB, user *CoreUser) error {
	return lookup(tx.Model(user).Select("session_epoch").Take(user).Error, ErrUserNotFound)
}

// RenewSessions ends all sessions of the actor of the event, a user of a tenant, and
// begins next in their place. KindInvalidToken when the user was removed or deactivated
// meanwhile.
func RenewSessions(ctx context.Context, db *gorm.DB, event *Event, epoch int64, next *Session) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := lockActive(ctx, tx, event.actorID()); err != nil {
			return err
		}
		return renewSessions(ctx, tx, event.actorID(), epoch, next)
	})
}

// lockActive locks a user of a tenant who must be active, so that no session begins
// beside a change that ends them all.
func lockActive(ctx context.Context, tx *gorm.DB, userID int64) error {
	_, err := lockUser[TenantUser](ctx, tx, "id = ? AND is_active = ?", userID, true)
	return refuseAs(ErrInvalidToken, err)
}

// renewSessions ends all sessions of the user, and begins next with that epoch if there
// is one.
func renewSessions(ctx context.Context, tx *gorm.DB, userID, epoch int64, next *Session) error {
	if err := endSessions(ctx, tx, userID); err != nil || next == nil {
		return err
	}
	next.UserID, next.Epoch = userID, epoch
	return gorm.G[Session](tx).Create(ctx, next)
}
