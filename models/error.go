// Package models holds the records of the application, the rules they obey and
// the queries that read and write them. A query takes the context and the
// connection it runs on, so it composes in a transaction and cannot choose a
// database by itself.
package models

import (
	"errors"
	"fmt"
	"time"
)

// Kind names a class of failure; its text is stable and is the `code` on the wire.
type Kind string

// The kinds of failure that the rules know. Their form on the wire is the
// business of the layer that speaks HTTP.
const (
	KindValidationFailed      Kind = "validation_failed"
	KindEmailTaken            Kind = "email_taken"
	KindInvalidSlug           Kind = "invalid_slug"
	KindReservedSlug          Kind = "reserved_slug"
	KindSlugResting           Kind = "slug_resting"
	KindSlugTaken             Kind = "slug_taken"
	KindInvalidTenant         Kind = "invalid_tenant"
	KindMalformedBody         Kind = "malformed_body"
	KindTenantNotFound        Kind = "tenant_not_found"
	KindTenantSuspended       Kind = "tenant_suspended"
	KindInvalidCredentials    Kind = "invalid_credentials" //nolint:gosec // a word for clients, no credential
	KindNotAuthenticated      Kind = "not_authenticated"
	KindInvalidToken          Kind = "invalid_token"
	KindTenantTokenRequired   Kind = "tenant_token_required" //nolint:gosec // a word for clients, no credential
	KindRoleRequired          Kind = "role_required"
	KindCorePassword          Kind = "core_password"
	KindCoreTokenRequired     Kind = "core_token_required" //nolint:gosec // a word for clients, no credential
	KindInvalidInvitation     Kind = "invalid_invitation"
	KindInvitationRequired    Kind = "invitation_required"
	KindRegistrationClosed    Kind = "registration_closed"
	KindOrganizationNotFound  Kind = "organization_not_found"
	KindUserNotFound          Kind = "user_not_found"
	KindSessionNotFound       Kind = "session_not_found"
	KindInvitationNotFound    Kind = "invitation_not_found"
	KindOperationNotFound     Kind = "operation_not_found"
	KindOperationRunning      Kind = "operation_running"
	KindExportNotFound        Kind = "export_not_found"
	KindExportExpired         Kind = "export_expired"
	KindBackupsOff            Kind = "backups_off"
	KindBackupsUnavailable    Kind = "backups_unavailable"
	KindBackupNotFound        Kind = "backup_not_found"
	KindBackupIdentityMissing Kind = "backup_identity_missing"
	KindBackupUnusable        Kind = "backup_unusable"
	KindWrongPassword         Kind = "wrong_password"
	KindLastOwner             Kind = "last_owner"
	KindOwnerEmailTaken       Kind = "owner_email_taken"
	KindInvalidResetToken     Kind = "invalid_reset_token"
	KindConflict              Kind = "conflict" // a rule of the database that is not ours
	KindNotFound              Kind = "not_found"
	KindMethodNotAllowed      Kind = "method_not_allowed"
	KindRequestTimeout        Kind = "request_timeout"
	KindBodyTooLarge          Kind = "body_too_large"
	KindUnsupportedMediaType  Kind = "unsupported_media_type"
	KindTooManyLogins         Kind = "too_many_logins"
	KindTooManyAttempts       Kind = "too_many_attempts"
	KindTooManyRegistrations  Kind = "too_many_registrations"
	KindTooManyTenants        Kind = "too_many_tenants"
	KindTooManyOrganizations  Kind = "too_many_organizations"
	KindTooManyAliases        Kind = "too_many_aliases"
	KindTooManyBackups        Kind = "too_many_backups"
	KindTooManyExports        Kind = "too_many_exports"
	KindTooManyInvitations    Kind = "too_many_invitations"
	KindTooManyRequests       Kind = "too_many_requests"
	KindTenantUnavailable     Kind = "tenant_unavailable"
	KindCoreUnavailable       Kind = "core_unavailable"
	KindBusy                  Kind = "busy"
	KindTimeout               Kind = "timeout"
	KindInternal              Kind = "internal"
)

// FieldError says what is wrong with one field of the input.
type FieldError struct {
	Field   string
	Message string
	Code    string
}

