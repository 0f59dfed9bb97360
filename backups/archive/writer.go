package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Writer writes an archive. After an error only Abort may be called.
type Writer struct {
	manifest Manifest
	time     time.Time
	tar      *tar.Writer
	zstd     *zstd.Encoder
	age      io.WriteCloser // nil without recipients
}

// NewWriter begins an archive of what has that id. It is encrypted to the recipients,
// if there are any.
func NewWriter(w io.Writer, owner string, at time.Time, recipients []age.Recipient) (*Writer, error) {
	a := &Writer{manifest: Manifest{Format: Format, Owner: owner}, time: at}
	if len(recipients) > 0 {
		encrypted, err := age.Encrypt(w, recipients...)
		if err != nil {
			return nil, fmt.Errorf("encrypt archive: %w", err)
		}
		a.age, w = encrypted, encrypted
	}
	compressed, err := zstd.NewWriter(w)
	if err != nil {
		return nil, fmt.Errorf("compress archive: %w", err)
	}
	a.zstd, a.tar = compressed, tar.NewWriter(compressed)
	return a, nil
}

// JSON adds a part with one value.
func (a *Writer) JSON(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return a.File(name, int64(len(text)), bytes.NewReader(text))
}

// File adds a part of that size.
func (a *Writer) File(name string, size int64, content io.Reader) error {
	sums := newDigest(false)
	err := a.tar.WriteHeader(a.header(name, size))
	if err == nil {
		_, err = io.Copy(io.MultiWriter(a.tar, sums), content)
	}
	if err == nil {
		err = a.tar.Flush() // fails if content had another size
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	a.manifest.Parts = append(a.manifest.Parts, sums.part(name))
	return nil
}

// Table adds the rows of a table, a line each. write returns how many rows it has
// written, which must be as many as there are lines.
func (a *Writer) Table(table string, write func(io.Writer) (rows int64, err error)) error {
	part, sums := TableName(table), newDigest(true)
	c := &chunks{size: chunkBytes, keep: func(number int, chunk []byte) error {
		return a.member(chunkName(part, number), chunk)
	}}
	rows, err := write(io.MultiWriter(sums, c))
	if err == nil {
		err = c.flush()
	}
	if err == nil {
		err = sums.checkRows(rows)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", part, err)
	}
	a.manifest.Parts = append(a.manifest.Parts, sums.part(part))
	return nil
}

// Stream adds a stream whose size is not known before. Each piece of it is a part of its own,
// with a number and the suffix, so a reader that does not know the stream can leave it out.
func (a *Writer) Stream(name, suffix string, write func(io.Writer) error) error {
	c := &chunks{size: pieceBytes, keep: func(number int, piece []byte) error {
		return a.File(pieceName(name, number, suffix), int64(len(piece)), bytes.NewReader(piece))
	}}
	if err := write(c); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return c.flush()
}

// Close writes the manifest and ends the archive. It does not close the writer below.
func (a *Writer) Close() error {
	text, err := json.Marshal(a.manifest)
	if err == nil {
		err = a.member(manifestName, text)
	}
	if err != nil {
		a.Abort()
		return fmt.Errorf("end archive: %w", err)
	}
	err = errors.Join(a.tar.Close(), a.zstd.Close())
	if err == nil && a.age != nil {
		err = a.age.Close()
	}
	if err != nil {
		return fmt.Errorf("end archive: %w", err)
	}
	return nil
}

// Abort frees what the Writer uses. What it has written is not an archive.
func (a *Writer) Abort() { a.zstd.Reset(nil) }

func (a *Writer) header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: fileMode, ModTime: a.time}
}

func (a *Writer) member(name string, content []byte) error {
	if err := a.tar.WriteHeader(a.header(name, int64(len(content)))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// chunks cuts a stream.
type chunks struct {
	size   int // of each chunk but the last
	keep   func(number int, chunk []byte) error
	buffer []byte
	number int
}

// Write takes a piece of the stream.
func (c *chunks) Write(piece []byte) (int, error) {
	written := len(piece)
	for len(piece) > 0 {
		n := min(len(piece), c.size-len(c.buffer))
		c.buffer = append(c.buffer, piece[:n]...)
		piece = piece[n:]
		if len(c.buffer) < c.size {
			continue
		}
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return written, nil
}

// flush writes a chunk. An empty stream has none.
func (c *chunks) flush() error {
	if len(c.buffer) == 0 {
		return nil
	}
	if err := c.keep(c.number, c.buffer); err != nil {
		return err
	}
	c.buffer = c.buffer[:0]
	c.number++
	return nil
}
