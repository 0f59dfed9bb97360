package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database"
)

const (
	// dialTimeout is for URLs that give no connect_timeout.
	dialTimeout = 5 * time.Second
	// shortTimeout is for those with several hosts.
	shortTimeout = 2 * time.Second
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
	before, hosts, after := database.CutHosts(raw)
	parsed, err := url.Parse(before + "host" + after)
	if err != nil || parsed.Scheme != driverName && parsed.Scheme != schemeAlias {
		return nil, errors.New("is malformed: it begins with postgres:// or postgresql://, and special characters in its parts must be percent-encoded")
	}
	query := queryOf(parsed)
	if mode != "" && !query.Has(execMode) {
		query.Set(execMode, mode)
	}
	address := &strings.Builder{}
	address.WriteString(driverName + "://")
	if parsed.User != nil {
		address.WriteString(parsed.User.String() + "@")
	}
	address.WriteString(hosts + parsed.EscapedPath() + "?" + strings.ReplaceAll(query.Encode(), "+", "%20"))

	config, err := pgx.ParseConfig(address.String())
	if err != nil {
		return nil, errors.New("is not one PostgreSQL understands: see its host, port and parameters")
	}
	setDefaults(config, query)
	return config, nil
}

// setDefaults sets values that the URL does not give. With several hosts, any server takes
// a connection and one takes writes, and a silent host must not hold up the next.
func setDefaults(config *pgx.ConnConfig, query url.Values) {
	timeout := dialTimeout
	if len(waysOf(config)) > 1 {
		timeout = shortTimeout
		if config.ValidateConnect == nil && !query.Has("target_session_attrs") {
			config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		}
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, timeout)
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = applicationName
	}
}

// queryOf returns the parameters of a URL as pgx takes them.
func queryOf(parsed *url.URL) url.Values {
	// In a URL of PostgreSQL a plus sign is no space.
	parsed.RawQuery = strings.ReplaceAll(parsed.RawQuery, "+", "%2B")
	query := parsed.Query()
	// SQLAlchemy and asyncpg have a word of their own for sslmode, and one for a
	// cache that is not ours.
	if mode := query.Get("ssl"); mode != "" && !query.Has("sslmode") {
		query.Set("sslmode", sslMode(mode))
	}
	for _, name := range othersParameters() {
		query.Del(name)
	}
	return query
}

// othersParameters are those of psql, SQLAlchemy and asyncpg that pgx would send to the
// server as settings, which it refuses. Each is about the work of that program, or asks for
// what the sessions have anyway.
func othersParameters() []string {
	return []string{
		"ssl", "async_fallback", "prepared_statement_cache_size", clientEncoding, "fallback_application_name", "gssencmode",
		"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "sslcompression",
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

// otherEngineError says that the server speaks PostgreSQL's protocol and is another
// database.
type otherEngineError struct{ name, reason string }

// Error says why the engine cannot be used.
func (e *otherEngineError) Error() string {
	return fmt.Sprintf("PostgreSQL is needed, the server is %s: %s", e.name, e.reason)
}

// checkEngine refuses the engines that are known not to work, by the answer to
// SELECT version(). They call themselves a recent PostgreSQL in server_version.
func checkEngine(version string) error {
	switch {
	case strings.Contains(version, "CockroachDB"):
		return &otherEngineError{"CockroachDB", "its advisory locks lock nothing"}
	case strings.Contains(version, "-YB-"):
		return &otherEngineError{"YugabyteDB", "it cannot have many databases"}
	}
	return nil
}
