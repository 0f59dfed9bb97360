package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// oldestServer is the first version whose schema public belongs to the owner of
	// the database. Before it, every role could make functions there.
	oldestServer = 15
	// transactionTimeoutSince is the first version with that setting.
	transactionTimeoutSince = 17

	// clientEncoding is the setting for the encoding of what a session sends and gets.
	clientEncoding = "client_encoding"

	// tablesPath finds our tables by their bare names. The server searches pg_catalog
	// before them.
	tablesPath = "public, pg_temp"
	// catalogPath finds nothing that another role has made: the best match of a
	// function or an operator wins in any schema of the path, also in the last one.
	catalogPath = "pg_catalog, pg_temp"

	// statementTimeout ends the statements of a tenant's role. No request takes as long.
	statementTimeout = time.Minute
	// The role's own clients end after these; the program's sessions have limits of
	// their own.
	idleInTransactionTimeout = 5 * time.Minute
	idleTimeout              = time.Hour
	// temporaryFiles bounds the temporary files of one session of a tenant's role.
	temporaryFiles = "'1GB'"
)

// oldServerError says that the server is older than oldestServer.
type oldServerError struct{ version int }

// Error names both versions.
func (e *oldServerError) Error() string {
	return fmt.Sprintf("PostgreSQL %d or later is needed, the server is %d", oldestServer, e.version)
}

// setting is a setting of a session.
type setting struct{ name, value string }

// meanings are the settings that decide what a statement or a value means.
func meanings(path string) []setting {
	const on, off = "on", "off"
	return []setting{
		{clientEncoding, "'UTF8'"},
		{"standard_conforming_strings", on},
		{"search_path", path},
		{"DateStyle", "'ISO, MDY'"},
		{"IntervalStyle", "'postgres'"},
		{"TimeZone", "'UTC'"},
		{"bytea_output", "'hex'"},
		{"array_nulls", on},
		{"transform_null_equals", off},
		{"row_security", on},
		{"exit_on_error", off},
		{"default_transaction_isolation", "'read committed'"},
		{"default_transaction_deferrable", off},
	}
}

// timeouts are the settings that end slow statements and sessions. The program has limits
// of its own, and a session that holds a lock is idle for long. The URL may have others.
func timeouts(version int, statement time.Duration) []setting {
	none := "0"
	list := []setting{
		{"statement_timeout", milliseconds(statement)},
		{"lock_timeout", none},
		{"idle_in_transaction_session_timeout", none},
		{"idle_session_timeout", none},
	}
	if version >= transactionTimeoutSince {
		list = append(list, setting{"transaction_timeout", none})
	}
	return list
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// trackedSettings are the meanings that a pooler in transaction mode keeps for each
// client. The role has the others, see roleSettings.
func trackedSettings() map[string]string {
	return map[string]string{
		clientEncoding: "UTF8", "standard_conforming_strings": "on", "DateStyle": "ISO, MDY", "TimeZone": "UTC",
	}
}

// roleSettings are those of a tenant's role: for sessions that come through a pooler,
// and for clients that are not ours. Only a superuser, or a role that was granted the
// parameter, may limit files.
func roleSettings(limitsFiles bool) []setting {
	tracked := trackedSettings()
	list := append(
		slices.DeleteFunc(meanings(tablesPath), func(s setting) bool { return tracked[s.name] != "" }),
		setting{"statement_timeout", milliseconds(statementTimeout)},
		setting{"lock_timeout", "0"},
		setting{"idle_in_transaction_session_timeout", milliseconds(idleInTransactionTimeout)},
		setting{"idle_session_timeout", milliseconds(idleTimeout)},
	)
	if limitsFiles {
		list = append(list, setting{"temp_file_limit", temporaryFiles})
	}
	return list
}

// setUp gives a new session the settings that the program relies on, whatever the
// server, the database or the role has. It refuses a server that is too old or is no
// PostgreSQL.
func (t *target) setUp(ctx context.Context, server *pgconn.PgConn) error {
	version, err := majorVersion(server.ParameterStatus("server_version"))
	if err != nil || t.isPooled {
		return err
	}
	statement := time.Duration(0)
	if t.login.Role != "" {
		statement = statementTimeout
	}
	var text strings.Builder
	for i, s := range timeouts(version, statement) { // first, since they bound the others
		if !isInURL(t.config, s.name) {
			text.WriteString("SET " + s.name + " = " + s.value + ";")
		}
		if i == 0 { // other engines may not know the next
			text.WriteString("SELECT pg_catalog.version();")
		}
	}
	for _, s := range meanings(t.path) {
		text.WriteString("SET " + s.name + " = " + s.value + ";")
	}
	results, err := server.Exec(ctx, text.String()).ReadAll()
	if other := checkEngine(firstValue(results)); other != nil { // also where a setting is not known
		return other
	}
	if err != nil {
		return err
	}
	return t.hosts.admit(ctx, server)
}

// firstValue is the first value of the statements that answer with rows.
func firstValue(results []*pgconn.Result) string {
	for _, result := range results {
		if len(result.Rows) > 0 && len(result.Rows[0]) > 0 {
			return string(result.Rows[0][0])
		}
	}
	return ""
}

// isInURL reports whether the URL has a value for the setting.
func isInURL(config *pgx.ConnConfig, name string) bool {
	_, found := config.RuntimeParams[name]
	return found || strings.Contains(config.RuntimeParams["options"], name)
}

// majorVersion reads a version such as "15.8 (Debian 15.8-0+deb12u1)" or "19devel".
func majorVersion(text string) (int, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	version, err := strconv.Atoi(text[:end])
	if err != nil {
		return 0, fmt.Errorf("read the server's version %q: %w", text, err)
	}
	if version < oldestServer {
		return 0, &oldServerError{version: version}
	}
	return version, nil
}
