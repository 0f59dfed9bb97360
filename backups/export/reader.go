package export

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"

	"multitenant/database"
	"multitenant/models"
)

// File is an export that is to be imported. All of it has been read and compared with its
// sums.
type File struct {
	Manifest Manifest

	zip    *zip.ReadCloser
	schema database.Content
}

// Open reads an export. The caller must close it. The errors: ErrDamaged, and those of the
// file.
func Open(ctx context.Context, path string) (*File, error) {
	opened, err := zip.OpenReader(path)
	if errors.Is(err, zip.ErrFormat) {
		return nil, fmt.Errorf("%w: it is no ZIP, or was cut", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	f := &File{zip: opened}
	if err := f.examine(ctx); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return f, nil
}

// Close closes the file.
func (f *File) Close() error { return f.zip.Close() }

func (f *File) examine(ctx context.Context) error {
	if err := f.describe(); err != nil {
		return err
	}
	if err := f.compareNames(); err != nil {
		return err
	}
	for i := range f.Manifest.Tables {
		if err := f.compare(ctx, &f.Manifest.Tables[i]); err != nil {
			return err
		}
	}
	return nil
}

// describe reads the manifest and the schema.
func (f *File) describe() error {
	text, err := f.read(manifestFile)
	if err == nil {
		err = decode(manifestFile, text, &f.Manifest)
	}
	if err != nil {
		return err
	}
	m := &f.Manifest
	if m.Format != Format {
		return fmt.Errorf("it has format %d, and this program knows format %d", m.Format, Format)
	}
	_, wrongID := uuid.Parse(m.Tenant.ID)
	_, wrongSlug := models.ParseSlug(string(m.Tenant.Slug))
	if wrongID != nil || wrongSlug != nil {
		return fmt.Errorf("%w: %s names no tenant", ErrDamaged, manifestFile)
	}
	text, err = f.read(schemaFile)
	if err == nil && sumOf(text) != m.SchemaSHA256 {
		err = fmt.Errorf("%w: the SHA-256 of %s is another", ErrDamaged, schemaFile)
	}
	if err == nil {
		err = decode(schemaFile, text, &f.schema)
	}
	return err
}

// compareNames requires that the ZIP, the manifest and the schema have the same tables, and
// none that no export has.
func (f *File) compareNames() error {
	expected := map[string]bool{readmeFile: true, manifestFile: true, schemaFile: true}
	if len(f.Manifest.Tables) != len(f.schema.Tables) {
		return fmt.Errorf("%w: %s and %s have other tables", ErrDamaged, manifestFile, schemaFile)
	}
	for i := range f.Manifest.Tables {
		name := f.Manifest.Tables[i].Name
		if f.tableOf(name) == nil || f.Manifest.Tables[i].File != fileOf(name) || expected[fileOf(name)] {
			return fmt.Errorf("%w: %s does not describe table %s", ErrDamaged, schemaFile, name)
		}
		expected[fileOf(name)] = true
	}
	for _, file := range f.zip.File {
		if !expected[file.Name] {
			return fmt.Errorf("%w: it has a file %q that no export has, or has it twice", ErrDamaged, file.Name)
		}
		delete(expected, file.Name)
	}
	for name := range expected {
		return fmt.Errorf("%w: it has no %s", ErrDamaged, name)
	}
	return f.checkColumns()
}

// checkColumns refuses tables and columns that no export has: a file may have been made by hand.
func (f *File) checkColumns() error {
	for i := range f.schema.Tables {
		table := &f.schema.Tables[i]
		if isTableLeftOut(table.Name) {
			return fmt.Errorf("table %s cannot be imported", table.Name)
		}
		for _, column := range table.Columns {
			if isColumnLeftOut(column.Name) || !column.Kind.IsValid() {
				return fmt.Errorf("column %s.%s cannot be imported", table.Name, column.Name)
			}
		}
	}
	return nil
}

func (f *File) tableOf(name string) *database.ContentTable {
	for i := range f.schema.Tables {
		if f.schema.Tables[i].Name == name {
			return &f.schema.Tables[i]
		}
	}
	return nil
}

// compare reads a table and compares it with its sum.
func (f *File) compare(ctx context.Context, table *Table) error {
	file, err := f.zip.Open(table.File)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, table.File, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	sum, lines := newSum(), &lineCounter{ctx: ctx}
	if _, err := io.Copy(io.MultiWriter(sum, lines), file); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %s: %w", ErrDamaged, table.File, err))
	}
	if sum.text() != table.SHA256 || lines.count != table.Rows {
		return fmt.Errorf("%w: the SHA-256 of %s is another", ErrDamaged, table.File)
	}
	return nil
}

// lineCounter counts lines. It fails once ctx has ended.
type lineCounter struct {
	ctx   context.Context // an io.Writer is given none
	count int64
}

// Write counts.
func (l *lineCounter) Write(piece []byte) (int, error) {
	l.count += int64(bytes.Count(piece, []byte("\n")))
	return len(piece), l.ctx.Err()
}

func (f *File) read(name string) ([]byte, error) {
	file, err := f.zip.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: it has no %s", ErrDamaged, name)
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxDescription))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	return text, nil
}

func decode(name string, text []byte, value any) error {
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%w: %s is no valid JSON of its form", ErrDamaged, name)
	}
	return nil
}

// rowReader reads lines of JSON as rows that COPY takes.
type rowReader struct {
	columns []database.ContentColumn
	lines   *bufio.Reader
	report  func(bytes int)
	added   []string // the values of columns that the lines lack
	number  int64
	row     []byte
	rest    []byte // of row, that has not been read
}

// Read reads.
func (r *rowReader) Read(into []byte) (int, error) {
	if len(r.rest) == 0 {
		line, err := r.lines.ReadBytes('\n')
		if err != nil {
			return 0, err
		}
		r.number++
		r.report(len(line))
		if err := r.parse(line); err != nil {
			return 0, fmt.Errorf("%w: row %d: %w", ErrDamaged, r.number, err)
		}
	}
	n := copy(into, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *rowReader) parse(line []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return errNoValue
	}
	if len(fields) != len(r.columns) {
		return errors.New("it does not have the columns of its table")
	}
	values := make([]*string, 0, len(r.columns)+len(r.added))
	for _, column := range r.columns {
		raw, ok := fields[column.Name]
		if !ok {
			return fmt.Errorf("it has no column %s", column.Name)
		}
		value, err := parseValue(raw, column.Kind)
		if err != nil {
			return fmt.Errorf("column %s: %w", column.Name, err)
		}
		values = append(values, value)
	}
	for i := range r.added {
		values = append(values, &r.added[i])
	}
	r.row = database.AppendRow(r.row[:0], values)
	r.rest = r.row
	return nil
}

// newText returns a reader of one row.
func newText(value string) io.Reader {
	return strings.NewReader(string(database.AppendRow(nil, []*string{&value})))
}
