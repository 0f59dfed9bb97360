// Package archive is the format of a backup: a tar of chunks, compressed by zstd and,
// where there are recipients, encrypted by age. It knows no database.
//
// Its members are the parts, in the order in which they were written, and at the end
// manifest.json. A table is cut into numbered chunks: tables/users/000000.copy. Another
// stream is cut into numbered parts: dump/000000.pgc. The manifest has the hashes of all
// parts, so an archive that was cut anywhere has none.
package archive

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrDamaged says that an archive is not what was written: it was cut, changed or
// exchanged, or it cannot be opened by the identities there are.
var ErrDamaged = errors.New("archive is damaged")

// Format is the version of the format that a Writer writes.
const Format = 1

const (
	chunkBytes   = 1 << 20
	pieceBytes   = 4 << 20 // of a stream, whose pieces are all in the manifest
	manifestName = "manifest.json"
	tablesFolder = "tables/"
	fileMode     = 0o600
	// maxManifest bounds what a damaged archive can make a reader keep in memory.
	maxManifest = 64 << 20
)

// Manifest is the last member of an archive.
type Manifest struct {
	Format int    `json:"format"`
	Owner  string `json:"owner"` // the id of what was backed up
	Parts  []Part `json:"parts"` // in their order
}

// Part is what an archive holds under one name.
type Part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Rows and RowSum are those of a table. RowSum is the sum of the SHA-256 of all
	// rows modulo 2^256: it does not depend on their order.
	Rows   *int64 `json:"rows,omitempty"`
	RowSum string `json:"row_sum,omitempty"`
}

// isChunk reports whether a member is a chunk of a table.
func isChunk(member string) bool { return strings.HasPrefix(member, tablesFolder) }

// TableName is the part that holds the rows of a table.
func TableName(table string) string { return tablesFolder + url.PathEscape(table) }

// chunkName is the name of a chunk of a table.
func chunkName(part string, number int) string { return fmt.Sprintf("%s/%06d.copy", part, number) }

// pieceName is the name of a part of a stream.
func pieceName(stream string, number int, suffix string) string {
	return fmt.Sprintf("%s/%06d%s", stream, number, suffix)
}

func encode(sum []byte) string { return hex.EncodeToString(sum) }
