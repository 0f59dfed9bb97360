package commands

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// isTerminal reports whether the stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// confirm asks for the answer that means yes. Where there is no terminal, the
// command line must have said so.
func confirm(inv *Invocation, yes bool, question, answer string) error {
	if yes {
		return nil
	}
	if !isTerminal(inv.Stdin) {
		return &usageError{"nothing was done: without a terminal to ask on, --yes is needed"}
	}
	_, _ = fmt.Fprintf(inv.Stderr, "%s Type %s to go on: ", question, answer)
	line, _ := bufio.NewReader(inv.Stdin).ReadString('\n') // the end of input is no answer
	if strings.TrimSpace(line) != answer {
		return fmt.Errorf("nothing was done: %s was not typed", answer)
	}
	return nil
}
