package archive

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Sink takes the parts of an archive, in their order, while it is read. They are known to
// be whole only when Read has returned without an error.
type Sink interface {
	// File takes a part that is no table.
	File(name string, size int64, content io.Reader) error
	// Table takes the rows of a table. It is not called for a table without rows.
	Table(name string, rows io.Reader) error
}

// Discard is the Sink of a caller that needs no content.
type Discard struct{}

// File takes nothing.
func (Discard) File(string, int64, io.Reader) error { return nil }

// Table takes nothing.
func (Discard) Table(string, io.Reader) error { return nil }

// Read reads an archive to its end, gives its parts to sink, and compares all of it with
// its manifest, which it returns. It is ErrDamaged where they differ, and where the
// archive is not of owner. Without identities the archive must not be encrypted. Errors
// of r and sink are returned as they are.
func Read(r io.Reader, owner string, identities []age.Identity, sink Sink) (Manifest, error) {
	source, contents := &sourceReader{reader: r}, &contents{sink: sink}
	err := contents.readAll(source, owner, identities)
	switch {
	case source.err != nil:
		return Manifest{}, source.err
	case contents.refusal != nil:
		return Manifest{}, contents.refusal
	case err != nil:
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return contents.manifest, nil
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

// contents reads the members of the tar.
type contents struct {
	sink     Sink
	refusal  error // of the sink
	tar      *tar.Reader
	next     *tar.Header // of a member that was found behind a table; nil for none
	manifest Manifest
	parts    []Part // as they were found
}

func (c *contents) readAll(source io.Reader, owner string, identities []age.Identity) (err error) {
	plain := source
	if len(identities) > 0 {
		if plain, err = age.Decrypt(source, identities...); err != nil {
			return err
		}
	}
	decoder, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer decoder.Close()
	c.tar = tar.NewReader(decoder)
	if err := c.readMembers(); err != nil {
		return err
	}
	// Each layer has a check at its end. Only a reader that reads to the end meets it.
	for _, layer := range []io.Reader{decoder, plain, source} {
		rest, err := io.Copy(io.Discard, layer)
		if err == nil && rest > 0 {
			err = fmt.Errorf("%d bytes follow its end", rest)
		}
		if err != nil {
			return err
		}
	}
	return c.check(owner)
}

// readMembers reads to the end of the tar. The manifest comes last.
func (c *contents) readMembers() error {
	for {
		header, err := c.nextMember()
		if errors.Is(err, io.EOF) {
			return errors.New("it has no manifest")
		}
		if err != nil {
			return err
		}
		switch {
		case header.Name == manifestName:
			return c.readManifest()
		case isChunk(header.Name):
			err = c.readTable(header.Name)
		default:
			err = c.readFile(header)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func (c *contents) nextMember() (*tar.Header, error) {
	if header := c.next; header != nil {
		c.next = nil
		return header, nil
	}
	return c.tar.Next()
}

func (c *contents) readFile(header *tar.Header) error {
	sums := newDigest(false)
	err := c.give(io.TeeReader(c.tar, sums), func(content io.Reader) error {
		return c.sink.File(header.Name, header.Size, content)
	})
	c.parts = append(c.parts, sums.part(header.Name))
	return err
}

// readTable reads the table that begins with that chunk.
func (c *contents) readTable(first string) error {
	part := path.Dir(first)
	name, err := url.PathUnescape(path.Base(part))
	if err != nil {
		return err
	}
	if wanted := chunkName(part, 0); first != wanted {
		return fmt.Errorf("%s is missing", wanted)
	}
	sums := newDigest(true)
	rows := io.TeeReader(&tableReader{contents: c, part: part, next: 1}, sums)
	err = c.give(rows, func(rows io.Reader) error { return c.sink.Table(name, rows) })
	c.parts = append(c.parts, sums.part(part))
	return err
}

// give gives a stream to take, and reads what take has left of it. An error of the stream
// says more than what take makes of it.
func (c *contents) give(stream io.Reader, take func(io.Reader) error) error {
	source := &sourceReader{reader: stream}
	refusal := take(source)
	if source.err == nil && refusal == nil {
		_, _ = io.Copy(io.Discard, source) // source keeps its error
	}
	if source.err == nil {
		c.refusal = refusal
		return refusal
	}
	return source.err
}

// tableReader reads the rows of a table, chunk after chunk.
type tableReader struct {
	contents *contents
	part     string
	next     int // the number of the next chunk
}

// Read reads.
func (t *tableReader) Read(buffer []byte) (int, error) {
	for t.contents.next == nil {
		n, err := t.contents.tar.Read(buffer)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, unlessEOF(err)
		}
		header, err := t.contents.tar.Next()
		if err != nil {
			return 0, err
		}
		if path.Dir(header.Name) != t.part {
			t.contents.next = header
			break
		}
		if wanted := chunkName(t.part, t.next); header.Name != wanted {
			return 0, fmt.Errorf("%s is missing", wanted)
		}
		t.next++
	}
	return 0, io.EOF
}

// unlessEOF hides the end of a chunk, which is not the end of its table.
func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
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
