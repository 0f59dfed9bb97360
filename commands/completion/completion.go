// Package completion completes the command line in shells. The script of a shell asks the
// program for the words that fit, so that one set of rules serves them all.
package completion

import (
	"embed"
	"strings"

	"github.com/alecthomas/kong"
)

//go:embed multitenant.bash multitenant.zsh multitenant.fish
var scripts embed.FS

// Files stands for the names of files, which a shell completes better.
const Files = ":files"

// Script returns the script of bash, zsh or fish.
func Script(shell string) ([]byte, error) { return scripts.ReadFile("multitenant." + shell) }

// Find returns the words that fit in the place of the last one: commands, flags, or values
// of flags and arguments. A tab and a description may follow each.
func Find(program *kong.Node, words []string) []string {
	before, last := split(words)
	at := place{node: program}
	for _, word := range before {
		at.pass(word)
	}
	name, value, isAssigned := strings.Cut(last, "=")
	switch flag := at.flag(name); {
	case at.pending != nil:
		return fitting(valuesOf(at.pending.Value, ""), last)
	case isAssigned && flag != nil:
		return fitting(valuesOf(flag.Value, name+"="), name+"="+value)
	case strings.HasPrefix(last, "-"):
		return fitting(at.flags(), last)
	}
	return fitting(append(at.commands(), at.arguments()...), last)
}

// split returns the words that are complete and the one that is to be completed. Bash takes
// an equals sign for a word. The words after `help` are a command line, too.
func split(words []string) (before []string, last string) {
	if len(words) == 0 {
		return nil, ""
	}
	for i, word := range words[:len(words)-1] {
		if word != "=" && (i > 0 || word != "help") {
			before = append(before, word)
		}
	}
	if last = words[len(words)-1]; last == "=" {
		last = ""
	}
	return before, last
}

// place is where the command line has come to.
type place struct {
	node     *kong.Node
	pending  *kong.Flag // its value comes next
	position int        // of the next argument
}

func (p *place) pass(word string) {
	if p.pending != nil {
		p.pending = nil
		return
	}
	if strings.HasPrefix(word, "-") {
		if flag := p.flag(word); flag != nil && !flag.IsBool() {
			p.pending = flag
		}
		return
	}
	for _, child := range p.node.Children {
		if child.Name == word {
			p.node, p.position = child, 0
			return
		}
	}
	p.position++
}

// allFlags are those that may be given, also those of the command that is run if none is named.
func (p *place) allFlags() []*kong.Flag {
	node := p.node
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	var all []*kong.Flag
	for _, flags := range node.AllFlags(true) {
		all = append(all, flags...)
	}
	return all
}

func (p *place) flag(word string) *kong.Flag {
	for _, flag := range p.allFlags() {
		if word == "--"+flag.Name {
			return flag
		}
	}
	return nil
}

func (p *place) flags() (found []string) {
	for _, flag := range p.allFlags() {
		found = append(found, "--"+flag.Name+"\t"+flag.Help)
	}
	return found
}

func (p *place) commands() (found []string) {
	for _, child := range p.node.Children {
		if !child.Hidden {
			found = append(found, child.Name+"\t"+child.Help)
		}
	}
	return found
}

func (p *place) arguments() []string {
	if p.position >= len(p.node.Positional) {
		return nil
	}
	return valuesOf(p.node.Positional[p.position], "")
}

func valuesOf(value *kong.Value, before string) (found []string) {
	if value.Tag.Type == "path" {
		return []string{Files}
	}
	if value.Enum == "" {
		return nil
	}
	for _, text := range value.EnumSlice() {
		found = append(found, before+text)
	}
	return found
}

func fitting(all []string, word string) (found []string) {
	for _, text := range all {
		if text == Files || strings.HasPrefix(text, word) {
			found = append(found, text)
		}
	}
	return found
}
