package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

var errInviterRemoved = errors.New("the user who made the invitation was removed")

// MaxInvitations bounds the invitations of a tenant that are open.
const MaxInvitations = 1000

// invitationsRetry is how long a user is asked to wait who may make no more. It is long:
// only a use, a withdrawal or an expiry frees a place.
const invitationsRetry = time.Hour

// InvitationLifetime is how long an invitation is valid.
const InvitationLifetime = 7 * 24 * time.Hour

// Invitation lets the owner of an address register in a tenant, with a role. There is
// one for an address at most. It gives no role that its inviter may not give when it
// is used. Owners and admins see it in the list, and can withdraw it.
type Invitation struct {
	ID             int64 `gorm:"primaryKey"`
	Email          string
	EmailCanonical string // what addresses are compared by, see CanonicalEmail
	Role           Role
	TokenHash      string // of the token that the invited user registers with
	InvitedBy      *int64 // nil when that user was removed
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

// Invite stores an invitation by the actor of the event, in place of an earlier one of
// the same address, and removes those that have expired. KindEmailTaken when a user has
// the address; KindRoleRequired when the actor may not give the role, or not replace
// the earlier one; KindTooManyInvitations when the tenant has as many as it may;
// KindUserNotFound and KindInvalidToken when the actor was removed or deactivated
// meanwhile.
func Invite(ctx context.Context, db *gorm.DB, event *Event, invitation *Invitation) error {
	invitation.InvitedBy, event.Detail = event.ActorID, string(invitation.Role)
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), event.actorID())
		if err != nil {
			return err
		}
		if !c.actor.Role.MayManage(invitation.Role) {
			return ErrRoleRequired
		}
		if _, err := gorm.G[Invitation](tx).Where("expires_at <= ?", invitation.CreatedAt).Delete(ctx); err != nil {
			return err
		}
		if err := replaceInvitation(ctx, tx, invitation, c.actor.Role); err != nil {
			return err
		}
		if err := checkInvitations(ctx, tx); err != nil {
			return err
		}
		// Last, since replacing waits for a registration that uses the old invitation up.
		_, err = FindUserByEmail[TenantUser](ctx, tx, invitation.Email)
		switch {
		case err == nil:
			return ErrEmailTaken
		case !IsKind(err, KindUserNotFound):
			return err
		}
		event.About(TargetInvitation, invitation.ID, invitation.Email)
		return nil
	})
}

// checkInvitations counts the invitations when a new one is stored. Of several users who
// invite at the same time each may store one beyond the bound.
func checkInvitations(ctx context.Context, tx *gorm.DB) error {
	stored, err := gorm.G[Invitation](tx).Count(ctx, "id")
	if err == nil && stored > MaxInvitations {
		tooMany := Errorf(KindTooManyInvitations, "No more than %d invitations may be open", MaxInvitations)
		tooMany.RetryAfter = invitationsRetry
		return tooMany
	}
	return err
}

// replaceInvitation is one statement, so that of several concurrent ones the last stays.
func replaceInvitation(ctx context.Context, tx *gorm.DB, invitation *Invitation, by Role) error {
	replace := clause.OnConflict{
		Columns:   []clause.Column{{Name: "email_canonical"}},
		DoUpdates: clause.AssignmentColumns([]string{"email", "role", "token_hash", "invited_by", "created_at", "expires_at"}),
	}
	if !by.MayManage(RoleOwner) {
		replace.Where.Exprs = []clause.Expression{gorm.Expr("tenant_invitations.role <> ?", RoleOwner)}
	}
	kept := gorm.WithResult()
	err := gorm.G[Invitation](tx, kept, replace, clause.Returning{Columns: []clause.Column{{Name: "id"}}}).Create(ctx, invitation)
	if err == nil && kept.RowsAffected == 0 {
		return ErrRoleRequired
	}
	return err
}

// InvitationPage selects a page of invitations: at most Limit that have not expired,
// the newest first. Before, if not zero, is above their ids.
type InvitationPage struct {
	Before int64
	Limit  int
	Now    time.Time
}

// ListInvitations returns a page of the invitations.
func ListInvitations(ctx context.Context, db *gorm.DB, page InvitationPage) ([]Invitation, error) {
	query := gorm.G[Invitation](db).Where("expires_at > ?", page.Now)
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	return query.Order("id DESC").Limit(page.Limit).Find(ctx)
}

