package sqlrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"multitenant/database"
)

// Streams are those of a terminal.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run starts a program on a tenant's database and waits for its end. It gets the streams,
// the variables of environ about the terminal and the user, and no setting of this program. A
// SIGINT of the terminal reaches it, and it decides what that means; a SIGTERM is passed on.
// The code is that of the program.
func Run(ctx context.Context, client *database.Client, arguments []string, environ map[string]string, s Streams) (code int, err error) {
	path, err := exec.LookPath(client.Program)
	if err != nil {
		return 0, fmt.Errorf("%s was not found: install it, for example by the package %s, or use `tenants exec`", client.Program, client.Package)
	}
	// It ends when it wants to: the terminal is its own.
	command := exec.CommandContext(context.WithoutCancel(ctx), path, append(client.Args, arguments...)...) //nolint:gosec // the name is the engine's, and the operator gives the arguments
	command.Stdin, command.Stdout, command.Stderr = s.In, s.Out, s.Err
	command.Env = environment(environ, client.Env)
	interrupts, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt) // else a second one would end this process alone
	defer signal.Stop(interrupts)
	signal.Notify(ends, syscall.SIGTERM)
	defer signal.Stop(ends)
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", client.Program, err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ends:
			_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
		case <-ended:
		}
	}()
	return exitCode(client.Program, command.Wait())
}

func exitCode(program string, err error) (int, error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok && exit.ExitCode() > 0:
		return exit.ExitCode(), nil
	case err != nil:
		return 0, fmt.Errorf("%s: %w", program, err)
	}
	return 0, nil
}

// environment returns the variables that a program at the terminal needs. Of secrets it has
// those of own alone.
func environment(environ, own map[string]string) []string {
	var list []string
	for name, value := range environ {
		if _, given := own[name]; !given && isOfUser(name) {
			list = append(list, name+"="+value)
		}
	}
	for name, value := range own {
		list = append(list, name+"="+value)
	}
	return list
}

// isOfUser reports whether a variable is about the user, the terminal, the system, or how
// psql looks and trusts servers.
func isOfUser(name string) bool {
	switch name {
	case "HOME", "USER", "LOGNAME", "SHELL", "PATH", "TERM", "COLORTERM", "TZ", "LANG", "LANGUAGE", "PAGER", "LESS", "EDITOR", "VISUAL",
		"TMPDIR", "COLUMNS", "LINES", "INPUTRC", "SQLITE_HISTORY", "SystemRoot", "USERPROFILE", "APPDATA", "TEMP", "TMP":
		return true
	}
	for _, prefix := range []string{"LC_", "XDG_", "PSQL", "PGSSL", "TERMINFO"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
