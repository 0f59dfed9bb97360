package controllers_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"multitenant/controllers"
	"multitenant/models"
)

// FuzzBody makes sure that no body makes a handler panic or fail otherwise than
// with what the sender may be told.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", "null", "{", `{"email":"a@b.cd","password":"12345678","full_name":null}`, `{"email":1,"password":[]}`,
		`{"name":"Acme","slug":"acme","description":null,"is_active":true}`, `{"is_active":null,"name":null}`, `{"full_name":"\ud800"}`,
		`{"bio":"\u0000","phone":{}}`, `{"a":{}} {}`, `{"x":[[[[[[[[]]]]]]]]}`, "{\"a\":\"\xff\"}", `{"EMAIL":"x","ſlug":"y"}`, `{"full_name":1e999}`,
	} {
		f.Add("application/json", []byte(seed))
	}
	f.Add("", []byte("{}"))
	f.Add("text/plain", []byte("{}"))
	f.Add("application/json; charset", []byte("{}"))
	gin.SetMode(gin.ReleaseMode)
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequest(http.MethodPost, "/", nil)
		c.Request.Header["Content-Type"] = []string{contentType}
		rewind := func() { c.Request.Body = io.NopCloser(bytes.NewReader(body)) }
		for name, err := range controllers.CheckBody(c, rewind) {
			if err != nil {
				requireTold(t, name, err)
				continue
			}
			require.True(t, utf8.Valid(body), name)
			require.True(t, strings.HasPrefix(strings.TrimLeft(string(body), " \t\r\n"), "{"), name)
		}
	})
}

// requireTold makes sure that the error is one for the sender, and says nothing
// of the inside.
func requireTold(t *testing.T, name string, err error) {
	t.Helper()
	known, ok := errors.AsType[*models.Error](err)
	require.True(t, ok, "%s: %v", name, err)
	require.Contains(t, []models.Kind{
		models.KindValidationFailed, models.KindMalformedBody, models.KindUnsupportedMediaType,
	}, known.Kind, name)
	require.Equal(t, known.Kind == models.KindUnsupportedMediaType, len(known.Fields) == 0, "%s: %v", name, err)
	for _, field := range known.Fields {
		require.Contains(t, []string{
			"body", "email", "password", "full_name", "name", "slug", "description", "is_active", "bio", "phone",
		}, field.Field, name)
		require.NotEmpty(t, field.Message)
		require.NotEmpty(t, field.Code)
	}
}

// TestBodiesThatCannotBeRead are not malformed.
func TestBodiesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest(http.MethodPost, "/", nil)
	broken := errors.New("connection reset by peer")
	rewind := func() { c.Request.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failing{broken})) }
	for name, err := range controllers.CheckBody(c, rewind) {
		require.True(t, models.IsKind(err, models.KindRequestTimeout), "%s: %v", name, err)
		require.ErrorIs(t, err, broken, "the log says why")
	}
}

// failing is a connection that breaks.
type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }
