package tests_test

import (
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// operator follows docs/operating.md in a shell, at a terminal.
type operator struct {
	settings *testkit.Settings
	folder   string            // where the commands are run, and the home
	places   map[string]string // from the names on the page to those of the test
	app      *testkit.App
	owner    string // the token of the owner of acme and globex
}

func newOperator(t *testing.T, settings *testkit.Settings) *operator {
	t.Helper()
	identity := newIdentity(t)
	folder := keepBackups(t, settings, identity)
	settings.Backups = folder
	o := &operator{settings: settings, folder: t.TempDir()}
	o.places = map[string]string{
		"file:///var/backups/multitenant": "file://" + folder, "age1…": identity.Recipient().String(), "/tmp/": o.folder + "/",
	}
	o.install(t, "multitenant", testkit.CommandLine())
	o.install(t, "age-keygen", `printf '%s\n' '`+identity.String()+`' >"$2"`)
	o.install(t, "unzip", `test -s "$2"`)
	o.install(t, "litestream", `cp moment.db "$5"`) // restore -timestamp TIME -o FILE URL
	return o
}

// install puts a program of that name before all others.
func (o *operator) install(t *testing.T, name, script string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(o.folder, "bin"), 0o700))
	file := filepath.Join(o.folder, "bin", name)
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
}

// follow runs a block of commands under a heading, at a terminal where the operator agrees to
// all that is asked, and returns the output. All must succeed.
func (o *operator) follow(t *testing.T, heading string, block int) string {
	t.Helper()
	shell, seen := o.start(t, heading, block)
	err := shell.Wait()
	require.NoError(t, err, "%s: %s", heading, seen())
	return seen()
}

// start begins to follow a block.
func (o *operator) start(t *testing.T, heading string, block int) (shell *exec.Cmd, seen func() string) {
	t.Helper()
	blocks := captures("(?s)```bash\n(.*?)```", sections(t)[heading])
	require.Greater(t, len(blocks), block, heading)
	script := o.onEngine(blocks[block])
	places := make([]string, 0, 2*len(o.places))
	for there, here := range o.places {
		places = append(places, there, here)
	}
	script = strings.NewReplacer(places...).Replace(script)
	person, terminal := openTerminal(t)
	go func() { _, _ = io.Copy(io.Discard, person) }() // until the terminal is closed
	output := &consent{person: person}
	shell = exec.CommandContext(t.Context(), "bash", "-c", "set -euo pipefail\n"+script)
	shell.Dir, shell.Stdin, shell.Stdout, shell.Stderr = o.folder, terminal, output, output
	shell.Env = []string{"HOME=" + o.folder, "PATH=" + filepath.Join(o.folder, "bin") + ":" + os.Getenv("PATH")}
	environ := o.settings.Environ()
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		shell.Env = append(shell.Env, name+"="+environ[name])
	}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, shell.Start())
	require.NoError(t, terminal.Close())
	return shell, output.String
}

// consent keeps the output of a shell. It types the answer that each question asks for.
type consent struct {
	testkit.Log

	person io.Writer
	asked  int
}

// Write shows a piece.
func (c *consent) Write(piece []byte) (int, error) {
	n, err := c.Log.Write(piece)
	for questions := captures(`Type (\S+) to go on: `, c.String()); c.asked < len(questions); c.asked++ {
		_, err = io.WriteString(c.person, questions[c.asked]+"\n")
	}
	return n, err
}

// onEngine returns the part of a block that is for the engine.
func (o *operator) onEngine(block string) string {
	server, file, both := strings.Cut(block, "# on SQLite\n")
	if both && o.settings.Engine == testkit.SQLite {
		return file
	}
	return server
}

// sections returns the text under each heading of the operator's page, until the next one.
func sections(t *testing.T) map[string]string {
	t.Helper()
	page := readFile(t, "docs/operating.md")
	found := map[string]string{}
	starts := regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatchIndex(page, -1)
	for i, start := range starts {
		end := len(page)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		found[page[start[2]:start[3]]] = page[start[1]:end]
	}
	return found
}
