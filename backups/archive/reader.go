package archive

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Verify reads an archive to its end and compares all of it with its manifest, which
// it returns. It is ErrDamaged where they differ, and where the archive is not of
// owner. Without identities the archive must not be encrypted. An error of r is
// returned as it is.
func Verify(r io.Reader, owner string, identities []age.Identity) (Manifest, error) {
	source := &sourceReader{reader: r}
	manifest, err := verify(source, owner, identities)
	if source.err != nil {
		return Manifest{}, source.err
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return manifest, nil
}

// sourceReader remembers an error of the source, which is no damage.
type sourceReader struct {
	reader io.Reader
	err    error
}

// Read reads.
func (s *sourceReader) Read(buffer []byte) (int, error) {
	n, err := s.reader.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func verify(source io.Reader, owner string, identities []age.Identity) (manifest Manifest, err error) {
	plain := source
	if len(identities) > 0 {
		if plain, err = age.Decrypt(source, identities...); err != nil {
			return manifest, err
		}
	}
	decoder, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return manifest, err
	}
	defer decoder.Close()
	contents := &contents{tar: tar.NewReader(decoder)}
	if err := contents.read(); err != nil {
		return manifest, err
	}
	// Each layer has a check at its end, which is read only by who reads to the end.
	for _, layer := range []io.Reader{decoder, plain, source} {
		rest, err := io.Copy(io.Discard, layer)
		if err == nil && rest > 0 {
			err = fmt.Errorf("%d bytes follow its end", rest)
		}
		if err != nil {
			return manifest, err
		}
	}
	return contents.manifest, contents.check(owner)
}

// contents reads the members of the tar.
type contents struct {
	tar      *tar.Reader
	manifest Manifest
	parts    []Part // as they were found

	// The table whose chunks are being read.
	table  string // empty for none
	chunks int
	sums   *digest
}

// read reads to the end of the tar. The manifest comes last.
func (c *contents) read() error {
	for {
		header, err := c.tar.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("it has no manifest")
		}
		if err != nil {
			return err
		}
		switch {
		case header.Name == manifestName:
			c.endTable()
			return c.readManifest()
		case isChunk(header.Name):
			err = c.readChunk(header.Name)
		default:
			c.endTable()
			err = c.readFile(header.Name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func (c *contents) readFile(name string) error {
	sums := newDigest(false)
	if _, err := io.Copy(sums, c.tar); err != nil {
		return err
	}
	c.parts = append(c.parts, sums.part(name))
	return nil
}

// readChunk reads the next chunk of the table, or the first of another.
func (c *contents) readChunk(name string) error {
	if table := path.Dir(name); table != c.table {
		c.endTable()
		c.table, c.chunks, c.sums = table, 0, newDigest(true)
	}
	if wanted := chunkName(c.table, c.chunks); name != wanted {
		return fmt.Errorf("%s is missing", wanted)
	}
	c.chunks++
	_, err := io.Copy(c.sums, c.tar)
	return err
}

func (c *contents) endTable() {
	if c.table != "" {
		c.parts = append(c.parts, c.sums.part(c.table))
		c.table = ""
	}
}

func (c *contents) readManifest() error {
	text, err := io.ReadAll(io.LimitReader(c.tar, maxManifest))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &c.manifest); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	if _, err := c.tar.Next(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its manifest")
	}
	return nil
}

// check compares what was found with the manifest.
func (c *contents) check(owner string) error {
	if c.manifest.Format != Format {
		return fmt.Errorf("its format is %d, and not %d", c.manifest.Format, Format)
	}
	if c.manifest.Owner != owner {
		return fmt.Errorf("it is of %q, and not of %q", c.manifest.Owner, owner)
	}
	for i := range c.manifest.Parts {
		part := &c.manifest.Parts[i]
		if part.Bytes == 0 {
			continue // a table without rows has no chunk
		}
		if len(c.parts) == 0 || !c.parts[0].isLike(part) {
			return fmt.Errorf("%s is not as its manifest says", part.Name)
		}
		c.parts = c.parts[1:]
	}
	if len(c.parts) > 0 {
		return fmt.Errorf("its manifest does not name %s", c.parts[0].Name)
	}
	return nil
}

func (p *Part) isLike(other *Part) bool {
	if p.Rows != nil && (other.Rows == nil || *p.Rows != *other.Rows) {
		return false
	}
	return p.Name == other.Name && p.Bytes == other.Bytes && p.SHA256 == other.SHA256 && p.RowSum == other.RowSum
}
