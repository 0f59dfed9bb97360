package archive_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/backups/archive"
)

// collector keeps what it is given, and refuses the part of that name.
type collector struct {
	parts  map[string]string
	refuse string
}

func (c *collector) File(name string, _ int64, content io.Reader) error {
	return c.Table(name, content)
}

func (c *collector) Table(name string, rows io.Reader) error {
	if name == c.refuse {
		return errRefused
	}
	text, err := io.ReadAll(rows)
	c.parts[name] = string(text)
	return err
}

var errRefused = errors.New("refused")

// A sink is given each part whole, whatever its chunks. Its error is no damage, but that
// of an archive which ends while it reads is.
func TestReadGivesTheParts(t *testing.T) {
	t.Parallel()
	lines := manyLines()
	whole := write(t, lines)
	c := &collector{parts: map[string]string{}}

	_, err := archive.Read(bytes.NewReader(whole), owner, nil, c)

	require.NoError(t, err)
	require.Less(t, len(c.parts["dump/000001.pgc"]), len(c.parts["dump/000000.pgc"]))
	require.Equal(t, strings.Repeat(strings.Join(lines, ""), 2), c.parts["dump/000000.pgc"]+c.parts["dump/000001.pgc"])
	delete(c.parts, "dump/000000.pgc")
	delete(c.parts, "dump/000001.pgc")
	require.Equal(t, map[string]string{
		"schema.json": "{\n  \"engine\": \"any\"\n}", "users": strings.Join(lines, ""), "a/b c": "1\n", "database.db": "12345",
	}, c.parts)
	_, err = archive.Read(bytes.NewReader(whole), owner, nil, &collector{parts: map[string]string{}, refuse: "users"})
	require.ErrorIs(t, err, errRefused)
	require.NotErrorIs(t, err, archive.ErrDamaged)
	_, err = archive.Read(bytes.NewReader(whole[:len(whole)/2]), owner, nil, c)
	require.ErrorIs(t, err, archive.ErrDamaged)
}
