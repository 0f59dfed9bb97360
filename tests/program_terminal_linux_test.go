package tests_test

import (
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"multitenant/commands"
	"multitenant/tests/testkit"
)

// openTerminal returns the two ends of a terminal: a person's, and a program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = person.Close() })
	raw, err := person.SyscallConn()
	require.NoError(t, err)
	var number int
	var failure error
	require.NoError(t, raw.Control(func(descriptor uintptr) {
		if failure = unix.IoctlSetPointerInt(int(descriptor), unix.TIOCSPTLCK, 0); failure == nil {
			number, failure = unix.IoctlGetInt(int(descriptor), unix.TIOCGPTN)
		}
	}))
	require.NoError(t, failure)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return person, program
}

// atTerminal runs a command at a terminal on which somebody types, and returns
// what is to be seen there as the outcome's stderr.
func atTerminal(t *testing.T, settings *testkit.Settings, typed string, arguments ...string) testkit.Outcome {
	t.Helper()
	person, program := openTerminal(t)
	_, err := person.WriteString(typed)
	require.NoError(t, err)
	seen := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(person) // until the program's end is closed, which is an error
		seen <- string(text)
	}()
	var stdout testkit.Log
	code := commands.Run(t.Context(), &commands.Invocation{
		Args: arguments, Environ: settings.Environ(), Stdin: program, Stdout: &stdout, Stderr: program, Migrations: settings.Migrations,
	})
	require.NoError(t, program.Close())
	return testkit.Outcome{Code: code, Stdout: stdout.String(), Stderr: <-seen}
}

// onScreen runs a command whose whole output goes to a terminal, and returns that.
func onScreen(t *testing.T, settings *testkit.Settings, variables map[string]string, arguments ...string) string {
	t.Helper()
	person, program := openTerminal(t)
	seen := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(person) // until the program's end is closed, which is an error
		seen <- string(text)
	}()
	environ := settings.Environ()
	maps.Copy(environ, variables)
	environ["LOG_LEVEL"] = "error"
	commands.Run(t.Context(), &commands.Invocation{Args: arguments, Environ: environ, Stdin: program, Stdout: program, Stderr: program})
	require.NoError(t, program.Close())
	return strings.ReplaceAll(<-seen, "\r\n", "\n")
}

// Colours are for terminals that show them and for users who want them. They move no column.
func TestColoursAtATerminal(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Command(t, "migrate").RequireCode(t, 0)
	for _, slug := range []string{"acme", "globex"} {
		settings.Command(t, "tenants", "create", slug).RequireCode(t, 0)
	}
	settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)

	for command, coloured := range map[string][]string{
		"tenants list":        {"\x1b[32mready\x1b[0m ", "\x1b[33msuspended\x1b[0m "},
		"tenants show acme":   {"\x1b[32mready\x1b[0m\n"},
		"tenants show nobody": {"\x1b[31merror:\x1b[0m tenant", "\x1b[33mhint:\x1b[0m `multitenant"},
		"tenants isolation":   {"\x1b[32mpass\x1b[0m "},
		"srve":                {"\x1b[31merror:\x1b[0m unexpected"},
	} {
		arguments := strings.Fields(command)
		seen := onScreen(t, &settings, map[string]string{"NO_COLOR": "", "TERM": "xterm"}, arguments...)
		for _, text := range coloured {
			require.Contains(t, seen, text, command)
		}
		plain := onScreen(t, &settings, map[string]string{"NO_COLOR": "0"}, arguments...)
		require.NotContains(t, plain, "\x1b[3", command)
		require.NotContains(t, onScreen(t, &settings, map[string]string{"TERM": "dumb"}, arguments...), "\x1b[3", command)
		require.NotContains(t, settings.Command(t, arguments...).Stdout, "\x1b")
		if command != "tenants isolation" { // it has a bar
			require.Equal(t, plain, regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(seen, ""))
		}
	}
}

func TestDeletionAsksAtATerminal(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "acme")

		for _, typed := range []string{"yes\n", "\n", "globex\n", "\x04"} {
			outcome := atTerminal(t, &settings, typed, "tenants", "delete", "acme").RequireCode(t, 1)
			require.Contains(t, outcome.Stderr, `Tenant "acme" will be deleted with all its data, for good. Type acme to go on: `)
			require.Contains(t, outcome.Stderr, "nothing was done")
			require.Empty(t, outcome.Stdout)
		}
		require.Contains(t, settings.Databases(t), settings.DatabaseName("acme"))

		atTerminal(t, &settings, "acme\n", "tenants", "delete", "acme").RequireCode(t, 0)
		require.NotContains(t, settings.Databases(t), settings.DatabaseName("acme"))
	})
}

func TestFleetRunsAtATerminal(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "acme", "globex")
		old := schemaOf(t, &settings, "acme")
		next := nextRelease(settings, createTable(notesID, "notes"))

		outcome := atTerminal(t, &next, "", "migrate").RequireCode(t, 0)
		require.Contains(t, outcome.Stderr, "migrating")
		require.Contains(t, outcome.Stderr, "(2/2)")
		require.Equal(t, "tenants: 2 migrated, 0 failed, 0 left\n", outcome.Stdout)

		require.Contains(t, atTerminal(t, &next, "", "tenants", "doctor").RequireCode(t, 0).Stderr, "examining")
		if settings.Engine == testkit.Postgres {
			require.Contains(t, atTerminal(t, &next, "", "tenants", "isolation").Stderr, "trying")
		}

		refused := atTerminal(t, &next, "no\n", "migrate", "rollback", "--to", old).RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "2 tenants will be rolled back to "+old)
		require.Equal(t, notesID, schemaOf(t, &settings, "acme"))
		done := atTerminal(t, &next, "yes\n", "migrate", "rollback", "--to", old).RequireCode(t, 0)
		require.Contains(t, strings.ReplaceAll(done.Stderr, "\r", "\n"), "rolling back")
		require.Equal(t, old, schemaOf(t, &settings, "acme"))
	})
}
