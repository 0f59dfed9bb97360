package postgres

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// dialTimeout is for URLs that give no connect_timeout.
	dialTimeout = 5 * time.Second
	// fewSeconds is connect_timeout for URLs with several hosts that give none.
	fewSeconds = "2"
	// applicationName is how the server lists our connections, if the URL has no other.
	applicationName = "multitenant"
	driverName      = "postgres" // of the URL's scheme, of GORM's dialect and of the server's own database
	schemeAlias     = "postgresql"
	// execMode is pgx's parameter for how it executes statements.
	execMode = "default_query_exec_mode"
)

// parseURL reads the URL of the core database.
func parseURL(raw string) (*server, error) {
	config, err := parseServerURL(raw, "")
	if err != nil {
		return nil, fmt.Errorf("database URL %w", err)
	}
	if config.Database == "" {
		return nil, errors.New("database URL must name the core database")
	}
	return newServer(config), nil
}

// parseTenantURL reads the URL by which requests reach tenants. By default no
// statement relies on an earlier one of its connection, so a pooler may switch
// connections.
func parseTenantURL(raw string) (*server, error) {
	config, err := parseServerURL(raw, "exec")
	if err != nil {
		return nil, fmt.Errorf("tenant URL %w", err)
	}
	maps.Copy(config.RuntimeParams, trackedSettings())
	return newServer(config), nil
}

// parseServerURL reads a URL, with a mode of execution for those that give none.
// Its errors quote neither the URL nor the message of the parser, since the URL holds
// the password.
func parseServerURL(raw, mode string) (*pgx.ConnConfig, error) {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Scheme != driverName && parsed.Scheme != schemeAlias {
		return nil, errors.New("is malformed: it begins with postgres:// or postgresql://, and special characters in its parts must be percent-encoded")
	}
	// In a URL of PostgreSQL a plus sign is no space.
	parsed.RawQuery = strings.ReplaceAll(parsed.RawQuery, "+", "%2B")
	query := parsed.Query()
	// SQLAlchemy and asyncpg have a word of their own for sslmode, and one for a
	// cache that is not ours.
	if mode := query.Get("ssl"); mode != "" && !query.Has("sslmode") {
		query.Set("sslmode", sslMode(mode))
	}
	query.Del("ssl")
	query.Del("prepared_statement_cache_size")
	if mode != "" && !query.Has(execMode) {
		query.Set(execMode, mode)
	}
	if hasSeveralHosts := strings.Contains(parsed.Host+query.Get("host"), ","); hasSeveralHosts {
		setDefault(query, "target_session_attrs", "read-write") // any server takes a connection, and one takes writes
		setDefault(query, "connect_timeout", fewSeconds)        // a silent host must not hold up the next
	}
	parsed.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")

	config, err := pgx.ParseConfig(parsed.String())
	if err != nil {
		return nil, errors.New("is not one PostgreSQL understands: see its host, port and parameters")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = applicationName
	}
	return config, nil
}

func setDefault(query url.Values, name, value string) {
	if !query.Has(name) {
		query.Set(name, value)
	}
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
