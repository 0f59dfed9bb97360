package models_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
)

// codeOf runs one check and returns the code of what it found, if anything.
func codeOf(t *testing.T, check func(*models.Checks)) string {
	t.Helper()
	var checks models.Checks
	check(&checks)
	err := checks.Err()
	if err == nil {
		return ""
	}
	known, ok := errors.AsType[*models.Error](err)
	require.True(t, ok)
	require.Equal(t, models.KindValidationFailed, known.Kind)
	require.Equal(t, "Validation failed", known.Message)
	require.Len(t, known.Fields, 1, "one thing is wrong, and it is said once")
	require.Equal(t, "field", known.Fields[0].Field)
	require.NotEmpty(t, known.Fields[0].Message)
	return known.Fields[0].Code
}

func TestTexts(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, value                     string
		optional, required, justPresent string // the codes
	}{
		{"plain", "text", "", "", ""},
		{"empty", "", "", "blank", ""},
		{"blank", " \t\n\u00a0\u2003", "", "blank", ""},
		{"at the limit", strings.Repeat("x", 10), "", "", ""},
		{"over the limit", strings.Repeat("x", 11), "too_long", "too_long", ""},
		{"characters, not bytes", strings.Repeat("🐎", 10), "", "", ""},
		{"one character too many", strings.Repeat("🐎", 11), "too_long", "too_long", ""},
		{"NUL", "a\x00b", "invalid_text", "invalid_text", "invalid_text"},
		{"NUL alone", "\x00", "invalid_text", "invalid_text", "invalid_text"},
		{"not UTF-8", "a\xff", "invalid_text", "invalid_text", "invalid_text"},
		{"replacement character", "a\uFFFD", "invalid_text", "invalid_text", "invalid_text"},
		{"NUL and too long", strings.Repeat("\x00", 11), "invalid_text", "invalid_text", "invalid_text"},
		{"control characters", "\x01\x1f\x7f\u0085", "", "", ""},
		{"an emoji", "\U0001F40E\uFE0F", "", "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.optional, codeOf(t, func(ch *models.Checks) { ch.Text("field", &tc.value, 10) }))
			require.Equal(t, tc.required, codeOf(t, func(ch *models.Checks) { ch.RequiredText("field", &tc.value, 10) }))
			require.Equal(t, tc.justPresent, codeOf(t, func(ch *models.Checks) { ch.Present("field", &tc.value) }))
		})
	}
	require.Empty(t, codeOf(t, func(ch *models.Checks) { ch.Text("field", nil, 10) }))
	require.Equal(t, "required", codeOf(t, func(ch *models.Checks) { ch.RequiredText("field", nil, 10) }))
	require.Equal(t, "required", codeOf(t, func(ch *models.Checks) { ch.Present("field", nil) }))
	require.Equal(t, "required", codeOf(t, func(ch *models.Checks) { ch.Email("field", nil) }))
}

func TestChecksReportAll(t *testing.T) {
	t.Parallel()
	var checks models.Checks
	require.NoError(t, checks.Err())
	checks.Present("a", nil)
	checks.Email("b", nil)
	known, ok := errors.AsType[*models.Error](checks.Err())
	require.True(t, ok)
	require.Equal(t, []models.FieldError{
		{Field: "a", Message: "is required", Code: "required"}, {Field: "b", Message: "is required", Code: "required"},
	}, known.Fields)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("only for the log")
	plain := models.Errorf(models.KindNotFound, "%s is gone", "it")
	because := plain.Because(cause)
	require.EqualError(t, plain, "it is gone")
	require.EqualError(t, because, "it is gone: only for the log")
	require.Equal(t, "it is gone", because.Message, "the caller is told no cause")
	require.ErrorIs(t, because, cause)
	require.NotErrorIs(t, plain, cause, "Because changes a copy")
	require.True(t, models.IsKind(errors.Join(errors.New("x"), because), models.KindNotFound))
	require.False(t, models.IsKind(because, models.KindInternal))
	require.False(t, models.IsKind(nil, models.KindInternal))
	require.False(t, models.IsKind(cause, models.KindInternal))
}
