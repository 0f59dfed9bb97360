package testkit

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
)

// Outcome is how a command ended.
type Outcome struct {
	Code   int
	Stdout string
	Stderr string
}

// Command runs a command of the program on the databases of these settings, in
// this process and without a terminal.
func (s *Settings) Command(tb testing.TB, arguments ...string) Outcome {
	tb.Helper()
	return s.CommandUntil(tb.Context(), arguments...)
}

// CommandReading is Command for one that reads the text from stdin.
func (s *Settings) CommandReading(tb testing.TB, text string, arguments ...string) Outcome {
	tb.Helper()
	return s.command(tb.Context(), text, arguments)
}

// CommandUntil is Command for one that is told to stop when ctx ends.
func (s *Settings) CommandUntil(ctx context.Context, arguments ...string) Outcome {
	return s.command(ctx, "", arguments)
}

func (s *Settings) command(ctx context.Context, stdin string, arguments []string) Outcome {
	var stdout, stderr Log
	code := commands.Run(ctx, &commands.Invocation{
		Args:       arguments,
		Environ:    s.Environ(),
		Stdin:      strings.NewReader(stdin),
		Stdout:     &stdout,
		Stderr:     &stderr,
		Migrations: s.Migrations,
		OnStep:     s.OnStep,
	})
	return Outcome{Code: code, Stdout: stdout.String(), Stderr: stderr.String()}
}

// Environ is the environment in which the program has these settings.
func (s *Settings) Environ() map[string]string {
	limit := ""
	if s.Database.TenantConnections > 0 {
		limit = strconv.Itoa(s.Database.TenantConnections)
	}
	environ := map[string]string{
		"TENANT_CONNECTION_LIMIT":  limit,
		"DATABASE_URL":             s.Database.URL,
		"TENANT_DATABASE_URL":      s.Database.TenantURL,
		"DATABASE_MAX_CONNECTIONS": strconv.Itoa(s.Database.MaxConnections),
		"TENANT_DATABASE_PREFIX":   s.Database.TenantPrefix,
		"JWT_SECRET_KEY":           Secret,
		"BCRYPT_COST":              "4",
		"HTTP_ADDR":                "127.0.0.1:0",
		"LOG_LEVEL":                "debug",
	}
	if s.Backups != "" {
		environ["BACKUP_URL"] = "file://" + filepath.ToSlash(s.Backups)
	}
	maps.Copy(environ, s.Variables)
	return environ
}

// RequireCode requires the exit code.
func (o Outcome) RequireCode(tb testing.TB, code int) Outcome {
	tb.Helper()
	require.Equal(tb, code, o.Code, "%s\n%s", o.Stdout, o.Stderr)
	return o
}

// Messages returns what the command wrote to Stderr but for lines of progress, which a slow
// machine brings forth.
func (o Outcome) Messages() string {
	return regexp.MustCompile(`(?m)^[a-z ]+: \d+ of \d+ [a-z ]+, \d+ failed\n`).ReplaceAllString(o.Stderr, "")
}

// Decode returns what a command wrote as JSON; it may have written nothing else.
func Decode[T any](tb testing.TB, o Outcome) T {
	tb.Helper()
	decoder := json.NewDecoder(strings.NewReader(o.Stdout))
	decoder.DisallowUnknownFields()
	var value T
	require.NoError(tb, decoder.Decode(&value), o.Stdout)
	require.False(tb, decoder.More(), o.Stdout)
	return value
}
