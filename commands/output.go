package commands

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"text/tabwriter"
	"time"

	"multitenant/models"
	"multitenant/tenants/fleet"
)

const tabWidth = 2

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

// newTable lines columns up, which are separated by tabs; Flush writes it.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, tabWidth, ' ', 0)
}

// orNone makes the absence of a version visible.
func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
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
