package controllers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"multitenant/models"
)

// maxDepth bounds how deep the objects and arrays of a body may be nested.
const maxDepth = 8

// bind reads the body into T, the wire shape of one request. The errors:
// KindUnsupportedMediaType, KindBodyTooLarge, KindRequestTimeout for a body that did not
// arrive whole, KindMalformedBody for what is no single JSON object,
// KindValidationFailed for a field of the wrong type.
func bind[T any](c *gin.Context) (T, error) {
	var body T
	raw, err := readBody(c)
	if err != nil {
		return body, err
	}
	if err := checkShape(raw); err != nil {
		return body, err
	}
	err = json.Unmarshal(raw, &body)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		var checks models.Checks
		checks.Add(mismatch.Field, "wrong_type", "must be "+nameOf(mismatch.Type.Kind()))
		return body, checks.Err()
	}
	if err != nil {
		return body, errMalformed("must be a single JSON object").Because(err)
	}
	return body, nil
}

func readBody(c *gin.Context) ([]byte, error) {
	for _, coding := range c.Request.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, models.Errorf(models.KindUnsupportedMediaType, "Unsupported media type")
		}
	}
	// A body without a type is taken for JSON, as the Python original did.
	if given := c.GetHeader("Content-Type"); given != "" {
		if mediaType, _, err := mime.ParseMediaType(given); err != nil || mediaType != "application/json" {
			return nil, models.Errorf(models.KindUnsupportedMediaType, "Unsupported media type")
		}
	}
	raw, err := io.ReadAll(c.Request.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, models.Errorf(models.KindBodyTooLarge, "Request body too large").Because(err)
	}
	if err != nil {
		return nil, models.ErrRequestTimeout.Because(err)
	}
	return raw, nil
}

// checkShape refuses what encoding/json would take: text that is not UTF-8, a
// value that is no object, nesting without end.
func checkShape(raw []byte) error {
	if !utf8.Valid(raw) {
		return errMalformed("must be UTF-8")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return errMalformed("must be a single JSON object")
	}
	decoder, depth := json.NewDecoder(bytes.NewReader(raw)), 0
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // what is malformed is reported by the decoding that follows
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return errMalformed(fmt.Sprintf("must not be nested more than %d deep", maxDepth))
		}
	}
}

func errMalformed(problem string) *models.Error {
	err := models.Errorf(models.KindMalformedBody, "Malformed request body")
	err.Fields = []models.FieldError{{Field: "body", Message: problem, Code: "malformed"}}
	return err
}

// nameOf says in the words of JSON what a field must be.
func nameOf(kind reflect.Kind) string {
	switch {
	case kind == reflect.String:
		return "a string"
	case kind == reflect.Bool:
		return "true or false"
	case kind == reflect.Struct, kind == reflect.Map:
		return "an object"
	case strings.HasPrefix(kind.String(), "int"):
		return "an integer"
	}
	return "of another type"
}

// optional is a field of an update: absent keeps what there is, null clears it.
type optional[T any] struct {
	Set   bool
	Value *T // nil for null

	wrongType bool
}

// UnmarshalJSON is called only for a field that is there.
func (o *optional[T]) UnmarshalJSON(raw []byte) error {
	o.Set = true
	// The decoder would lose the field's name, so check reports it.
	o.wrongType = json.Unmarshal(raw, &o.Value) != nil
	return nil
}

// check reports a value of the wrong type, and whether there is one to go by.
func (o *optional[T]) check(checks *models.Checks, field string) bool {
	if o.wrongType {
		checks.Add(field, "wrong_type", "must be "+nameOf(reflect.TypeFor[T]().Kind())+" or null")
	}
	return o.Set && !o.wrongType
}

// checkKept is check for a field that null cannot clear; message says what it must
// be.
func (o *optional[T]) checkKept(checks *models.Checks, field, message string) bool {
	set := o.check(checks, field)
	if set && o.Value == nil {
		checks.Add(field, "required", message)
		return false
	}
	return set
}

// bindChecked is bind for a body that has rules of its own.
func bindChecked[T any, P interface {
	*T
	check() error
}](c *gin.Context,
) (T, error) {
	return bindWith(c, func(body *T) error { return P(body).check() })
}

// bindWith is bind for a body that check has rules for.
func bindWith[T any](c *gin.Context, check func(*T) error) (T, error) {
	body, err := bind[T](c)
	if err == nil {
		err = check(&body)
	}
	return body, err
}
