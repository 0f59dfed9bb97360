package commands

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"multitenant/commands/completion"
	"multitenant/version"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Write it as JSON."`
}

// Help describes the command.
func (versionCommand) Help() string {
	return "The commit and its date are unknown where the program was compiled without Git."
}

// programView is the program as programs see it.
type programView struct {
	Version     string     `json:"version"`
	Commit      string     `json:"commit"`       // empty if it is not known
	CommittedAt *time.Time `json:"committed_at"` // null likewise
	Modified    bool       `json:"modified"`     // there were changes that are in no commit
	Go          string     `json:"go"`
	Platform    string     `json:"platform"`
}

// Run says it.
func (c *versionCommand) Run(inv *Invocation) error {
	build := version.Read()
	view := programView{
		Version: build.Number, Commit: build.Commit, Modified: build.IsModified, Go: build.Go, Platform: build.Platform,
	}
	if !build.CommittedAt.IsZero() {
		view.CommittedAt = &build.CommittedAt
	}
	if c.JSON {
		return writeJSON(inv.Stdout, view)
	}
	return view.show(inv)
}

func (v *programView) show(inv *Invocation) error {
	commit, committed := cmp.Or(v.Commit, "unknown"), "unknown"
	if v.Modified {
		commit += ", with changes"
	}
	if v.CommittedAt != nil {
		committed = v.CommittedAt.Format(time.RFC3339)
	}
	table := newTable(inv.Stdout)
	say(table, "version\t"+cmp.Or(v.Version, "unknown"))
	say(table, "commit\t"+commit)
	say(table, "committed\t"+committed)
	say(table, "go\t"+v.Go)
	say(table, "platform\t"+v.Platform)
	return wrapOutput(table.Flush())
}

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command to explain, such as tenants list."`
}

// Help describes the command.
func (helpCommand) Help() string { return "It prints the same as --help after the command." }

// Run explains.
func (c *helpCommand) Run(program *kong.Kong) error {
	asked, err := kong.Trace(program, append(c.Command, "--help"))
	if err != nil {
		return err
	}
	if asked.Error != nil {
		return misused(asked, asked.Error)
	}
	return asked.PrintUsage(false)
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help describes the command.
func (completionCommand) Help() string {
	return strings.Join([]string{
		"Let the shell read the script when it starts:",
		"    bash: echo 'source <(multitenant completion bash)' >>~/.bashrc",
		"    zsh:  echo 'source <(multitenant completion zsh)' >>~/.zshrc     # after compinit",
		"    fish: multitenant completion fish >~/.config/fish/completions/multitenant.fish",
		"The script asks the program for all that fits, so the script of one release is good for the next.",
	}, "\n\n")
}

// Run writes the script.
func (c *completionCommand) Run(inv *Invocation) error {
	script, err := completion.Script(c.Shell)
	if err != nil {
		return err
	}
	_, err = inv.Stdout.Write(script)
	return wrapOutput(err)
}

// completeCommand is called by those scripts.
type completeCommand struct {
	Words []string `arg:"" optional:""`
}

// Run writes all that fits in the place of the last word, a line each.
func (c *completeCommand) Run(program *kong.Kong, inv *Invocation) error {
	for _, found := range completion.Find(program.Model.Node, c.Words) {
		if _, err := fmt.Fprintln(inv.Stdout, found); err != nil {
			return wrapOutput(err)
		}
	}
	return nil
}
