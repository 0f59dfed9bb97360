package backups

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/backups/archive"
	"multitenant/database"
	"multitenant/models"
	"multitenant/operations"
)

// The parts of an archive beside those of tables.
const (
	schemaPart       = "schema.json"
	databasePart     = "database.db"
	organizationPart = "organization.json"
	tokenKeyPart     = "token_key"

	// dumpPart is the stream of a dump. Releases that do not know it leave it out.
	dumpPart   = "dump"
	dumpSuffix = ".pgc"
)

// job is one backup.
type job struct {
	record     Record
	source     *database.Source
	migrations []*gormigrate.Migration
	// organization is what core has of the tenant; nil for core.
	organization *organization
	keyFile      string           // empty for tenants
	task         *operations.Task // is told of progress; nil for none
}

// organization is what is known of a tenant in core alone.
type organization struct {
	TenantID     string              `json:"tenant_id"`
	Slug         models.Slug         `json:"slug"`
	DatabaseName string              `json:"database_name"`
	Status       models.TenantStatus `json:"status"`
	Name         string              `json:"name"`
	Description  *string             `json:"description"`
	OwnerID      int64               `json:"owner_id"`    // 0 for a tenant without an organization
	OwnerEmail   string              `json:"owner_email"` // empty likewise
	Registration models.Registration `json:"registration"`
	CreatedAt    time.Time           `json:"created_at"`

	OrganizationID int64         `json:"organization_id"` // 0 for a tenant without an organization
	Aliases        []models.Slug `json:"aliases"`

	SuspendedByOwner bool `json:"suspended_by_owner"`
}

// keep makes the backup: the archive, which is then read back, and its record. A backup
// that fails leaves nothing.
func (b *Backups) keep(ctx context.Context, j *job) (err error) {
	r := &j.record
	r.Format, r.ProgramVersion = recordFormat, b.version
	r.Recipients = append([]string{}, b.names...)
	r.TakenAt = time.Now().UTC().Truncate(time.Millisecond)
	r.identify()
	if err := j.task.Enter(ctx, phaseCopying, nil); err != nil {
		return err
	}
	var sums *sums
	err = b.store.Put(ctx, r.Archive, func(w io.Writer) error {
		sums = newSums(ctx, w)
		sums.task = j.task
		return b.writeArchive(ctx, sums, j)
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.undo(ctx, r.Archive))
		}
	}()
	r.Bytes, r.SHA256 = sums.bytes, sums.text()
	if err := j.task.Enter(ctx, phaseReading, nil); err != nil {
		return err
	}
	if err := readBack(ctx, b.store, r); err != nil {
		return err
	}
	return b.write(ctx, r)
}

// undoTimeout bounds the removal of an archive that did not become a backup. What it
// leaves is pruned later.
const undoTimeout = 5 * time.Second

func (b *Backups) undo(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return b.store.Remove(ctx, name)
}

func (b *Backups) writeArchive(ctx context.Context, w io.Writer, j *job) error {
	a, err := archive.NewWriter(w, j.record.owner(), j.record.TakenAt, b.recipients)
	if err != nil {
		return err
	}
	s, source := &sink{Writer: a, job: j}, *j.source
	if b.pgDump != "" {
		source.Dump = &database.Dump{Program: b.pgDump, Take: s.dump}
	}
	err = b.databases.Backend.Copy(ctx, &source, s)
	if err == nil && j.organization != nil {
		err = a.JSON(organizationPart, j.organization)
	}
	if err == nil && j.keyFile != "" {
		err = addFile(a, tokenKeyPart, j.keyFile)
	}
	if err != nil {
		a.Abort()
		return err
	}
	return a.Close()
}

// addFile adds a file that may be missing.
func addFile(a *archive.Writer, part, path string) error {
	file, err := os.Open(path) //nolint:gosec // the path is a setting
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	found, err := file.Stat()
	if err != nil {
		return err
	}
	return a.File(part, found.Size(), file)
}

// sink writes the content of a database to an archive.
type sink struct {
	*archive.Writer

	job *job
}

// Describe refuses a database that does not have this code's schema, whatever the
// registry says: its layout is another.
func (s *sink) Describe(content *database.Content) error {
	if err := database.CheckSchema(content.Applied, s.job.migrations); err != nil {
		return err
	}
	r := &s.job.record
	r.Engine, r.EngineVersion = content.Engine, content.EngineVersion
	r.SchemaVersion, r.Unexplained = database.LatestID(s.job.migrations), content.Unexplained
	return s.JSON(schemaPart, content)
}

// File adds the database as a file.
func (s *sink) File(size int64, content io.Reader) error {
	return s.Writer.File(databasePart, size, content)
}

// dump adds the output of pg_dump.
func (s *sink) dump(write func(io.Writer) error) error {
	s.job.record.Dumped = true
	return s.Stream(dumpPart, dumpSuffix, write)
}

// sums counts and hashes what it writes. It fails once ctx has ended.
type sums struct {
	ctx   context.Context // an io.Writer is given none
	w     io.Writer
	bytes int64
	hash  hash.Hash
	task  *operations.Task // is told of progress; nil for none
}

func newSums(ctx context.Context, w io.Writer) *sums {
	return &sums{ctx: ctx, w: w, hash: sha256.New()}
}

// Write writes.
func (s *sums) Write(piece []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(piece)
	s.bytes += int64(n)
	s.task.Report(s.bytes, 0)
	s.hash.Write(piece[:n])
	return n, err
}

func (s *sums) text() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// compare returns archive.ErrDamaged if what was read is not what the record says.
func (s *sums) compare(r *Record) error {
	if s.bytes != r.Bytes {
		return fmt.Errorf("%w: it has %d bytes, and not %d", archive.ErrDamaged, s.bytes, r.Bytes)
	}
	if s.text() != r.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is another", archive.ErrDamaged)
	}
	return nil
}
