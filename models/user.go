package models

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Account is what every user has, at the core and in a tenant.
type Account struct {
	ID             int64 `gorm:"primaryKey"`
	Email          string
	EmailCanonical string // what addresses are compared by, see CanonicalEmail
	HashedPassword string
	FullName       *string
	IsActive       bool
	CreatedAt      time.Time
	UpdatedAt      *time.Time `gorm:"autoUpdateTime:false"` // nil until the first change

	signedIn signedIn
}

// CoreUser is a user of the core, who may own organizations.
type CoreUser struct {
	Account

	// SessionEpoch grows each time all their sessions end. A session of an
	// earlier epoch is dead, wherever it is kept.
	SessionEpoch int64
}

// TenantUser is a user of one tenant.
type TenantUser struct {
	Account

	Bio   *string
	Phone *string
	Role  Role
	// CoreUserID is set for the organization's owner: the password is the core
	// user's, and no copy of its hash is kept here.
	CoreUserID *int64
}

// signedIn is the session of a user who is signed in, see FindSignedIn.
type signedIn struct {
	session SessionKey
	epoch   *int64 // the session's; nil when there is no such session of theirs
}

// SessionID is the session that the user is signed in by.
func (a *Account) SessionID() int64 { return a.signedIn.session.ID }

// Session is the key of the session that the user is signed in by.
func (a *Account) Session() SessionKey { return a.signedIn.session }

// Self is what the records of both kinds of users have in common.
func (a *Account) Self() *Account { return a }

func (a *Account) isSignedIn(epoch int64) bool {
	return a.IsActive && a.signedIn.epoch != nil && *a.signedIn.epoch >= epoch
}

// IsSignedIn reports whether the session that the user was found by lives.
func (u *CoreUser) IsSignedIn() bool { return u.isSignedIn(u.SessionEpoch) }

// IsSignedIn reports whether the session that the user was found by lives. That
// of the tenant's owner does so only as long as the core user lets it.
func (u *TenantUser) IsSignedIn(owner Owner) bool {
	if u.CoreUserID == nil {
		return u.isSignedIn(0)
	}
	return owner.ID == *u.CoreUserID && owner.IsActive && u.isSignedIn(owner.SessionEpoch)
}

func (a *Account) touch(now time.Time) *Account {
	a.UpdatedAt = &now
	return a
}

// User is the record of a user, of the core or of a tenant.
type User interface {
	CoreUser | TenantUser
}

// TableName names the table; GORM asks for it.
func (CoreUser) TableName() string { return "core_users" }

// TableName names the table; GORM asks for it.
func (TenantUser) TableName() string { return "tenant_users" }

// NewAccount returns an active account for an address that has passed
// ValidEmail.
func NewAccount(email string, fullName *string) Account {
	address := TrimEmail(email)
	return Account{Email: address, EmailCanonical: CanonicalEmail(address), FullName: fullName, IsActive: true}
}

// OwnerOf returns the user that a core user is inside their own organization's
// tenant.
func OwnerOf(owner *CoreUser) TenantUser {
	account := NewAccount(owner.Email, owner.FullName)
	account.EmailCanonical = owner.EmailCanonical
	return TenantUser{Account: account, Role: RoleOwner, CoreUserID: &owner.ID}
}

// CreateUser inserts the user; KindEmailTaken when the address is registered
// already, in whatever case.
func CreateUser[U User](ctx context.Context, db *gorm.DB, user *U) error {
	return insert(
		gorm.G[U](db).Create(ctx, user), ErrEmailTaken,
		"ix_core_users_email", "core_users_email_key", "ix_core_users_email_canonical",
		"ix_tenant_users_email", "tenant_users_email_key", "ix_tenant_users_email_canonical",
	)
}

// FindUser returns the user with that id, or KindUserNotFound.
func FindUser[U User](ctx context.Context, db *gorm.DB, id int64) (U, error) {
	user, err := gorm.G[U](db).Where("id = ?", id).Take(ctx)
	return user, lookup(err, ErrUserNotFound)
}

// FindSignedIn returns the user with that id, or KindUserNotFound, and finds out
// whether the session is theirs, for IsSignedIn to say. Every request of
// a user who is signed in comes through here, so the statement is one, and written
// out: to put it together and to scan by reflection takes GORM as long as
// PostgreSQL takes to answer.
func FindSignedIn[U User, P interface {
	*U
	BySession
}](ctx context.Context, db *gorm.DB, id int64, session SessionKey,
) (U, error) {
	var user U
	query, fields := P(&user).bySession(session)
	if err := scanRow(ctx, db, fields, query, id, session.ID, session.FamilyHash); err != nil {
		var none U
		if errors.Is(err, sql.ErrNoRows) {
			err = ErrUserNotFound.Because(err)
		}
		return none, err
	}
	return user, nil
}