// Error is a failure the caller may be told about. Message and Fields are for
// the caller; the cause is for the log alone.
type Error struct {
	Kind    Kind
	Message string
	Fields  []FieldError
	// Code is the code on the wire, where that says more than the kind.
	Code Kind
	// RetryAfter is how long the caller ought to wait, where it was too much.
	RetryAfter time.Duration

	cause error
}

// Errorf makes an Error of the given kind with a formatted message.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of the error that wraps its cause, so that a shared
// Error is never changed.
func (e *Error) Because(err error) *Error {
	because := *e
	because.cause = err
	return &because
}

// Error returns the message followed by the cause; it is meant for the log.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap returns the cause, nil when there is none.
func (e *Error) Unwrap() error {
	return e.cause
}

// Is reports whether target is an Error of the same kind, for errors.Is.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Kind == e.Kind
}

// IsKind reports whether the error is, or wraps, an Error of that kind.
func IsKind(err error, kind Kind) bool {
	known, ok := errors.AsType[*Error](err)
	return ok && known.Kind == kind
}

// These are the failures that more than one place reports. Because adds the cause.
// errors.Is matches them, with or without a cause, by their kind.
var (
	ErrTenantNotFound       = Errorf(KindTenantNotFound, "Tenant not found")
	ErrTenantSuspended      = Errorf(KindTenantSuspended, "Tenant is suspended")
	ErrTenantUnavailable    = Errorf(KindTenantUnavailable, "Tenant is unavailable")
	ErrInvalidTenant        = Errorf(KindInvalidTenant, "Invalid tenant name")
	ErrTenantTokenRequired  = Errorf(KindTenantTokenRequired, "Tenant authentication required for this tenant")
	ErrCoreTokenRequired    = Errorf(KindCoreTokenRequired, "Core authentication required")
	ErrNotAuthenticated     = Errorf(KindNotAuthenticated, "Not authenticated")
	ErrInvalidToken         = Errorf(KindInvalidToken, "Could not validate credentials")
	ErrInvalidCredentials   = Errorf(KindInvalidCredentials, "Incorrect email or password")
	ErrWrongPassword        = Errorf(KindWrongPassword, "Incorrect password")
	ErrInvalidResetToken    = Errorf(KindInvalidResetToken, "Invalid or expired password reset token")
	ErrRoleRequired         = Errorf(KindRoleRequired, "Not allowed for your role")
	ErrEmailTaken           = Errorf(KindEmailTaken, "Email already registered")
	ErrUserNotFound         = Errorf(KindUserNotFound, "User not found")
	ErrSessionNotFound      = Errorf(KindSessionNotFound, "Session not found")
	ErrInvalidInvitation    = Errorf(KindInvalidInvitation, "Invalid invitation")
	ErrInvitationNotFound   = Errorf(KindInvitationNotFound, "Invitation not found")
	ErrOperationNotFound    = Errorf(KindOperationNotFound, "Operation not found")
	ErrOperationRunning     = Errorf(KindOperationRunning, "Another operation on this organization has not ended")
	ErrExportNotReady       = Errorf(KindOperationRunning, "The export is not ready yet")
	ErrExportNotFound       = Errorf(KindExportNotFound, "Export not found")
	ErrExportExpired        = Errorf(KindExportExpired, "The export was downloaded or has expired")
	ErrBackupsOff           = Errorf(KindBackupsOff, "This server keeps no backups")
	ErrBackupsUnavailable   = Errorf(KindBackupsUnavailable, "Backups are unavailable")
	ErrBackupNotFound       = Errorf(KindBackupNotFound, "Backup not found")
	ErrOrganizationNotFound = Errorf(KindOrganizationNotFound, "Organization not found")
	ErrSlugTaken            = Errorf(KindSlugTaken, "Organization slug already exists")
	ErrRequestTimeout       = Errorf(KindRequestTimeout, "Request body did not arrive")
	ErrBusy                 = Errorf(KindBusy, "Server is busy, try again")
	ErrCoreUnavailable      = Errorf(KindCoreUnavailable, "Service is unavailable")

	ErrBackupIdentityMissing = Errorf(KindBackupIdentityMissing, "The backup is encrypted, and this server cannot read it")
	ErrBackupUnusable        = Errorf(KindBackupUnusable, "The backup is of another engine or of a later version of the program")
)
