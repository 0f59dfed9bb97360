package testkit

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
	"multitenant/tenants"
)

// servedSettings makes a test binary serve, see Serve; it holds an errand.
const servedSettings = "TESTKIT_SERVE"

// commandLine in place of an errand makes a test binary the program: see CommandLine.
const commandLine = "command-line"

// errand is what a process started by StartProcess is told to do.
type errand struct {
	Settings Settings       `json:"settings"`
	DieAt    []tenants.Step `json:"die_at"`
	Command  []string       `json:"command"` // instead of serving
}

// Process is an application in a process of its own, for a test to kill.
type Process struct {
	*App

	command *exec.Cmd
	leash   io.Closer     // the process ends when it is closed
	exited  chan struct{} // closed once the process has ended
}

// StartProcess starts an application in a process of its own, by means of the
// test binary's test TestServe. It kills itself when it comes to the last of the
// steps dieAt, if there is one, which may be before it serves. At
// each earlier step, in their order, the first request stands still: see AwaitStop.
func StartProcess(tb testing.TB, settings Settings, dieAt ...tenants.Step) *Process {
	tb.Helper()
	return startProcess(tb, &errand{Settings: settings, DieAt: dieAt})
}

// KillCommand runs a command of the program in a process of its own, which must kill
// itself at the step.
func KillCommand(tb testing.TB, settings Settings, step tenants.Step, arguments ...string) {
	tb.Helper()
	startProcess(tb, &errand{Settings: settings, DieAt: []tenants.Step{step}, Command: arguments}).RequireKilled()
}

func startProcess(tb testing.TB, todo *errand) *Process {
	tb.Helper()
	settings := todo.Settings
	told, err := json.Marshal(todo)
	require.NoError(tb, err)
	arguments := []string{os.Args[0], "-test.run=^TestServe$"}
	if settings.OpenFiles > 0 {
		limit := fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, settings.OpenFiles)
		arguments = append([]string{"/bin/sh", "-c", limit}, arguments...)
	}
	command := exec.CommandContext(tb.Context(), arguments[0], arguments[1:]...) //nolint:gosec // it starts itself
	command.Env = append(os.Environ(), servedSettings+"="+string(told))
	// A pipe of our own: the end of the test must not be the end of the process
	// before its time, nor the other way round.
	leash, err := command.StdinPipe()
	require.NoError(tb, err)
	output, err := command.StdoutPipe()
	require.NoError(tb, err)
	p := &Process{command: command, leash: leash, exited: make(chan struct{})}
	p.App = Attach(tb, "")
	p.Settings = settings
	command.Stderr = p.Log
	require.NoError(tb, command.Start())
	tb.Cleanup(p.Close)

	lines := bufio.NewReader(output)
	p.URL = p.awaitServing(lines)
	go func() {
		defer close(p.exited)
		_, _ = io.Copy(p.Log, lines)
		_ = command.Wait() // how it ended is for those to judge who ended it
	}()
	return p
}

// awaitServing returns the address of a process that serves now, or "" for one that dies
// before. Its background may have come to a step earlier, which the log keeps.
func (p *Process) awaitServing(lines *bufio.Reader) (address string) {
	for {
		line, err := lines.ReadString('\n')
		if address, serves := strings.CutPrefix(strings.TrimSpace(line), "serving "); serves || err != nil {
			return address
		}
		_, _ = p.Log.Write([]byte(line))
	}
}

// Attach returns a client for an application that runs in another process.
func Attach(tb testing.TB, address string) *App {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}} // many clients keep their connections
	tb.Cleanup(client.CloseIdleConnections)
	return &App{URL: address, Log: &Log{}, tb: tb, client: client}
}

// AwaitStop waits until a request stands still at a step, which is not the last that
// StartProcess was given.
func (p *Process) AwaitStop(step tenants.Step) {
	p.tb.Helper()
	Await(p.tb, 20*time.Second, func() error {
		if log := p.Log.String(); !strings.Contains(log, stopsAt(step)) {
			return fmt.Errorf("no request has come to the step %s: %s", step, log)
		}
		return nil
	})
}

// ID returns the id of the process.
func (p *Process) ID() int { return p.command.Process.Pid }

// Kill kills the process and returns once it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // it may have been faster
	<-p.exited
}

// RequireKilled waits for the process to have killed itself.
func (p *Process) RequireKilled() {
	p.tb.Helper()
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.Kill()
		require.Fail(p.tb, "the process has not come to the step it was to die at", p.Log.String())
	}
	status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.tb, ok)
	require.Equal(p.tb, syscall.SIGKILL, status.Signal(), "%s\n%s", p.command.ProcessState, p.Log)
}

// Close ends the process in order, if it still runs.
func (p *Process) Close() {
	_ = p.leash.Close() // it may be gone
	<-p.exited
}

// Serve is the test TestServe of a test binary: it serves where StartProcess
// has started the binary, and does nothing where somebody else has.
func Serve(t *testing.T) {
	t.Helper()
	told := os.Getenv(servedSettings)
	switch told {
	case "":
		return
	case commandLine:
		os.Exit(runCommandLine(t.Context()))
	}
	var todo errand
	require.NoError(t, json.Unmarshal([]byte(told), &todo))
	todo.Settings.OnStep = stopAt(todo.DieAt)
	if todo.Command != nil {
		require.Equal(t, Outcome{}, todo.Settings.Command(t, todo.Command...), "it was to die")
	}
	app := Start(t, todo.Settings)
	_, err := os.Stdout.WriteString("serving " + app.URL + "\n")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, os.Stdin) // until the leash is let go
	require.NoError(t, err)
}

// CommandLine is a script that is the program: the test binary with the arguments and the
// environment of the caller.
func CommandLine() string {
	return servedSettings + "=" + commandLine + ` exec "` + os.Args[0] + `" -test.run='^TestServe$' -- "$@"`
}

func runCommandLine(ctx context.Context) int {
	environ := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		environ[name] = value
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	return commands.Run(ctx, &commands.Invocation{
		Args: flag.Args(), Environ: environ, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
}

// stopAt returns a function that halts the first request at each of the steps, in their
// order, and ends this process at the last of them.
func stopAt(steps []tenants.Step) func(tenants.Step) {
	var stopped atomic.Int32
	return func(step tenants.Step) {
		i := stopped.Load()
		if int(i) == len(steps) || step != steps[i] || !stopped.CompareAndSwap(i, i+1) {
			return
		}
		if int(i)+1 == len(steps) {
			dieNow()
		}
		_, _ = os.Stdout.WriteString(stopsAt(step)) // AwaitStop notices where it fails
		select {}                                   // until the end of the process
	}
}

func stopsAt(step tenants.Step) string { return fmt.Sprintf("a request stops at the step %s\n", step) }

// dieNow ends this process as kill -9 does: nothing deferred is done.
func dieNow() {
	process, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the kernel has got round to it
}
