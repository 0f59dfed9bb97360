package models

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on what a caller may enter, in characters unless a name says bytes.
const (
	MaxNameLength        = 200
	MaxDescriptionLength = 2000
	MaxBioLength         = 2000
	MaxPhoneLength       = 32
)

// Checks collects everything that is wrong with one input, so that its sender
// learns it all at once.
type Checks struct {
	fields []FieldError
}

// Add records that a field is wrong: a message for a human reader, a code for programs.
func (ch *Checks) Add(field, code, message string) {
	ch.fields = append(ch.fields, FieldError{Field: field, Message: message, Code: code})
}

// Err returns nil when nothing was wrong, else a KindValidationFailed error
// that lists the fields.
func (ch *Checks) Err() error {
	if len(ch.fields) == 0 {
		return nil
	}
	err := Errorf(KindValidationFailed, "Validation failed")
	err.Fields = ch.fields
	return err
}

// Text checks an optional text of at most limit characters.
func (ch *Checks) Text(field string, value *string, limit int) {
	switch {
	case value == nil:
	case !storable(*value):
		ch.Add(field, "invalid_text", "must be valid text without NUL characters")
	case utf8.RuneCountInString(*value) > limit:
		ch.Add(field, "too_long", fmt.Sprintf("must have at most %d characters", limit))
	}
}

// RequiredText checks a text that must be there, must not be blank and has at
// most limit characters.
func (ch *Checks) RequiredText(field string, value *string, limit int) {
	switch {
	case value == nil:
		ch.Add(field, "required", "is required")
	case strings.TrimSpace(*value) == "":
		ch.Add(field, "blank", "must not be blank")
	default:
		ch.Text(field, value, limit)
	}
}

// Present checks a text that must be there, whatever it says.
func (ch *Checks) Present(field string, value *string) {
	switch {
	case value == nil:
		ch.Add(field, "required", "is required")
	case !storable(*value):
		ch.Add(field, "invalid_text", "must be valid text without NUL characters")
	}
}

// Email checks an e-mail address that must be there.
func (ch *Checks) Email(field string, value *string) {
	switch {
	case value == nil:
		ch.Add(field, "required", "is required")
	case !ValidEmail(TrimEmail(*value)):
		ch.Add(field, "invalid_email", "must be an e-mail address")
	}
}

// storable reports whether both engines can keep the text unchanged. JSON's
// decoder puts U+FFFD where the input was no text, so that is refused too.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsAny(text, "\x00\uFFFD")
}
