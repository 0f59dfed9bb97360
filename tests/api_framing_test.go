package tests_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestARequestEndsInOnePlace: where the headers of a request contradict each other, the
// rest of it is never taken for another request.
func TestARequestEndsInOnePlace(t *testing.T) {
	t.Parallel()
	app := testkit.Start(t, testkit.Fresh(t, testkit.SQLite))
	token := app.Token("", "ada@example.com")
	body := `{"full_name":"Ada"}`
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	for name, tc := range map[string]struct {
		headers, body string
		codes         []int
	}{
		"a length":                 {"Content-Length: 19", body, []int{200, 404}},
		"chunks win over a length": {"Transfer-Encoding: chunked\r\nContent-Length: 4", chunked, []int{200, 404}},
		"two lengths":              {"Content-Length: 5\r\nContent-Length: 19", body, []int{400}},
		"a length that is none":    {"Content-Length: +19", body, []int{400}},
		"an unknown coding":        {"Transfer-Encoding: chunked, identity", chunked, []int{501}},
		"a name with a space":      {"Transfer-Encoding : chunked\r\nContent-Length: 19", body, []int{400}},
	} {
		sent := "PUT /api/users/me HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
			token + "\r\n" + tc.headers + "\r\n\r\n" + tc.body + "GET /nothing-here HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		require.Equal(t, tc.codes, codesOf(t, app, sent), name)
	}
}

// codesOf sends the bytes on one connection and returns the codes of all answers, until
// the server closes it.
func codesOf(t *testing.T, app *testkit.App, sent string) (codes []int) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(app.URL, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }() // all answers have been read
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, sent)
	require.NoError(t, err)
	answers := bufio.NewReader(conn)
	for {
		if _, err := answers.Peek(1); err != nil {
			return codes
		}
		response, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		codes = append(codes, response.StatusCode)
	}
}
