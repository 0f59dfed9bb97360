package commands

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
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
