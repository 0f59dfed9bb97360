package tests_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// sendHalf sends a change of the profile with only the beginning of its body.
func sendHalf(t *testing.T, app *testkit.App, token, begun string) *net.TCPConn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(app.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "PUT /api/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 20\r\n\r\n%s", token, begun)
	require.NoError(t, err)
	tcp, isTCP := conn.(*net.TCPConn)
	require.True(t, isTCP)
	return tcp
}

// TestBodiesThatNeverComeHoldNoDatabase: more tenants send such requests than
// databases may be open. The others are served.
func TestBodiesThatNeverComeHoldNoDatabase(t *testing.T) {
	t.Parallel()
	app := testkit.Start(t, testkit.Fresh(t, testkit.SQLite))
	tokens := make([]string, app.Backend.MaxOpen()+4)
	for i := range tokens {
		tokens[i] = app.Token(fmt.Sprintf("acme-%d", i), "ada@example.com")
	}
	others := tokens[:4]
	for _, token := range tokens[4:] {
		sendHalf(t, app, token, "")
		sendHalf(t, app, token, `{"full`)
	}
	for range 3 {
		for i, token := range others {
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", token).Code)
			require.Equal(t, http.StatusOK, app.Login(fmt.Sprintf("acme-%d", i), "ada@example.com").Code)
		}
	}
}

// TestABodyThatIsCutIsNotMalformed, and changes nothing.
func TestABodyThatIsCutIsNotMalformed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			token := app.Token(tenant, "ada@example.com")
			for _, begun := range []string{"", `{"full_name":"Ada"`, `{"full_name":"Ada"}`} {
				conn := sendHalf(t, app, token, begun)
				require.NoError(t, conn.CloseWrite())
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				raw, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				testkit.Response{Code: response.StatusCode, Header: response.Header, Raw: string(raw)}.
					RequireProblem(app, http.StatusRequestTimeout, "request_timeout", "Request body did not arrive")
			}
			require.Equal(t, "Somebody", app.Get("/api/users/me", token).Text(app, "full_name"))
		}
	})
}
