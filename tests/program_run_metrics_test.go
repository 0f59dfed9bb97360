package tests_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// servesMetrics as the program does: gone after the API.
func servesMetrics(t *testing.T, binary string) {
	t.Helper()
	p := run(t, binary, t.TempDir(), "METRICS_ADDR=127.0.0.1:0")
	address := captures(` metrics=(http://\S+)/metrics `, p.Log.String())
	require.Len(t, address, 1)
	ask := func(method, path string, header http.Header) (testkit.Response, error) {
		return askMetrics(t, method, address[0]+path, header)
	}
	p.Token("acme", "ada@example.com")

	answer, err := ask(http.MethodGet, "/metrics", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Code)
	require.True(t, strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain"), answer.Header)
	require.InDelta(t, 1, testkit.ParseSamples(t, answer.Raw)[withStatus("ready")], 0)
	for _, path := range []string{"/", "/metrics/", "/health", "/docs", "/debug/pprof/", "/api/users/me"} {
		answer, err := ask(http.MethodGet, path, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, answer.Code, path)
	}
	answer, err = ask(http.MethodPost, "/metrics", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusMethodNotAllowed, answer.Code)
	answer, err = ask(http.MethodGet, "/metrics", http.Header{"X-Long": {strings.Repeat("x", 32<<10)}})
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.Code, "the limits are the API's")

	requireOrder(t, p, func() error {
		_, err := ask(http.MethodGet, "/metrics", nil)
		return err
	})
}

// askMetrics is for what is not the API, and has no contract.
func askMetrics(t *testing.T, method, url string, header http.Header) (testkit.Response, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	request.Header = header
	answer, err := client.Do(request)
	if err != nil {
		return testkit.Response{}, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	return testkit.Response{Code: answer.StatusCode, Header: answer.Header, Raw: string(raw)}, err
}

// requireOrder stops the program: metrics are there as long as a request is.
func requireOrder(t *testing.T, p *program, scrape func() error) {
	t.Helper()
	finish := halfLogin(t, p)
	p.signal(t, syscall.SIGTERM)
	testkit.Await(t, 5*time.Second, func() error {
		if _, err := p.Try(testkit.Request{Method: http.MethodGet, Path: "/health"}); err == nil {
			return errors.New("new requests are still served")
		}
		return nil
	})
	require.NoError(t, scrape())
	_, err := finish()
	require.NoError(t, err)
	p.requireExit(t, 0)
	require.Error(t, scrape())
	require.NotContains(t, p.Log.String(), "level=ERROR")
}