// WithdrawInvitation removes an invitation on behalf of the actor of the event.
// KindInvitationNotFound; KindRoleRequired when it is for an owner and the actor is
// none; for an actor who was removed or deactivated meanwhile the errors of Invite.
func WithdrawInvitation(ctx context.Context, db *gorm.DB, event *Event, id int64, now time.Time) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), event.actorID())
		if err != nil {
			return err
		}
		invitation, err := gorm.G[Invitation](tx).Where("id = ? AND expires_at > ?", id, now).Take(ctx)
		if err != nil {
			return lookup(err, ErrInvitationNotFound)
		}
		if !c.actor.Role.MayManage(invitation.Role) {
			return ErrRoleRequired
		}
		event.About(TargetInvitation, invitation.ID, invitation.Email)
		return useUp(ctx, tx, &invitation, ErrInvitationNotFound)
	})
}

// useUp removes an invitation as it was found, or returns gone when it was used,
// withdrawn or replaced since.
func useUp(ctx context.Context, tx *gorm.DB, invitation *Invitation, gone *Error) error {
	used, err := gorm.G[Invitation](tx).Where("id = ? AND token_hash = ?", invitation.ID, invitation.TokenHash).Delete(ctx)
	if err == nil && used == 0 {
		return gone
	}
	return err
}

// InvitationClaim is the token of an invitation, as its hash, and the time of its use.
// The zero claim is that of a user without an invitation.
type InvitationClaim struct {
	TokenHash string
	Now       time.Time
	Owner     Owner // of the tenant, at that time
}

// FindInvitation returns the invitation of that address which the claim is for.
// KindInvalidInvitation when there is none, or it has expired.
func FindInvitation(ctx context.Context, db *gorm.DB, email string, claim InvitationClaim) (Invitation, error) {
	invitation, err := gorm.G[Invitation](db).
		Where("token_hash = ? AND email_canonical = ? AND expires_at > ?",
			claim.TokenHash, CanonicalEmail(TrimEmail(email)), claim.Now).Take(ctx)
	return invitation, lookup(err, ErrInvalidInvitation)
}

// RegisterTenantUser makes a user of a tenant, who becomes the actor of the event. A
// claim to an invitation gives its role and is used up; that is recorded too. The
// errors: KindEmailTaken, and KindInvalidInvitation also when another registration uses
// the invitation first, or the inviter may no longer give the role. Every invitation of
// the address ends.
func RegisterTenantUser(ctx context.Context, db *gorm.DB, event *Event, user *TenantUser, claim InvitationClaim) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		var accepted *Invitation
		if claim.TokenHash != "" {
			invitation, err := acceptInvitation(ctx, tx, user.Email, claim)
			if err != nil {
				return err
			}
			user.Role, accepted = invitation.Role, &invitation
		}
		if err := CreateUser(ctx, tx, user); err != nil {
			return err
		}
		if _, err := gorm.G[Invitation](tx).Where("email_canonical = ?", user.EmailCanonical).Delete(ctx); err != nil {
			return err
		}
		event.By(&user.Account).About(TargetUser, user.ID, user.Email)
		return recordAcceptance(ctx, tx, *event, accepted)
	})
}

// acceptInvitation uses up the invitation that the claim is for. The inviter must still be
// allowed to give its role.
func acceptInvitation(ctx context.Context, tx *gorm.DB, email string, claim InvitationClaim) (Invitation, error) {
	invitation, err := FindInvitation(ctx, tx, email, claim)
	if err != nil {
		return invitation, err
	}
	if invitation.InvitedBy == nil {
		return invitation, ErrInvalidInvitation.Because(errInviterRemoved)
	}
	c, err := lockIssuer(ctx, tx, claim.Owner, *invitation.InvitedBy, *invitation.InvitedBy)
	if err == nil && !c.actor.Role.MayManage(invitation.Role) {
		err = ErrRoleRequired
	}
	if err != nil {
		return invitation, refuseAs(ErrInvalidInvitation, err)
	}
	return invitation, useUp(ctx, tx, &invitation, ErrInvalidInvitation)
}

// recordAcceptance records that an invitation was accepted, if there was one.
func recordAcceptance(ctx context.Context, tx *gorm.DB, event Event, accepted *Invitation) error {
	if accepted == nil {
		return nil
	}
	event.Action = ActionInvitationAccepted
	return Record(ctx, tx, event.About(TargetInvitation, accepted.ID, event.Actor))
}
