package commands

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

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
