// Package connect opens a core database on the engine that its URL names.
package connect

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"multitenant/database"
	"multitenant/database/postgres"
	"multitenant/database/sqlite"
)

// Open opens the core database on the engine that the URL names. On SQLite it
// creates a missing database and its folder, unless o.Existing is set. On
// PostgreSQL the database must exist.
func Open(ctx context.Context, o database.Options) (database.Backend, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	scheme, _, _ := strings.Cut(o.URL, "://")
	switch scheme {
	case "sqlite":
		return sqlite.Open(ctx, o)
	case "postgres", "postgresql":
		return postgres.Open(ctx, o)
	default:
		return nil, errors.New("database URL must begin with sqlite://, postgres:// or postgresql://")
	}
}
