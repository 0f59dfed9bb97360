package models

import (
	"context"
	"strings"

	"gorm.io/gorm"
)

// MaxQueryLength bounds the text that users are searched by, in characters.
const MaxQueryLength = 100

// UsersPage selects a page of users: at most Limit users whose id is greater than After
// and whose e-mail address or full name contains Query.
type UsersPage struct {
	After int64
	Limit int
	Query string // empty finds all; capitals A to Z do not matter
}

// ListUsers returns a page of the users of the core or of a tenant, in the order of
// their ids.
func ListUsers[U User](ctx context.Context, db *gorm.DB, page UsersPage) ([]U, error) {
	query := gorm.G[U](db).Where("id > ?", page.After)
	if page.Query != "" {
		// With the collation C, PostgreSQL lowers the same letters as CanonicalEmail, as
		// SQLite always does.
		const match = `(lower(email COLLATE "C") LIKE ? ESCAPE '\' OR lower(full_name COLLATE "C") LIKE ? ESCAPE '\')`
		pattern := "%" + escapeLike(CanonicalEmail(page.Query)) + "%"
		query = query.Where(match, pattern, pattern)
	}
	return query.Order("id").Limit(page.Limit).Find(ctx)
}

// escapeLike returns a pattern for LIKE that matches just the text.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
