package tests_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestChangesAtOnceAreAllKept: each writes its own columns, also where another
// has changed the row since it was read.
func TestChangesAtOnceAreAllKept(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		cases := []struct {
			path, token string
			want        testkit.JSON
		}{
			{profilePath, app.Token("acme", "grace@example.com"), testkit.JSON{"full_name": "changed", "bio": "changed", "phone": "changed"}},
			{organizationsPath + "acme", core, testkit.JSON{"name": "changed", "description": "changed", "is_active": false, "registration": "invite"}},
		}
		for _, tc := range cases {
			var finish []func()
			for field, value := range tc.want {
				body, err := json.Marshal(testkit.JSON{field: value})
				require.NoError(t, err)
				finish = append(finish, beginChange(t, app, tc.path, tc.token, string(body)))
			}
			for i := range finish {
				finish[i]()
			}
			changed := app.Get(tc.path, tc.token)
			for field, value := range tc.want {
				require.Equal(t, value, changed.Object(app)[field], "%s is lost: %s", field, changed.Raw)
			}
		}
	})
}

// beginChange sends a change but for its body, and returns once
// the server asks for that, which it does when it has read what is
// to be changed. The function that it returns sends the rest.
func beginChange(t *testing.T, app *testkit.App, path, token, body string) (finish func()) {
	t.Helper()
	asked, done := make(chan struct{}), make(chan int, 1)
	reader, writer := io.Pipe()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(asked) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, app.URL+path, reader)
	require.NoError(t, err)
	request.Header = http.Header{"Authorization": {"Bearer " + token}, "Expect": {"100-continue"}}
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)
	go func() {
		defer close(done)
		if answer, err := transport.RoundTrip(request); err == nil {
			_ = answer.Body.Close()
			done <- answer.StatusCode
		}
	}()
	select {
	case <-asked:
	case status := <-done:
		require.Fail(t, "it was answered before its body was read", status)
	}
	return func() {
		_, err := io.WriteString(writer, body)
		require.NoError(t, err)
		require.NoError(t, writer.Close())
		require.Equal(t, http.StatusOK, <-done)
	}
}