// BySession is what FindSignedIn needs of the record of a user.
type BySession interface {
	bySession(session SessionKey) (query string, fields []any)
}

func (u *CoreUser) bySession(session SessionKey) (query string, fields []any) {
	return "SELECT " + accountColumns + ", " + sessionColumn +
		", session_epoch FROM core_users WHERE id = $1", append(u.fields(session), &u.SessionEpoch)
}

func (u *TenantUser) bySession(session SessionKey) (query string, fields []any) {
	return "SELECT " + accountColumns + ", " + sessionColumn +
			", bio, phone, role, core_user_id FROM tenant_users WHERE id = $1",
		append(u.fields(session), &u.Bio, &u.Phone, &u.Role, &u.CoreUserID)
}

const (
	accountColumns = "id, email, email_canonical, hashed_password, full_name, is_active, created_at, updated_at"
	sessionColumn  = "(SELECT epoch FROM sessions WHERE id = $2 AND user_id = $1 AND family_hash = $3)"
)

// fields are where accountColumns and sessionColumn go; there is room for
// those of a tenant.
func (a *Account) fields(session SessionKey) []any {
	a.signedIn.session = session
	return append(make([]any, 0, 13),
		&a.ID, &a.Email, &a.EmailCanonical, &a.HashedPassword, &a.FullName, &a.IsActive, &a.CreatedAt, &a.UpdatedAt,
		&a.signedIn.epoch)
}

// FindUserByEmail returns the user with that address, or KindUserNotFound.
// Case does not matter, but where addresses taken over from an older database
// differ in nothing else, the exact spelling wins.
func FindUserByEmail[U User](ctx context.Context, db *gorm.DB, email string) (U, error) {
	address := TrimEmail(email)
	canonical := CanonicalEmail(address)
	users, err := gorm.G[U](db).Where("email_canonical IN ?", []string{address, canonical}).
		Order(clause.OrderBy{Expression: gorm.Expr("CASE WHEN email_canonical = ? THEN 0 ELSE 1 END", address)}).
		Limit(1).Find(ctx)
	if err == nil && len(users) == 0 {
		err = ErrUserNotFound
	}
	if err != nil {
		var none U
		return none, err
	}
	return users[0], nil
}

// RegisterCoreUser inserts a core user, who becomes the actor of the event.
// KindEmailTaken.
func RegisterCoreUser(ctx context.Context, db *gorm.DB, event *Event, user *CoreUser) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := CreateUser(ctx, tx, user); err != nil {
			return err
		}
		event.By(&user.Account).About(TargetUser, user.ID, user.Email)
		return nil
	})
}

// AddUser inserts a user on behalf of the operator, whose event it is. KindEmailTaken.
func AddUser[U User, P interface {
	*U
	Self() *Account
}](ctx context.Context, db *gorm.DB, event *Event, user P,
) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := CreateUser[U](ctx, tx, user); err != nil {
			return err
		}
		event.About(TargetUser, user.Self().ID, user.Self().Email)
		return nil
	})
}

// UpdateProfile writes the named columns of a user's own profile, and no others: two
// changes of different columns at once are both kept. KindUserNotFound when the user
// was removed meanwhile. It is not recorded.
func UpdateProfile[U User, P touchable[U]](ctx context.Context, db *gorm.DB, user P, columns ...string) error {
	return updateUser(ctx, db, user, columns...)
}

// touchable is a pointer to a record of a user.
type touchable[U User] interface {
	*U
	touch(now time.Time) *Account
}

// updateUser writes the named columns. It also ends the pending reset of a user who is
// deactivated, or gets another role.
func updateUser[U User, P touchable[U]](ctx context.Context, db *gorm.DB, user P, columns ...string) error {
	account := user.touch(db.NowFunc())
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		updated := tx.Model(user).Select(append(columns, "updated_at")).Updates(user)
		if updated.Error == nil && updated.RowsAffected == 0 {
			return ErrUserNotFound
		}
		isDeactivated := slices.Contains(columns, "is_active") && !account.IsActive
		if updated.Error != nil || !isDeactivated && !slices.Contains(columns, "role") {
			return updated.Error
		}
		return endReset(ctx, tx, account.ID)
	})
}

// CountOwners counts the users of a tenant who are core users' own.
func CountOwners(ctx context.Context, db *gorm.DB) (int64, error) {
	return gorm.G[TenantUser](db).Where("core_user_id IS NOT NULL").Count(ctx, "id")
}
