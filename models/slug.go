package models

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
)

// Limits on the slug of a new tenant, in bytes. They bind at creation only: a
// slug that is registered stays reachable.
const (
	MinSlugBytes = 2
	MaxSlugBytes = 40
)

// Slug is the public name of a tenant. A value made by ParseSlug holds only
// a-z, 0-9 and inner hyphens, so it is safe as part of a database's or a
// file's name.
type Slug string

// ParseSlug checks the form of a slug, wherever it comes from: header, body,
// path or command line. It is validated, never normalised. The error is of
// KindInvalidSlug.
func ParseSlug(text string) (Slug, error) {
	wellFormed := text != "" && text[0] != '-' && text[len(text)-1] != '-' &&
		strings.IndexFunc(text, isNotSlugText) < 0 &&
		!strings.Contains(text, "xn--") // would read as punycode in a host name
	if !wellFormed {
		return "", errInvalidSlug()
	}
	return Slug(text), nil
}

// CheckNew applies the rules that bind when a tenant is made: the length, and
// the words that are reserved. The errors: KindInvalidSlug and KindReservedSlug.
func (s Slug) CheckNew() error {
	if len(s) < MinSlugBytes || len(s) > MaxSlugBytes {
		return errInvalidSlug()
	}
	if slices.Contains(reservedSlugs(), string(s)) {
		return Errorf(KindReservedSlug, "Organization slug is reserved")
	}
	return nil
}

// Value stores no slug as NULL: many databases may have none.
func (s Slug) Value() (driver.Value, error) {
	if s == "" {
		return nil, nil
	}
	return string(s), nil
}

// Scan reads what Value stores.
func (s *Slug) Scan(value any) error {
	switch value := value.(type) {
	case nil:
		*s = ""
	case string:
		*s = Slug(value)
	case []byte:
		*s = Slug(value)
	default:
		return fmt.Errorf("slug is a %T in the database", value)
	}
	return nil
}

func errInvalidSlug() error {
	return Errorf(KindInvalidSlug, "Invalid slug format")
}

func isNotSlugText(r rune) bool {
	return ('a' > r || r > 'z') && ('0' > r || r > '9') && r != '-'
}

// reservedSlugs are words that would be mistaken for a part of the service, of
// PostgreSQL, of JavaScript, or for a device of Windows.
func reservedSlugs() []string {
	return []string{
		"postgres", "template0", "template1",
		"core", "public", "admin", "root", "system", "api", "auth", "login", "register", "docs", "health", "ready",
		"metrics", "www", "mail", "static", "internal",
		"tenant", "tenants", "organization", "organizations", "users", "me",
		"null", "undefined", "default",
		"con", "nul", "prn", "aux",
		"com0", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
		"lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
	}
}
