package export

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"time"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/version"
)

const fileMode fs.FileMode = 0o600

// Write writes an export of a tenant as it is at one moment, while it is used. The caller
// must hold the tenant's lock. report is told how many bytes have been written; it may be
// called often. The errors are those of tenants.Databases.LendForCopy and of w.
func Write(ctx context.Context, d *tenants.Databases, id string, w io.Writer, report func(written int64)) (*Manifest, error) {
	layout, err := d.Backend.Layout(ctx, d.Migrations)
	if err != nil {
		return nil, err
	}
	var written *Manifest
	err = d.LendForCopy(ctx, id, func(ctx context.Context, record *models.Tenant) error {
		out := &sink{
			zip: zip.NewWriter(&counter{ctx: ctx, w: w, report: report}), databases: d,
			manifest: Manifest{
				Format: Format, Tenant: Tenant{ID: record.ID, Slug: record.Slug}, Registration: record.Registration,
				ExportedAt: time.Now().UTC().Truncate(time.Millisecond), Tables: []Table{}, ProgramVersion: version.Read().Number,
			},
		}
		org, err := models.FindOrganizationOf(ctx, d.Core, record.ID)
		switch {
		case err == nil:
			out.manifest.Organization = &Organization{Name: org.Name, Description: org.Description}
		case !models.IsKind(err, models.KindOrganizationNotFound):
			return err
		}
		source := d.SourceOf(record, layout)
		source.AsRows = true
		if err := d.Backend.Copy(ctx, source, out); err != nil {
			return err
		}
		written = &out.manifest
		return out.close()
	})
	return written, err
}

// counter counts the bytes that it writes. It fails once ctx has ended.
type counter struct {
	ctx    context.Context // an io.Writer is given none
	w      io.Writer
	bytes  int64
	report func(bytes int64) // nil tells nobody
}

// Write writes.
func (c *counter) Write(piece []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.w.Write(piece)
	c.bytes += int64(n)
	if c.report != nil {
		c.report(c.bytes)
	}
	return n, err
}

// sink writes the content of a database to a ZIP.
type sink struct {
	zip       *zip.Writer
	databases *tenants.Databases
	manifest  Manifest
	tables    map[string]*database.ContentTable // with all columns
}

// Describe writes the schema. It refuses a database that does not have this code's
// schema, whatever the registry says: its layout is another.
func (s *sink) Describe(content *database.Content) error {
	if err := database.CheckSchema(content.Applied, s.databases.Migrations); err != nil {
		return err
	}
	s.tables = map[string]*database.ContentTable{}
	for i := range content.Tables {
		s.tables[content.Tables[i].Name] = &content.Tables[i]
	}
	m := &s.manifest
	m.Engine, m.EngineVersion, m.SchemaVersion = content.Engine, content.EngineVersion, database.LatestID(s.databases.Migrations)
	m.Lacks = append([]string{}, content.Unexplained...)
	if err := s.add(readmeFile, []byte(readme(m))); err != nil {
		return err
	}
	schema, err := json.MarshalIndent(reduce(content), "", "  ")
	if err != nil {
		return err
	}
	m.SchemaSHA256 = sumOf(schema)
	return s.add(schemaFile, schema)
}

func (s *sink) add(name string, content []byte) error {
	file, err := s.create(name)
	if err == nil {
		_, err = file.Write(content)
	}
	return err
}

func (s *sink) create(name string) (io.Writer, error) {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: s.manifest.ExportedAt}
	header.SetMode(fileMode)
	return s.zip.CreateHeader(header)
}

// Table adds the rows of a table. One that is left out is not read.
func (s *sink) Table(name string, write func(io.Writer) (int64, error)) error {
	if isTableLeftOut(name) {
		return nil
	}
	file, err := s.create(fileOf(name))
	if err != nil {
		return err
	}
	lines, err := newLineWriter(s.tables[name].Columns, file)
	if err != nil {
		return err
	}
	rows, err := write(lines)
	if err != nil {
		return err
	}
	if rows != lines.rows || len(lines.rest) > 0 {
		return fmt.Errorf("it has %d rows, and %d arrived", rows, lines.rows)
	}
	s.manifest.Tables = append(s.manifest.Tables, Table{
		Name: name, File: fileOf(name), Rows: rows, Bytes: lines.bytes, SHA256: lines.sum.text(),
	})
	return nil
}

// File refuses: an export has rows.
func (*sink) File(int64, io.Reader) error { return database.ErrUnloadable }

// close adds the manifest, without which a file is no export.
func (s *sink) close() error {
	text, err := json.MarshalIndent(s.manifest, "", "  ")
	if err == nil {
		err = s.add(manifestFile, text)
	}
	if err != nil {
		return err
	}
	return s.zip.Close()
}

// lineWriter takes rows as COPY writes them and writes a line of JSON for each.
type lineWriter struct {
	columns []database.ContentColumn
	names   [][]byte // of the columns, as JSON; nil for one that is left out
	out     io.Writer
	sum     *sum
	rows    int64
	bytes   int64
	rest    []byte // of a row that has not ended
	line    []byte
}

func newLineWriter(columns []database.ContentColumn, out io.Writer) (*lineWriter, error) {
	l := &lineWriter{columns: columns, names: make([][]byte, len(columns)), out: out, sum: newSum()}
	for i := range columns {
		if isColumnLeftOut(columns[i].Name) {
			continue
		}
		name, err := appendText(nil, columns[i].Name)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", columns[i].Name, err)
		}
		l.names[i] = name
	}
	return l, nil
}

// Write takes a piece of the rows.
func (l *lineWriter) Write(piece []byte) (int, error) {
	l.rest = append(l.rest, piece...)
	rows := l.rest
	for {
		row, later, ended := bytes.Cut(rows, []byte("\n"))
		if !ended {
			break
		}
		if err := l.add(string(row)); err != nil {
			return 0, err
		}
		rows = later
	}
	l.rest = append(l.rest[:0], rows...)
	return len(piece), nil
}

// add writes a row without the columns that are left out.
func (l *lineWriter) add(row string) error {
	values := database.ParseRow(row)
	if len(values) != len(l.columns) {
		return fmt.Errorf("row %d has %d values, and not %d", l.rows+1, len(values), len(l.columns))
	}
	l.line = append(l.line[:0], '{')
	for i := range l.columns {
		if l.names[i] == nil {
			continue
		}
		if len(l.line) > 1 {
			l.line = append(l.line, ',')
		}
		line, err := appendValue(append(append(l.line, l.names[i]...), ':'), values[i], l.columns[i].Kind)
		if err != nil {
			return fmt.Errorf("column %s: row %d: %w", l.columns[i].Name, l.rows+1, err)
		}
		l.line = line
	}
	l.line = append(l.line, "}\n"...)
	l.rows++
	l.bytes += int64(len(l.line))
	l.sum.add(l.line)
	_, err := l.out.Write(l.line)
	return err
}

// readme explains an export to its reader.
func readme(m *Manifest) string {
	return fmt.Sprintf(`This is an export of all data of %s, as of %s.

manifest.json  the contents: for each table its file, its number of rows, and the SHA-256 of the file
schema.json    the tables with their columns, types and keys
tables/        one file for each table, in the form of JSON Lines: each line is a row

Times are in UTC, as ISO 8601 has them. Numbers may have 64 bits: read them with a program that keeps all digits. Bytes are
written in base64. Text is UTF-8.

Passwords, tokens and sessions are not exported. Invitations are, without their tokens.
multitenant tenants import makes a tenant of this file. Its users then choose a new password.
`, m.Tenant.Slug, m.ExportedAt.Format(time.RFC3339))
}
