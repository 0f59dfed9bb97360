// Package sqlrun writes the results of SQL in tenants' databases, and starts the
// programs of the engines.
package sqlrun

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"multitenant/database"
)

const (
	tabWidth = 2
	// alignedRows is for how many rows the columns are lined up at once.
	alignedRows = 500
	// shownRunes is how much of a value a table shows.
	shownRunes = 200
	null       = "NULL"
)

// Output writes the rows of tenants as one table or as JSON Lines. The rows of a tenant
// stay together.
type Output struct {
	isJSON   bool
	hasNames bool // a table with a column for the tenant

	mu      sync.Mutex // guards all below
	out     *bufio.Writer
	table   *tabwriter.Writer
	heading string
	rows    int
}

// New returns an Output. One with names is for many tenants, whose rows come at once.
func New(w io.Writer, isJSON, hasNames bool) *Output {
	out := bufio.NewWriter(w)
	return &Output{isJSON: isJSON, hasNames: hasNames, out: out, table: tabwriter.NewWriter(out, 0, 0, tabWidth, ' ', 0)}
}

// Rows takes the rows of one tenant.
type Rows struct {
	output  *Output
	tenant  string
	columns []string
	heading string
	lines   []string // that wait for the last one
}

// Of returns the sink for the rows of a tenant. The caller must call End.
func (o *Output) Of(tenant string) *Rows { return &Rows{output: o, tenant: tenant} }

// Columns takes the names of the columns.
func (r *Rows) Columns(names []string) error {
	r.columns = distinct(names)
	shown := make([]string, 0, len(names)+1)
	if r.output.hasNames {
		shown = append(shown, "TENANT")
	}
	for _, name := range names {
		shown = append(shown, visible(name))
	}
	r.heading = strings.Join(shown, "\t")
	return nil
}

// Row takes a row.
func (r *Rows) Row(cells []database.Cell) error {
	line, err := r.line(cells)
	if err != nil {
		return err
	}
	r.lines = append(r.lines, line)
	if r.output.hasNames || len(r.lines) < alignedRows {
		return nil
	}
	return r.End()
}

// End writes the rows.
func (r *Rows) End() error {
	lines := r.lines
	r.lines = nil
	return r.output.add(r.heading, lines)
}

func (r *Rows) line(cells []database.Cell) (string, error) {
	if r.output.isJSON {
		return r.object(cells)
	}
	shown := make([]string, 0, len(cells)+1)
	if r.output.hasNames {
		shown = append(shown, r.tenant)
	}
	for i := range cells {
		shown = append(shown, show(&cells[i]))
	}
	return strings.Join(shown, "\t"), nil
}

// object has the columns in their order, which a map would not keep.
func (r *Rows) object(cells []database.Cell) (string, error) {
	var text bytes.Buffer
	text.WriteString(`{"tenant":` + quote(r.tenant) + `,"row":{`)
	for i := range cells {
		if i > 0 {
			text.WriteString(",")
		}
		text.WriteString(quote(r.columns[i]) + ":")
		switch cell := &cells[i]; {
		case cell.IsNull:
			text.WriteString("null")
		case !cell.IsJSON:
			text.WriteString(quote(cell.Text))
		default:
			if err := json.Compact(&text, []byte(cell.Text)); err != nil {
				return "", fmt.Errorf("write output: %w", err)
			}
		}
	}
	return text.String() + "}}", nil
}

func quote(text string) string {
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) //nolint:errchkjson // a text can be written to memory
	return strings.TrimSuffix(quoted.String(), "\n")
}

// distinct numbers columns of the same name, of which JSON would keep one.
func distinct(names []string) []string {
	all := make([]string, 0, len(names))
	for _, name := range names {
		own := name
		for n := 2; slices.Contains(all, own); n++ {
			own = fmt.Sprintf("%s_%d", name, n)
		}
		all = append(all, own)
	}
	return all
}

// show makes a value visible in a table. Nothing in it can reach the terminal but as text.
func show(cell *database.Cell) string {
	switch {
	case cell.IsNull:
		return null
	case cell.Text == "", cell.Text == null:
		return `"` + cell.Text + `"`
	}
	return visible(cell.Text)
}

func visible(text string) string {
	var shown strings.Builder
	count := 0
	for i, r := range text {
		if count++; count > shownRunes {
			return shown.String() + "…"
		}
		switch _, width := utf8.DecodeRuneInString(text[i:]); {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&shown, `\x%02x`, text[i])
		case r == '\n':
			shown.WriteString(`\n`)
		case r == '\t':
			shown.WriteString(`\t`)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&shown, `\u%04x`, r)
		default:
			shown.WriteRune(r)
		}
	}
	return shown.String()
}

// add writes the heading where it is new.
func (o *Output) add(heading string, lines []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := io.Writer(o.table)
	if o.isJSON {
		w = o.out
	}
	if !o.isJSON && o.heading != heading {
		o.heading = heading
		lines = append([]string{heading}, lines...)
	}
	for _, line := range lines {
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	if o.rows += len(lines); o.rows < alignedRows {
		return nil
	}
	return o.flush()
}

// End writes the last rows.
func (o *Output) End() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flush()
}

func (o *Output) flush() error {
	o.rows = 0
	if err := o.table.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if err := o.out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
