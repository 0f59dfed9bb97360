package models

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
)

// NewPassword is the hash of a new password, and the session that begins with it.
type NewPassword struct {
	Hash    string
	Session *Session // nil for none
}

// ChangeCorePassword gives a core user another password. It ends all their sessions,
// those inside the tenants of their organizations included, and a pending reset, and
// then begins next.Session. It sets the new user.SessionEpoch. KindWrongPassword when
// the password has changed since the user was read.
func ChangeCorePassword(ctx context.Context, db *gorm.DB, event *Event, user *CoreUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return changeCorePassword(ctx, tx, user, next)
	})
}

func changeCorePassword(ctx context.Context, tx *gorm.DB, user *CoreUser, next NewPassword) error {
	if err := replaceHash[CoreUser](ctx, tx, &user.Account, next.Hash, nextEpoch(tx)); err != nil {
		return err
	}
	if err := readEpoch(tx, user); err != nil {
		return err
	}
	return renewSessions(ctx, tx, user.ID, user.SessionEpoch, next.Session)
}

// ChangeTenantPassword is ChangeCorePassword for a user of a tenant who is not the
// owner of its organization. KindInvalidToken when the user was removed or deactivated
// meanwhile.
func ChangeTenantPassword(ctx context.Context, db *gorm.DB, event *Event, user *TenantUser, next NewPassword) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if err := lockActive(ctx, tx, user.ID); err != nil {
			return err
		}
		return changeTenantPassword(ctx, tx, user, next)
	})
}

func changeTenantPassword(ctx context.Context, tx *gorm.DB, user *TenantUser, next NewPassword) error {
	if err := replaceHash[TenantUser](ctx, tx, &user.Account, next.Hash, map[string]any{}); err != nil {
		return err
	}
	return renewSessions(ctx, tx, user.ID, 0, next.Session)
}

func replaceHash[U User](ctx context.Context, tx *gorm.DB, user *Account, hash string, columns map[string]any) error {
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
	return endReset(ctx, tx, user.ID)
}

// Limits on a new password.
const (
	MinPasswordLength = 8  // characters
	MaxPasswordBytes  = 72 // bcrypt ignores the rest
)

// commonPasswords has the commonest passwords of MinPasswordLength and more, one a line
// and in lower case. Its head names their source and its license.
//
//go:embed common_passwords.txt
var commonPasswords string

// PasswordRules say which passwords users may choose.
type PasswordRules struct {
	// Blocklist refuses the commonest passwords, and those that repeat something about
	// their user (NIST SP 800-63B, section 3.1.1.2).
	Blocklist bool
}

// PasswordOwner is the user for whom a password is chosen, as far as is known yet.
type PasswordOwner struct {
	Email    string
	FullName *string
	Tenant   Slug // "" at the core
}

// Check checks a password that somebody chooses. The bytes are taken as they are; there
// are no rules of composition.
func (r PasswordRules) Check(checks *Checks, field string, value *string, owner PasswordOwner) {
	checks.Present(field, value)
	switch {
	case value == nil || !storable(*value):
	case utf8.RuneCountInString(*value) < MinPasswordLength:
		checks.Add(field, "too_short", fmt.Sprintf("must have at least %d characters", MinPasswordLength))
	case len(*value) > MaxPasswordBytes:
		checks.Add(field, "too_long", fmt.Sprintf("must have at most %d bytes", MaxPasswordBytes))
	case CanonicalEmail(*value) == CanonicalEmail(owner.Email):
		checks.Add(field, "same_as_email", "must differ from the e-mail address")
	case r.Blocklist && owner.suggests(*value):
		checks.Add(field, "too_easy", "must not be a part of the e-mail address, the name or the organization")
	case r.Blocklist && isCommon(strings.ToLower(*value)):
		checks.Add(field, "too_common", "must not be one of the commonest passwords")
	}
}

// suggests reports whether the password is a guess that knowing the user suggests.
func (o PasswordOwner) suggests(password string) bool {
	local, _, _ := strings.Cut(o.Email, "@")
	known := []string{local, string(o.Tenant)}
	if o.FullName != nil {
		known = append(known, *o.FullName)
	}
	for _, known := range known {
		if strings.EqualFold(strings.TrimSpace(password), strings.TrimSpace(known)) {
			return true
		}
	}
	return false
}

// isCommon looks for a password, in lower case, in the list. Those in which each
// character follows the one before by the same step, such as 88888888 and abcdefgh, are
// common and not on it.
func isCommon(password string) bool {
	return strings.Contains(commonPasswords, "\n"+password+"\n") || isStaircase(password)
}

func isStaircase(password string) bool {
	step := int(password[1]) - int(password[0])
	for i := 1; i < len(password); i++ {
		if int(password[i])-int(password[i-1]) != step {
			return false
		}
	}
	return step >= -1 && step <= 1
}
