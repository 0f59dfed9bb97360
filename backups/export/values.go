package export

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"multitenant/database"
)

var (
	errNoText  = errors.New("a value is no valid text")
	errNoValue = errors.New("a value is of the wrong type")
)

// appendValue appends a value, which an engine has written, as JSON.
func appendValue(line []byte, value *string, kind database.ValueKind) ([]byte, error) {
	if value == nil {
		return append(line, "null"...), nil
	}
	text := *value
	switch kind {
	case database.ValueInteger, database.ValueNumber:
		if isNumber(text) {
			return append(line, text...), nil
		}
	case database.ValueBoolean:
		switch text {
		case "t", "1":
			return append(line, "true"...), nil
		case "f", "0":
			return append(line, "false"...), nil
		}
		if isNumber(text) {
			return append(line, text...), nil
		}
	case database.ValueTime:
		text = isoTime(text)
	case database.ValueBytes:
		content, err := hex.DecodeString(strings.TrimPrefix(text, `\x`))
		if err != nil {
			return nil, errNoValue
		}
		text = base64.StdEncoding.EncodeToString(content)
	case database.ValueText:
	}
	return appendText(line, text)
}

// isNumber reports whether the text is a number of JSON. NaN and Infinity are none.
func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "-0123456789.eE+") == "" && json.Valid([]byte(text))
}

// isoTime writes a time as ISO 8601. One that has no such form, such as infinity, stays.
func isoTime(text string) string {
	for _, layout := range []string{"2006-01-02 15:04:05.999999999-07", time.RFC3339Nano, "2006-01-02 15:04:05.999999999"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	}
	return text
}

// appendText appends a string. JSON has no other bytes than those of valid text.
func appendText(line []byte, text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		return nil, errNoText
	}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return nil, err
	}
	return append(line, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...), nil
}

// parseValue reads a value of JSON as an engine takes it.
func parseValue(raw json.RawMessage, kind database.ValueKind) (*string, error) {
	text := string(raw)
	switch {
	case text == "null":
		return nil, nil //nolint:nilnil // it is NULL
	case text == "true", text == "false":
		text = text[:1]
	case isNumber(text):
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, errNoValue
		}
		if kind != database.ValueBytes {
			break
		}
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errNoValue
		}
		text = `\x` + hex.EncodeToString(content)
	default:
		return nil, errNoValue
	}
	return &text, nil
}
