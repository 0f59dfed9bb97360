// Package commands is the command line: it serves the API, and operates the
// fleet of tenants beside the processes that do.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/tenants"
)

// The program's exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2 // the command line was not understood, and nothing was done
)

const description = "A multi-tenant backend with a database for each tenant. Without a command it serves."

// Invocation is what the program was started with.
type Invocation struct {
	Args    []string // without the program's name
	Environ map[string]string
	Stdin   io.Reader
	Stdout  io.Writer // what was asked for, and nothing else
	Stderr  io.Writer // the log, progress and errors
	// Migrations, where they are set, stand in for those of tenants' databases,
	// so that a test can be another release.
	Migrations []*gormigrate.Migration
	// OnStep, where it is set, is called after each step of making, replacing or deleting
	// a tenant, so that a test can stop the process there.
	OnStep func(tenants.Step)
}

// commandLine is the grammar; each command is a struct with a method Run.
type commandLine struct {
	Serve   serveCommand       `cmd:"" default:"1" help:"Serve the API. This is what is done without a command."`
	Health  healthcheckCommand `cmd:"" name:"healthcheck" help:"Ask the server of these settings whether it lives."`
	Migrate migrateCommand     `cmd:"" help:"Migrate core and all tenants, show how far they are, or take a migration back."`
	Tenants tenantsCommand     `cmd:"" help:"List, show, create, suspend, resume, delete, restore, clone or examine tenants."`
	Users   usersCommand       `cmd:"" help:"List or create users, or let them choose a new password."`
	Audit   auditCommand       `cmd:"" help:"Export the audit trail."`
	Backup  backupCommand      `cmd:"" help:"Back up core and tenants; list, prove or remove backups, or restore all."`

	Operations operationsCommand `cmd:"" help:"List, show or cancel the long work of servers."`
}

// Run does what the command line says and returns the exit code. The process
// is told to stop by a signal, or by the end of ctx; a second signal ends it at
// once.
func Run(ctx context.Context, inv *Invocation) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	command, code := parse(inv)
	if command == nil {
		return code
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return exitCode(inv, command.Run(inv))
}

func exitCode(inv *Invocation, err error) int {
	if err == nil {
		return ExitOK
	}
	if wrong, ok := errors.AsType[*settingsError](err); ok {
		say(inv.Stderr, wrong)
		return ExitFailed
	}
	say(inv.Stderr, oneLine(err.Error()))
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	return ExitFailed
}

// settingsError lists mistakes in the settings, one a line.
type settingsError struct{ error }

// usageError says that something is missing on the command line.
type usageError struct{ message string }

// Error says what.
func (e *usageError) Error() string { return e.message }

// oneLine keeps a message from looking like several.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// parse returns the command, or nil and the exit code where there is nothing
// to run.
func parse(inv *Invocation) (command *kong.Context, code int) {
	helped := false
	parser, err := kong.New(
		&commandLine{},
		kong.Name("multitenant"),
		kong.Description(description),
		kong.Writers(inv.Stdout, inv.Stderr),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		say(inv.Stderr, err)
		return nil, ExitFailed
	}
	command, err = parser.Parse(inv.Args)
	switch {
	case helped: // kong goes on after the help, and complains
		return nil, ExitOK
	case err != nil:
		say(inv.Stderr, err)
		return nil, ExitUsage
	}
	return command, ExitOK
}

// say writes a line for the operator. Where it cannot be written, nothing can be said
// about it.
func say(w io.Writer, line any) {
	_, _ = fmt.Fprintln(w, line)
}
