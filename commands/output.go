package commands

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"multitenant/models"
	"multitenant/tenants/fleet"
)

// writeJSON writes one value, for programs.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// orNone makes the absence of a version visible.
func orNone(version string) string {
	return cmp.Or(version, "none")
}

// noOwner makes the absence of an owner visible.
const noOwner = "-"

func inMB(size int64) string { return fmt.Sprintf("%.1f MB", float64(size)/1e6) }

// inWords is a time that has passed in its largest unit.
func inWords(passed time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case passed >= 2*day:
		return fmt.Sprintf("%d days", passed/day)
	case passed >= 2*time.Hour:
		return fmt.Sprintf("%d hours", passed/time.Hour)
	}
	return fmt.Sprintf("%d minutes", passed/time.Minute)
}

func countTenants(n int) string {
	if n == 1 {
		return "1 tenant"
	}
	return fmt.Sprintf("%d tenants", n)
}

// tenantView is a tenant as programs see it.
type tenantView struct {
	ID            string              `json:"id"`
	Slug          *string             `json:"slug"` // null for one that has none
	DatabaseName  string              `json:"database_name"`
	Status        models.TenantStatus `json:"status"`
	SchemaVersion string              `json:"schema_version"`
	Error         string              `json:"error"`
	BackupDue     bool                `json:"backup_due"` // it is deleted, and waits for its last backup
	CreatedAt     time.Time           `json:"created_at"`
	UpdatedAt     time.Time           `json:"updated_at"`
}

func newTenantView(record *models.Tenant) tenantView {
	view := tenantView{
		ID:            record.ID,
		DatabaseName:  record.DatabaseName,
		Status:        record.Status,
		SchemaVersion: record.SchemaVersion,
		Error:         record.Error,
		BackupDue:     record.BackupDue,
		CreatedAt:     record.CreatedAt.UTC(),
		UpdatedAt:     record.UpdatedAt.UTC(),
	}
	if record.Slug != "" {
		slug := string(record.Slug)
		view.Slug = &slug
	}
	return view
}

func (v *tenantView) name() string {
	if v.Slug == nil {
		return v.DatabaseName
	}
	return *v.Slug
}

// state is the status as people see it.
func (v *tenantView) state() string {
	if v.BackupDue {
		return string(v.Status) + ", last backup due"
	}
	return string(v.Status)
}

// coreView is what is or would be done to core's schema.
type coreView struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// moveView is what is or would be done to a tenant's.
type moveView struct {
	Tenant       string `json:"tenant"`
	DatabaseName string `json:"database_name"`
	From         string `json:"from"`
	To           string `json:"to"`
	Error        string `json:"error,omitempty"`
}

func newMoveView(move fleet.Move, reason error) moveView {
	view := moveView{Tenant: move.Tenant, DatabaseName: move.Database, From: move.From, To: move.To}
	if reason != nil {
		view.Error = oneLine(reason.Error())
	}
	return view
}

const (
	// logDelay is how long a line may wait to be written together with others:
	// a write of its own costs more than all else about it.
	logDelay       = 100 * time.Millisecond
	logBufferBytes = 32 << 10
)

// logWriter collects lines and writes them together, at the latest after
// logDelay.
type logWriter struct {
	mu      sync.Mutex // guards buffer and pending
	buffer  *bufio.Writer
	pending bool // a flush is on its way
}

func newLogWriter(w io.Writer) *logWriter {
	return &logWriter{buffer: bufio.NewWriterSize(w, logBufferBytes)}
}

// Write takes one line.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.pending {
		w.pending = true
		time.AfterFunc(logDelay, w.flush)
	}
	return w.buffer.Write(line)
}

func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = false
	_ = w.buffer.Flush() // where the log cannot be written, nothing can be said about it
}

// urgentHandler writes what is a warning or worse at once.
type urgentHandler struct {
	slog.Handler
	writer *logWriter
}

// Handle writes the record.
func (h urgentHandler) Handle(ctx context.Context, record slog.Record) error {
	err := h.Handler.Handle(ctx, record)
	if record.Level >= slog.LevelWarn {
		h.writer.flush()
	}
	return err
}

// WithAttrs returns a handler that adds the attributes to every record.
func (h urgentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgentHandler{Handler: h.Handler.WithAttrs(attrs), writer: h.writer}
}

// WithGroup returns a handler that puts the attributes that follow in a group.
func (h urgentHandler) WithGroup(name string) slog.Handler {
	return urgentHandler{Handler: h.Handler.WithGroup(name), writer: h.writer}
}

// NewLogger returns the program's log, and what writes the last of it.
func NewLogger(w io.Writer, level slog.Level, format string) (logger *slog.Logger, flush func()) {
	writer := newLogWriter(w)
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(writer, options)
	if format == "json" {
		handler = slog.NewJSONHandler(writer, options)
	}
	return slog.New(urgentHandler{Handler: handler, writer: writer}), writer.flush
}

// listingRows is for how many rows of a listing the columns are lined up at once.
const listingRows = 500

// listed is one thing of a listing. Programs see it as JSON.
type listed interface {
	row() string // its line of the table, with tabs between the columns
}

// listing writes what a command lists while that is read: one array of JSON, or a table.
// However long it is, only some of it is in memory. A listing that is cut off by an error
// is no valid JSON.
type listing struct {
	out   *bufio.Writer
	table *table // nil for JSON
	count int
}

// newListing begins a listing. heading names the columns of the table.
func newListing(inv *Invocation, asJSON bool, heading string) *listing {
	l := &listing{out: bufio.NewWriter(inv.Stdout)}
	if !asJSON {
		column := slices.Index(strings.Split(heading, "\t"), "STATUS")
		l.table = newTable(l.out).withStatus(inv, column)
		say(l.table, heading)
	}
	return l
}

func (l *listing) add(item listed) error {
	l.count++
	if l.table == nil {
		return l.addJSON(item)
	}
	say(l.table, item.row())
	if l.count%listingRows > 0 {
		return nil
	}
	return wrapOutput(l.table.Flush())
}

// addJSON writes an item as writeJSON would write it in an array.
func (l *listing) addJSON(item listed) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("  ", "  ")
	if err := encoder.Encode(item); err != nil {
		return wrapOutput(err)
	}
	before := ",\n  "
	if l.count == 1 {
		before = "[\n  "
	}
	_, err := l.out.WriteString(before + string(bytes.TrimSuffix(text.Bytes(), []byte("\n"))))
	return wrapOutput(err)
}

// end writes what is left of the listing.
func (l *listing) end() error {
	switch {
	case l.table != nil:
		if err := l.table.Flush(); err != nil {
			return wrapOutput(err)
		}
	case l.count == 0:
		say(l.out, "[]")
	default:
		say(l.out, "\n]")
	}
	return wrapOutput(l.out.Flush())
}

func wrapOutput(err error) error {
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
