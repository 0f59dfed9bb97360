package backups

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// CoreOwner stands for the id of a tenant in the backups of core.
const CoreOwner = "core"

const (
	recordFormat = 1
	recordSuffix = ".json"
	// archiveSuffix ends the name of an archive, and ageSuffix that of an encrypted one.
	archiveSuffix = ".tar.zst"
	ageSuffix     = ".age"
	timeFormat    = "20060102T150405Z"
	idBytes       = 8
	milliBytes    = 3 // of those; they order the backups of one second
)

// Record is the small object beside an archive, written when the archive is known to
// be whole. Without it an archive is no backup. It has no data of customers' users.
type Record struct {
	Format         int       `json:"format"`
	ID             string    `json:"id"`
	InstallationID string    `json:"installation_id"`
	TenantID       string    `json:"tenant_id"` // CoreOwner for core
	Slug           string    `json:"slug"`
	Organization   string    `json:"organization"`
	Engine         string    `json:"engine"`
	EngineVersion  string    `json:"engine_version"`
	SchemaVersion  string    `json:"schema_version"`
	ProgramVersion string    `json:"program_version"`
	TakenAt        time.Time `json:"taken_at"`
	// Unexplained names the things that no migration makes again. Only a dump can have them.
	Unexplained []string `json:"unexplained"`
	// Dumped says that the archive has a dump by pg_dump, too.
	Dumped     bool     `json:"dumped,omitempty"`
	Archive    string   `json:"archive"` // the name of the object
	Bytes      int64    `json:"bytes"`
	SHA256     string   `json:"sha256"`
	Recipients []string `json:"recipients"` // to whom it is encrypted; none if it is not
}

// IsComplete reports whether the backup has all that its database had.
func (r *Record) IsComplete() bool { return r.IsExplained() || r.Dumped }

// IsExplained reports whether a database that is made of the backup has all that its database
// had. A dump is left out then.
func (r *Record) IsExplained() bool { return len(r.Unexplained) == 0 }

// IsEncrypted reports whether the archive is encrypted.
func (r *Record) IsEncrypted() bool { return len(r.Recipients) > 0 }

// Name is what an operator calls the tenant, or core.
func (r *Record) Name() string {
	if r.TenantID == CoreOwner {
		return CoreOwner
	}
	return r.Slug
}

// owner is what the archive itself says that it is of.
func (r *Record) owner() string { return r.InstallationID + "/" + r.TenantID }

// identify gives the record an id and its archive a name. Names have the id of the
// tenant: its slug may one day be another's.
func (r *Record) identify() {
	r.ID = fmt.Sprintf("%s-%0*d%s", r.TakenAt.Format(timeFormat), milliBytes, r.TakenAt.Nanosecond()/int(time.Millisecond),
		strings.ToLower(rand.Text()[:idBytes-milliBytes]))
	r.Archive = path.Join(r.owner(), r.ID+archiveSuffix)
	if r.IsEncrypted() {
		r.Archive += ageSuffix
	}
}

// objectName is where the record itself is kept.
func (r *Record) objectName() string { return r.markName(recordSuffix) }

// markName is where something else about the backup is kept.
func (r *Record) markName(suffix string) string { return path.Join(r.owner(), r.ID+suffix) }

// errNoRecord says that an object is no record of this program.
var errNoRecord = errors.New("it is no record of a backup")

// parseRecord reads the record that is kept under that name, or returns errNoRecord.
func parseRecord(name string, text []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoRecord, err)
	}
	switch {
	case r.Format != recordFormat:
		return nil, fmt.Errorf("%w: its format is %d, and not %d", errNoRecord, r.Format, recordFormat)
	case r.objectName() != name:
		return nil, fmt.Errorf("%w: it is that of %s", errNoRecord, r.objectName())
	case path.Dir(r.Archive) != r.owner() || !strings.HasPrefix(path.Base(r.Archive), r.ID+archiveSuffix):
		return nil, fmt.Errorf("%w: it names the archive %s", errNoRecord, r.Archive)
	}
	return &r, nil
}
