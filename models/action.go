package models

import "slices"

// Action names what an event is about; its text is stable and is on the wire.
type Action string

// The actions that are put on record.
const (
	ActionSignedIn              Action = "user.signed_in"
	ActionSignInRefused         Action = "user.sign_in_refused"
	ActionRegistered            Action = "user.registered"
	ActionReuseDetected         Action = "session.reuse_detected"
	ActionSessionEnded          Action = "session.ended"
	ActionSessionsEnded         Action = "sessions.ended"
	ActionPasswordChanged       Action = "password.changed"
	ActionPasswordChangeRefused Action = "password.change_refused"
	ActionPasswordResetIssued   Action = "password.reset_issued"
	ActionPasswordReset         Action = "password.reset"
	ActionUserCreated           Action = "user.created"
	ActionUserUpdated           Action = "user.updated"
	ActionUserRoleChanged       Action = "user.role_changed"
	ActionUserDeactivated       Action = "user.deactivated"
	ActionUserActivated         Action = "user.activated"
	ActionUserRemoved           Action = "user.removed"
	ActionInvitationCreated     Action = "invitation.created"
	ActionInvitationWithdrawn   Action = "invitation.withdrawn"
	ActionInvitationAccepted    Action = "invitation.accepted"
	ActionOrganizationCreated   Action = "organization.created"
	ActionOrganizationUpdated   Action = "organization.updated"
	ActionOrganizationRenamed   Action = "organization.renamed"
	ActionOrganizationSuspended Action = "organization.suspended"
	ActionOrganizationResumed   Action = "organization.resumed"
	ActionOrganizationDeleted   Action = "organization.deleted"
	ActionOrganizationEntered   Action = "organization.entered"
	ActionOrganizationForgotten Action = "organization.forgotten"
	ActionOrganizationRestored  Action = "organization.restored"
	ActionOrganizationCloned    Action = "organization.cloned"
	ActionOrganizationBackedUp  Action = "organization.backed_up"
	ActionOrganizationExported  Action = "organization.exported"
	ActionOrganizationFetched   Action = "organization.export_downloaded"
	ActionOrganizationImported  Action = "organization.imported"
	ActionOrganizationQueried   Action = "organization.sql_run"
	ActionFleetRestoreBegun     Action = "fleet.restore_begun"
	ActionFleetRestored         Action = "fleet.restored"
	ActionSlugReleased          Action = "slug.released"
	ActionOperationCancelled    Action = "operation.cancelled"
	ActionAuditPruned           Action = "audit.pruned"
	ActionRequestRefused        Action = "request.refused"
)

// Actions lists them all.
func Actions() []Action {
	return []Action{
		ActionSignedIn, ActionSignInRefused, ActionRegistered,
		ActionReuseDetected, ActionSessionEnded, ActionSessionsEnded,
		ActionPasswordChanged, ActionPasswordChangeRefused, ActionPasswordResetIssued, ActionPasswordReset,
		ActionUserCreated, ActionUserUpdated, ActionUserRoleChanged, ActionUserDeactivated, ActionUserActivated, ActionUserRemoved,
		ActionInvitationCreated, ActionInvitationWithdrawn, ActionInvitationAccepted,
		ActionOrganizationCreated, ActionOrganizationUpdated, ActionOrganizationRenamed, ActionOrganizationSuspended,
		ActionOrganizationResumed, ActionOrganizationDeleted, ActionOrganizationEntered, ActionOrganizationForgotten,
		ActionOrganizationRestored, ActionOrganizationCloned, ActionOrganizationBackedUp, ActionOrganizationExported,
		ActionOrganizationFetched, ActionOrganizationImported, ActionOrganizationQueried, ActionFleetRestoreBegun, ActionFleetRestored, ActionSlugReleased,
		ActionOperationCancelled, ActionAuditPruned, ActionRequestRefused,
	}
}

// IsValid reports whether there is such an action.
func (a Action) IsValid() bool { return slices.Contains(Actions(), a) }
