package commands

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"multitenant/tenants/fleet"
)

// isTerminal reports whether the stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Colours of a terminal. One without a colour has that of the text around it.
const (
	red     = "31"
	green   = "32"
	yellow  = "33"
	neutral = "39"
)

// hasColours reports whether a stream shows colours. See https://no-color.org.
func (inv *Invocation) hasColours(stream any) bool {
	return isTerminal(stream) && inv.Environ["NO_COLOR"] == "" && inv.Environ["TERM"] != "dumb"
}

// colour returns the text in that colour, if the stream shows colours.
func (inv *Invocation) colour(stream any, colour, text string) string {
	if !inv.hasColours(stream) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// colourOf says how good a status is.
func colourOf(status string) string {
	switch status {
	case "ready", "done", outcomeComplete, outcomeRestored, "pass", "repaired":
		return green
	case outcomeFailed, outcomeIncomplete, "fail", "to be decided":
		return red
	case "STATUS", "OUTCOME", "":
		return neutral
	}
	return yellow
}

// table lines columns up, which are separated by tabs; Flush writes it.
type table struct {
	*tabwriter.Writer

	inv    *Invocation // nil for a table without colours
	status int         // the column that is coloured
}

const tabWidth = 2

func newTable(w io.Writer) *table {
	return &table{Writer: tabwriter.NewWriter(w, 0, 0, tabWidth, ' ', 0)}
}

// withStatus colours the statuses in that column; there is none if it is negative.
func (t *table) withStatus(inv *Invocation, column int) *table {
	if column >= 0 {
		t.inv, t.status = inv, column
	}
	return t
}

// Write takes one line. In each line the same number of bytes is added to the column of
// statuses, so that the next column still lines up.
func (t *table) Write(line []byte) (int, error) {
	if t.inv == nil || !t.inv.hasColours(t.inv.Stdout) {
		return t.Writer.Write(line)
	}
	cells := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
	if t.status < len(cells) {
		text := cells[t.status]
		first, _, _ := strings.Cut(text, ",") // as in "ready, last backup due"
		cells[t.status] = t.inv.colour(t.inv.Stdout, colourOf(first), text)
	}
	if _, err := t.Writer.Write([]byte(strings.Join(cells, "\t") + "\n")); err != nil {
		return 0, err
	}
	return len(line), nil
}

// confirm asks for the answer that means yes. Where there is no terminal, the
// command line must have said so.
func confirm(inv *Invocation, yes bool, question, answer string) error {
	if yes {
		return nil
	}
	if !isTerminal(inv.Stdin) {
		return withHint(&usageError{"nothing was done: there is no terminal to ask on"}, "--yes agrees to what would be asked")
	}
	_, _ = fmt.Fprintf(inv.Stderr, "%s Type %s to go on: ", question, answer)
	line, _ := bufio.NewReader(inv.Stdin).ReadString('\n') // the end of input is no answer
	if strings.TrimSpace(line) != answer {
		return fmt.Errorf("nothing was done: %s was not typed", answer)
	}
	return nil
}

// progressEvery is how often a line says how far a run is, where a bar cannot.
const progressEvery = 3 * time.Second

// progress shows how far a run over the fleet is: by a bar on a terminal, by a
// line now and then elsewhere.
type progress struct {
	verb string
	out  io.Writer
	bar  *progressbar.ProgressBar // nil where there is no terminal, or nothing yet
	wide bool                     // there is a terminal

	stop    chan struct{}
	stopped sync.WaitGroup

	mu   sync.Mutex // guards line and bar
	line string     // the latest state, in words; empty before the first
}

// startProgress shows what a run reports to update, until finish.
func startProgress(inv *Invocation, verb string) *progress {
	p := &progress{verb: verb, out: inv.Stderr, wide: isTerminal(inv.Stderr), stop: make(chan struct{})}
	if !p.wide {
		p.stopped.Go(p.tick)
	}
	return p
}

func (p *progress) tick() {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		if p.line != "" {
			say(p.out, p.line)
		}
		p.mu.Unlock()
	}
}

// update shows a run over tenants.
func (p *progress) update(s *fleet.Summary) {
	p.show(s.Done+len(s.Failures), s.Total, len(s.Failures), "tenants")
}

// show shows how many of the things that noun names were attempted.
func (p *progress) show(attempted, total, failed int, noun string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = fmt.Sprintf("%s: %d of %d %s, %d failed", p.verb, attempted, total, noun, failed)
	if !p.wide {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(
			total,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetDescription(p.verb),
			progressbar.OptionShowCount(),
			progressbar.OptionFullWidth(),
			progressbar.OptionSetRenderBlankState(true),
		)
	}
	p.bar.ChangeMax(total)
	_ = p.bar.Set(attempted) // a bar that cannot be drawn is nothing to stop for
}

// finish leaves the cursor on a line of its own.
func (p *progress) finish() {
	close(p.stop)
	p.stopped.Wait()
	if p.bar != nil {
		say(p.out, "")
	}
}
