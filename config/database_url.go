package config

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"multitenant/database"
)

const (
	sqliteScheme   = "sqlite://"
	postgresScheme = "postgres://"
)

// normalizeURL returns the URL of the core database as package database takes
// it: sqlite:// with a path, or postgres://. The URL need not name a host where hasHost
// says that the environment does. Its errors never quote the URL, which may hold a
// password.
func normalizeURL(raw string, hasHost bool) (string, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return "", errors.New("must be a URL such as sqlite://data/core.db or postgres://user:password@host/database")
	}
	dialect, driver, _ := strings.Cut(scheme, "+")
	switch {
	case scheme == "sqlite":
		return normalizeSQLite(rest)
	case dialect != "postgres" && dialect != "postgresql":
		return "", errors.New("must begin with sqlite://, postgres:// or postgresql://")
	case driver == "" && scheme == dialect:
		return normalizePostgres(rest, hasHost)
	case slices.Contains([]string{"asyncpg", "psycopg", "psycopg2"}, driver):
		return normalizePostgres(fromSQLAlchemy(rest), hasHost)
	default:
		return "", errors.New("names a Python driver that is not known: write postgres://")
	}
}

// normalizeTenantURL does the same for the URL by which tenants are reached, where
// there is one; core is the URL of the core database, and "" where that is wrong.
func normalizeTenantURL(raw, core string, hasHost bool) (string, error) {
	if raw == "" {
		return "", nil
	}
	if strings.HasPrefix(core, sqliteScheme) {
		return "", errors.New("is for PostgreSQL, and DATABASE_URL names a file of SQLite")
	}
	if !strings.HasPrefix(raw, "postgres") || !strings.Contains(raw, "://") {
		return "", errors.New("must be a URL such as postgres://host:6432")
	}
	return normalizeURL(raw, hasHost)
}

func normalizeSQLite(path string) (string, error) {
	if path == "" || strings.HasSuffix(path, "/") {
		return "", errors.New("must name a file after sqlite://")
	}
	if strings.Contains(path, ":memory:") || strings.ContainsAny(path, "?\x00") {
		return "", errors.New("must name a file after sqlite://, without options")
	}
	return sqliteScheme + path, nil
}

func normalizePostgres(rest string, hasHost bool) (string, error) {
	before, hosts, after := database.CutHosts(postgresScheme + rest)
	u, err := url.Parse(before + "host" + after)
	if err != nil || strings.Contains(rest, "#") || !areHosts(hosts) {
		return "", errors.New("is not a valid URL: special characters in a password must be percent-encoded")
	}
	query := u.Query()
	if hosts == "" && !hasHost && !query.Has("host") && !query.Has("service") {
		return "", errors.New("must name a host")
	}
	return postgresScheme + rest, nil
}

// areHosts reports whether a list has hosts, with or without ports. The folder of a socket
// is percent-encoded.
func areHosts(list string) bool {
	for host := range strings.SplitSeq(list, ",") {
		host = strings.ReplaceAll(strings.ReplaceAll(host, "%2F", "-"), "%2f", "-")
		if _, err := url.Parse(postgresScheme + host); err != nil {
			return false
		}
	}
	return true
}

// fromSQLAlchemy encodes a user and a password that SQLAlchemy takes as they stand.
func fromSQLAlchemy(rest string) string {
	credentials, server, found := strings.Cut(rest, "@")
	user, password, hasPassword := strings.Cut(credentials, ":")
	switch {
	case !found || strings.Contains(user, "/"):
		credentials, server = "", rest
	case hasPassword:
		credentials = url.UserPassword(unquote(user), unquote(password)).String() + "@"
	default:
		credentials = url.User(unquote(user)).String() + "@"
	}
	return credentials + server
}

// unquote decodes percent-encoding and, as Python does, lets a lone percent sign be.
func unquote(text string) string {
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return decoded
}
