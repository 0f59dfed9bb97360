package database

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// AnyEngine is the engine of a Content whose rows any engine takes. It may lack columns,
// which then have their defaults, and tables, which then stay as they are.
const AnyEngine = "any"

// ValueKind says how the values of a column are written where engines must agree.
type ValueKind string

// The kinds of values.
const (
	ValueInteger ValueKind = "integer"
	ValueNumber  ValueKind = "number"
	ValueBoolean ValueKind = "boolean"
	ValueTime    ValueKind = "time"
	ValueBytes   ValueKind = "bytes"
	ValueText    ValueKind = "text"
)

// IsValid reports whether there is such a kind.
func (k ValueKind) IsValid() bool {
	switch k {
	case ValueInteger, ValueNumber, ValueBoolean, ValueTime, ValueBytes, ValueText:
		return true
	}
	return false
}

// KindOf returns the kind of a type as an engine names it.
func KindOf(name string) ValueKind {
	name = strings.ToLower(strings.TrimSpace(name))
	base, _, _ := strings.Cut(name, "(")
	switch base = strings.TrimSpace(base); base {
	case "smallint", "integer", "bigint", "int", "tinyint", "mediumint", "int2", "int4", "int8", "serial", "bigserial":
		return ValueInteger
	case "real", "double precision", "double", "float", "numeric", "decimal":
		return ValueNumber
	case "boolean", "bool":
		return ValueBoolean
	case "bytea", "blob":
		return ValueBytes
	case "datetime", "timestamp", "timestamptz", "timestamp with time zone", "timestamp without time zone":
		return ValueTime
	}
	if strings.HasPrefix(base, "timestamp") { // timestamp(3) with time zone
		return ValueTime
	}
	return ValueText
}

// AppendRow appends a row as COPY writes it. A nil value is NULL.
func AppendRow(line []byte, values []*string) []byte {
	for i, value := range values {
		if i > 0 {
			line = append(line, '\t')
		}
		if value == nil {
			line = append(line, `\N`...)
			continue
		}
		line = appendValue(line, *value)
	}
	return append(line, '\n')
}

func appendValue(line []byte, value string) []byte {
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\':
			line = append(line, `\\`...)
		case '\t':
			line = append(line, `\t`...)
		case '\n':
			line = append(line, `\n`...)
		case '\r':
			line = append(line, `\r`...)
		default:
			line = append(line, c)
		}
	}
	return line
}

// ParseRow reads a row as COPY writes it, with or without the end of the line.
func ParseRow(line string) []*string {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	values := make([]*string, len(fields))
	for i, field := range fields {
		if field != `\N` {
			value := unescape(field)
			values[i] = &value
		}
	}
	return values
}

// unescape undoes the escapes of COPY in a value. It writes no byte by its number.
func unescape(field string) string {
	if !strings.Contains(field, `\`) {
		return field
	}
	value := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == '\\' && i+1 < len(field) {
			i++
			c = unescaped(field[i])
		}
		value = append(value, c)
	}
	return string(value)
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return c
}

// EachRow calls do with the values of each row of a table, which must have so many, and
// returns how many rows there are.
func EachRow(rows io.Reader, columns int, do func(values []*string) error) (count int64, err error) {
	lines := bufio.NewReader(rows)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return count, err
		}
		if line == "" {
			return count, nil
		}
		values := ParseRow(line)
		if len(values) != columns {
			return count, fmt.Errorf("%w: row %d has %d values, and not %d", ErrUnloadable, count+1, len(values), columns)
		}
		if err := do(values); err != nil {
			return count, err
		}
		count++
	}
}
