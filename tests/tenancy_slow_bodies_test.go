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

// TestAnswersThatAreNotReadHoldNoDatabase: more tenants send such requests than databases
// may be open. The others are served.
func TestAnswersThatAreNotReadHoldNoDatabase(t *testing.T) {
	t.Parallel()
	app := testkit.Start(t, testkit.Fresh(t, testkit.SQLite))
	tokens := make([]string, app.Backend.MaxOpen()+4)
	for i := range tokens {
		slug := fmt.Sprintf("acme-%d", i)
		tokens[i] = app.Token(slug, "ada@example.com")
		app.Settings.Exec(t, app.Settings.DatabaseName(slug), `INSERT INTO tenant_users
			(email, email_canonical, hashed_password, is_active, role, bio, created_at, updated_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
			SELECT i || '@example.com', i || '@example.com', '', TRUE, 'member', replace(hex(zeroblob(1000)), '0', '<'),
				CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM n`)
	}
	for _, token := range tokens[4:] {
		askAndReadNothing(t, app, token)
	}
	for range 3 {
		for _, token := range tokens[:4] {
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", token).Code)
		}
	}
}

// askAndReadNothing asks for a list that is larger than what the connection takes, and
// reads its first byte.
func askAndReadNothing(t *testing.T, app *testkit.App, token string) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(app.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	tcp, isTCP := conn.(*net.TCPConn)
	require.True(t, isTCP)
	require.NoError(t, tcp.SetReadBuffer(4<<10))
	_, err = fmt.Fprintf(conn, "GET /api/users/?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token)
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
}

// TestABodyThatIsCutIsNotMalformed, and changes nothing.
func TestABodyThatIsCutIsNotMalformed(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
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
