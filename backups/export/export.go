// Package export writes all that a tenant has into a ZIP that a customer can read, and
// makes tenants of such files. An export has no passwords, tokens or sessions.
package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"net/url"
	"slices"
	"strings"
	"time"

	"multitenant/database"
	"multitenant/models"
)

// ErrDamaged says that a file is no export, or not the one that was written.
var ErrDamaged = errors.New("the export is damaged")

// Format is the version of the format.
const Format = 1

// The files of an export beside those of tables.
const (
	readmeFile   = "README.txt"
	manifestFile = "manifest.json"
	schemaFile   = "schema.json"
	tablesFolder = "tables/"
	tableSuffix  = ".jsonl"
)

// maxDescription bounds the memory that a damaged manifest or schema can take.
const maxDescription = 64 << 20

// Manifest describes an export.
type Manifest struct {
	Format         int                 `json:"format"`
	ProgramVersion string              `json:"program_version"`
	Tenant         Tenant              `json:"tenant"`
	Organization   *Organization       `json:"organization"` // null for a tenant without one
	Registration   models.Registration `json:"registration"`
	Engine         string              `json:"engine"`
	EngineVersion  string              `json:"engine_version"`
	SchemaVersion  string              `json:"schema_version"`
	ExportedAt     time.Time           `json:"exported_at"`
	SchemaSHA256   string              `json:"schema_sha256"`
	Tables         []Table             `json:"tables"`
	// Lacks names the objects of the database that no migration makes: the export lacks them.
	Lacks []string `json:"lacks"`
}

// Tenant is the tenant that was exported.
type Tenant struct {
	ID   string      `json:"id"`
	Slug models.Slug `json:"slug"`
}

// Organization describes the customer, as core does.
type Organization struct {
	Name        string  `json:"name"`
	Description *string `json:"description"`
}

// Table is a file with the rows of a table.
type Table struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// sum is the SHA-256 of all bytes that are written to it.
type sum struct{ hash hash.Hash }

func newSum() *sum { return &sum{sha256.New()} }

// Write adds a piece. It never fails.
func (s *sum) Write(piece []byte) (int, error) { return s.hash.Write(piece) }

func (s *sum) add(piece []byte) { s.hash.Write(piece) }

func (s *sum) text() string { return hex.EncodeToString(s.hash.Sum(nil)) }

func sumOf(text []byte) string {
	all := newSum()
	all.add(text)
	return all.text()
}

func fileOf(table string) string { return tablesFolder + url.PathEscape(table) + tableSuffix }

// isTableLeftOut reports whether no export has such a table.
func isTableLeftOut(name string) bool { return slices.Contains(models.UnexportedTables(), name) }

// isColumnLeftOut reports whether no export has such a column, of whatever table.
func isColumnLeftOut(name string) bool { return slices.Contains(models.SecretColumns(), name) }

// reduce returns the description of a database without the parts that no export has.
func reduce(content *database.Content) *database.Content {
	reduced := *content
	reduced.Tables = []database.ContentTable{}
	for _, table := range content.Tables {
		if isTableLeftOut(table.Name) {
			continue
		}
		table.Rows = 0 // the manifest has it
		table.Columns = slices.DeleteFunc(slices.Clone(table.Columns), func(column database.ContentColumn) bool {
			return isColumnLeftOut(column.Name)
		})
		reduced.Tables = append(reduced.Tables, table)
	}
	reduced.Sequences = slices.DeleteFunc(slices.Clone(content.Sequences), func(sequence database.ContentSequence) bool {
		return slices.ContainsFunc(models.UnexportedTables(), func(table string) bool { return strings.HasPrefix(sequence.Name, table+"_") })
	})
	return &reduced
}
