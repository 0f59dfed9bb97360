package models

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// InvitationLifetime is how long an invitation is good for.
const InvitationLifetime = 7 * 24 * time.Hour

// Invitation lets somebody register in a tenant, with a role. There is one for an
// address at most. It outlasts whoever made it: owners and admins see it in the
// list, and can withdraw it.
type Invitation struct {
	ID             int64 `gorm:"primaryKey"`
	Email          string
	EmailCanonical string // what addresses are compared by, see CanonicalEmail
	Role           Role
	TokenHash      string // of the token that whoever was invited comes with
	InvitedBy      *int64 // nil when that user has gone
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// TableName names the table; GORM asks for it.
func (Invitation) TableName() string { return "tenant_invitations" }

// NewInvitation returns an invitation of an address that has passed ValidEmail.
func NewInvitation(email string, role Role, hash string, now time.Time) Invitation {
	address := TrimEmail(email)
	return Invitation{
		Email: address, EmailCanonical: CanonicalEmail(address), Role: role, TokenHash: hash,
		CreatedAt: now, ExpiresAt: now.Add(InvitationLifetime),
	}
}

// Invite keeps an invitation by a user, in the place of an earlier one of the same
// address, and removes those that have expired. KindEmailTaken when the address is
// a user's, KindRoleRequired when the inviter's role does not suffice for the one
// that is given, or for the one that would be replaced; KindUserNotFound and
// KindInvalidToken when the inviter is out meanwhile.
func Invite(ctx context.Context, db *gorm.DB, by *TenantUser, invitation *Invitation) error {
	invitation.InvitedBy = &by.ID
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, by.ID, by.ID)
		if err != nil {
			return err
		}
		if !c.actor.Role.MayManage(invitation.Role) {
			return ErrRoleRequired
		}
		if err := tx.Where("expires_at <= ?", invitation.CreatedAt).Delete(&Invitation{}).Error; err != nil {
			return err
		}
		if err := replaceInvitation(tx, invitation, c.actor.Role); err != nil {
			return err
		}
		// Last: replacing waits for whoever is just using up what is replaced.
		_, err = FindUserByEmail[TenantUser](ctx, tx, invitation.Email)
		switch {
		case err == nil:
			return ErrEmailTaken
		case !IsKind(err, KindUserNotFound):
			return err
		}
		return nil
	})
}

// replaceInvitation is one statement, so that of several at once the last stays.
func replaceInvitation(tx *gorm.DB, invitation *Invitation, by Role) error {
	replace := clause.OnConflict{
		Columns:   []clause.Column{{Name: "email_canonical"}},
		DoUpdates: clause.AssignmentColumns([]string{"email", "role", "token_hash", "invited_by", "created_at", "expires_at"}),
	}
	if !by.MayManage(RoleOwner) {
		replace.Where.Exprs = []clause.Expression{gorm.Expr("tenant_invitations.role <> ?", RoleOwner)}
	}
	kept := tx.Clauses(replace, clause.Returning{Columns: []clause.Column{{Name: "id"}}}).Create(invitation)
	if kept.Error == nil && kept.RowsAffected == 0 {
		return ErrRoleRequired
	}
	return kept.Error
}

// InvitationPage is a part of the list of invitations: at most Limit of those that
// have not expired, the newest id first, with one less than Before where that is
// not zero.
type InvitationPage struct {
	Before int64
	Limit  int
	Now    time.Time
}

// ListInvitations returns a page of the invitations that are out.
func ListInvitations(ctx context.Context, db *gorm.DB, page InvitationPage) ([]Invitation, error) {
	query := gorm.G[Invitation](db).Where("expires_at > ?", page.Now)
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	return query.Order("id DESC").Limit(page.Limit).Find(ctx)
}

// Withdraw removes the invitation with that id, and returns it, or is
// KindInvitationNotFound. KindRoleRequired when it is to be owner, and the user who
// withdraws it is not. The errors of a user who is out are Invite's.
func Withdraw(ctx context.Context, db *gorm.DB, by *TenantUser, id int64, now time.Time) (invitation Invitation, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, by.ID, by.ID)
		if err != nil {
			return err
		}
		invitation, err = gorm.G[Invitation](tx).Where("id = ? AND expires_at > ?", id, now).Take(ctx)
		if err != nil {
			return lookup(err, ErrInvitationNotFound)
		}
		if !c.actor.Role.MayManage(invitation.Role) {
			return ErrRoleRequired
		}
		return useUp(tx, &invitation, ErrInvitationNotFound)
	})
	return invitation, err
}

// useUp removes an invitation as it was found. One that was used, withdrawn or
// replaced since is gone.
func useUp(tx *gorm.DB, invitation *Invitation, gone *Error) error {
	used := tx.Where("id = ? AND token_hash = ?", invitation.ID, invitation.TokenHash).Delete(&Invitation{})
	if used.Error == nil && used.RowsAffected == 0 {
		return gone
	}
	return used.Error
}

// FindInvitation returns the invitation of that address whose token has that hash;
// KindInvalidInvitation when there is none, or it has expired.
func FindInvitation(ctx context.Context, db *gorm.DB, email, hash string, now time.Time) (Invitation, error) {
	invitation, err := gorm.G[Invitation](db).
		Where("token_hash = ? AND email_canonical = ? AND expires_at > ?", hash, CanonicalEmail(TrimEmail(email)), now).Take(ctx)
	return invitation, lookup(err, ErrInvalidInvitation)
}

// RegisterTenantUser makes a user of a tenant. Where there is the hash of an
// invitation's token, that is used up and gives its role, and its id is returned:
// KindInvalidInvitation as of FindInvitation, and when somebody else was faster.
// KindEmailTaken. An invitation of the address is of no use from then on, and goes
// too.
func RegisterTenantUser(
	ctx context.Context, db *gorm.DB, user *TenantUser, hash string, now time.Time,
) (invitationID int64, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if hash != "" {
			invitation, err := FindInvitation(ctx, tx, user.Email, hash, now)
			if err != nil {
				return err
			}
			if err := useUp(tx, &invitation, ErrInvalidInvitation); err != nil {
				return err
			}
			user.Role, invitationID = invitation.Role, invitation.ID
		}
		if err := CreateUser(ctx, tx, user); err != nil {
			return err
		}
		return tx.Where("email_canonical = ?", user.EmailCanonical).Delete(&Invitation{}).Error
	})
	return invitationID, err
}
