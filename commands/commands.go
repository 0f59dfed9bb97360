// Package commands is the command line: it serves the API, and operates the
// fleet of tenants beside the processes that do.
package commands

import (
	"cmp"
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
	"multitenant/version"
)

// The program's exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2 // the command line was not understood, and nothing was done
)

const programName = "multitenant"

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

	Version    versionCommand    `cmd:"" help:"Say which program this is; --version says it in a line."`
	Completion completionCommand `cmd:"" help:"Write a script by which a shell completes commands."`
	Help       helpCommand       `cmd:"" help:"Explain the program, or one of its commands."`
	Complete   completeCommand   `cmd:"" name:"__complete" hidden:""`

	VersionFlag kong.VersionFlag `name:"version" hidden:""`
}

// group is a command that only has others. By itself it shows its help, which lists them.
type group struct{}

// Run shows the help. Kong calls it after each command of the group, too.
func (group) Run(command *kong.Context) error {
	if command.Selected().Leaf() {
		return nil
	}
	return command.PrintUsage(false)
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
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	message := oneLine(err.Error())
	if wrong, ok := errors.AsType[*settingsError](err); ok {
		message = wrong.Error()
	}
	say(inv.Stderr, inv.colour(inv.Stderr, red, "error:")+" "+message)
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		say(inv.Stderr, inv.colour(inv.Stderr, yellow, "hint:")+" "+hinted.hint)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	return ExitFailed
}

// settingsError lists mistakes in the settings, one a line.
type settingsError struct{ error }

// missingSetting is a mistake in the settings, for a command that cannot do without one.
func missingSetting(name, says, example string) error {
	return withHint(&settingsError{errors.New("settings:\n" + name + ": must be set")}, name+" says "+says+", such as "+example)
}

// usageError says that the command line is wrong, or that something is missing there.
type usageError struct{ message string }

// Error returns the message.
func (e *usageError) Error() string { return e.message }

// hintedError is an error with a hint on the next step, which is a line of its own.
type hintedError struct {
	error

	hint string
}

// Unwrap returns the error without the hint.
func (e *hintedError) Unwrap() error { return e.error }

// withHint attaches a hint, if it is one, to an error. It returns nil for nil.
func withHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &hintedError{error: err, hint: hint}
}

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
		kong.Name(programName),
		kong.Description(description),
		kong.Writers(inv.Stdout, inv.Stderr),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": programName + " " + cmp.Or(version.Read().Number, "unknown")},
	)
	if err != nil {
		return nil, exitCode(inv, err)
	}
	command, err = parser.Parse(inv.Args)
	switch {
	case helped: // kong goes on after the help, and complains
		return nil, ExitOK
	case err != nil:
		return nil, exitCode(inv, misused(command, err))
	}
	return command, ExitOK
}

// misused returns the error of a command line that kong does not understand. The hint is
// the word that was probably meant or else the help to read.
func misused(command *kong.Context, err error) error {
	message, guess, isGuessed := strings.Cut(err.Error(), ", did you mean ")
	if isGuessed {
		return withHint(&usageError{message}, "did you mean "+guess)
	}
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		command = wrong.Context
	}
	node := command.Selected()
	switch {
	case node == nil:
		node = command.Model.Node
		if guess := inGroup(node, message); guess != "" {
			return withHint(&usageError{message}, `did you mean "`+guess+`"?`)
		}
	case node.Parent.DefaultCmd == node: // kong takes the words that follow for its arguments
		node = node.Parent
		node.DefaultCmd = nil
		if again, err := kong.Trace(command.Kong, command.Args); err == nil && again.Error != nil {
			return misused(again, again.Error)
		}
	}
	return withHint(&usageError{message}, "`"+node.FullPath()+" --help` explains it")
}

// inGroup returns a group and its command, if the message is about an argument that is the
// name of such a command.
func inGroup(root *kong.Node, message string) string {
	word := strings.TrimPrefix(message, "unexpected argument ")
	for _, group := range root.Children {
		for _, command := range group.Children {
			if command.Name == word {
				return group.Name + " " + word
			}
		}
	}
	return ""
}

// say writes a line for the operator. Where it cannot be written, nothing can be said
// about it.
func say(w io.Writer, line any) {
	_, _ = fmt.Fprintln(w, line)
}
