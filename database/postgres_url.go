package database

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// dialTimeout is for URLs that give no connect_timeout.
	dialTimeout = 5 * time.Second
	// applicationName is how the server lists our connections, if the URL has no other.
	applicationName = "multitenant"
	// postgresName is of the URL's scheme, GORM's dialect and the server's own database.
	postgresName = "postgres"
)

// parsePostgresURL reads a URL. Its errors never quote it, nor what the parser
// said, which may: it holds the password.
func parsePostgresURL(raw string) (*pgx.ConnConfig, error) {
	parsed, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("database URL is malformed: special characters in its parts must be percent-encoded")
	}
	query := parsed.Query()
	// SQLAlchemy and asyncpg have a word of their own for sslmode, and one for a
	// cache that is not ours.
	if mode := query.Get("ssl"); mode != "" && !query.Has("sslmode") {
		query.Set("sslmode", sslMode(mode))
	}
	query.Del("ssl")
	query.Del("prepared_statement_cache_size")
	parsed.RawQuery = query.Encode()

	config, err := pgx.ParseConfig(parsed.String())
	if err != nil {
		return nil, errors.New("database URL is not one PostgreSQL understands: see its host, port and parameters")
	}
	if config.Database == "" {
		return nil, errors.New("database URL must name the core database")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = applicationName
	}
	return config, nil
}

// sslMode turns asyncpg's value of ssl into libpq's value of sslmode.
func sslMode(mode string) string {
	switch strings.ToLower(mode) {
	case "true", "1":
		return "require"
	case "false", "0":
		return "disable"
	}
	return mode
}

// quoteIdentifier makes a name safe inside a statement that takes no parameters.
func quoteIdentifier(name string) string { return pgx.Identifier{name}.Sanitize() }

// quoteLiteral does the same for a string.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
