package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/bits"
)

// digest sums up the stream of a part.
type digest struct {
	bytes int64
	hash  hash.Hash
	rows  *rowDigest // nil for a part that is no table
}

func newDigest(isTable bool) *digest {
	d := &digest{hash: sha256.New()}
	if isTable {
		d.rows = &rowDigest{row: sha256.New()}
	}
	return d
}

// Write takes a piece of the stream. It does not fail.
func (d *digest) Write(piece []byte) (int, error) {
	d.bytes += int64(len(piece))
	d.hash.Write(piece)
	if d.rows != nil {
		d.rows.write(piece)
	}
	return len(piece), nil
}

func (d *digest) part(name string) Part {
	part := Part{Name: name, Bytes: d.bytes, SHA256: encode(d.hash.Sum(nil))}
	if d.rows != nil {
		rows := d.rows.count
		part.Rows, part.RowSum = &rows, encode(d.rows.sum.bytes())
	}
	return part
}

// SumTable returns what a Writer would note of a table with those rows.
func SumTable(table string, write func(io.Writer) (rows int64, err error)) (Part, error) {
	d := newDigest(true)
	rows, err := write(d)
	if err == nil {
		err = d.checkRows(rows)
	}
	return d.part(TableName(table)), err
}

// checkRows compares the lines of a table with how many rows it is said to have.
func (d *digest) checkRows(rows int64) error {
	if d.rows.isOpen || d.rows.count != rows {
		return fmt.Errorf("there are %d lines for %d rows", d.rows.count, rows)
	}
	return nil
}

// rowDigest sums up the lines of a table, whatever pieces they come in.
type rowDigest struct {
	row    hash.Hash // of the line so far
	isOpen bool      // a line has begun
	count  int64     // of whole lines
	sum    sum256
	buffer [sha256.Size]byte
}

func (r *rowDigest) write(piece []byte) {
	for len(piece) > 0 {
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			r.row.Write(piece)
			r.isOpen = true
			return
		}
		r.row.Write(piece[:end])
		r.sum.add(r.row.Sum(r.buffer[:0]))
		r.row.Reset()
		r.isOpen = false
		r.count++
		piece = piece[end+1:]
	}
}

// sum256 is a number of 256 bits, the least significant word first.
type sum256 [4]uint64

// add adds a big-endian number modulo 2^256.
func (s *sum256) add(number []byte) {
	var carry uint64
	for i := range s {
		word := binary.BigEndian.Uint64(number[len(number)-8*(i+1):])
		s[i], carry = bits.Add64(s[i], word, carry)
	}
}

func (s *sum256) bytes() []byte {
	number := make([]byte, 0, sha256.Size)
	for i := len(s) - 1; i >= 0; i-- {
		number = binary.BigEndian.AppendUint64(number, s[i])
	}
	return number
}
