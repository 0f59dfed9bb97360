package docs_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/docs"
)

func ask(t *testing.T, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	docs.NewPage().ServeHTTP(answer, request)
	return answer
}

func TestPageServesItsPaths(t *testing.T) {
	t.Parallel()

	page := docs.NewPage()
	types := map[string]string{
		"/docs": "text/html", "/docs/": "text/html", "css": "text/css", "json": "application/json", "png": "image/png",
		"js": "javascript",
	}
	for _, path := range page.Paths() {
		got := ask(t, http.MethodGet, path)
		require.Equal(t, http.StatusOK, got.Code, path)
		require.NotEmpty(t, got.Body.Bytes(), path)
		kind, some := types[path]
		if !some {
			kind = types[path[strings.LastIndex(path, ".")+1:]]
		}
		require.Contains(t, got.Header().Get("Content-Type"), kind, path)
		require.Equal(t, page.ContentSecurityPolicy(), got.Header().Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"), path)

		head := ask(t, http.MethodHead, path)
		require.Equal(t, http.StatusOK, head.Code, path)
		require.Empty(t, head.Body.Bytes(), path)
	}
}

func TestPageLoadsOnlyWhatItServes(t *testing.T) {
	t.Parallel()

	paths := append(docs.NewPage().Paths(), "/openapi.json")
	html := ask(t, http.MethodGet, "/docs").Body.String()

	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		require.Contains(t, paths, link[1])
	}
}

// What the policy forbids the page must not hold, or it would not work.
func TestPageHasNoInlineCode(t *testing.T) {
	t.Parallel()

	html := ask(t, http.MethodGet, "/docs").Body.String()
	require.NotRegexp(t, `<script>|<script [^>]*>[^<]|<style|style=|\son[a-z]+=|javascript:`, html)

	policy := docs.NewPage().ContentSecurityPolicy()
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, policy, "http")
	require.NotContains(t, policy, "*")
}

func TestPageSettings(t *testing.T) {
	t.Parallel()

	script := ask(t, http.MethodGet, "/docs/page.js").Body.String()

	for _, setting := range []string{
		`url: "/openapi.json"`, "deepLinking: true", "persistAuthorization: false", "tryItOutEnabled: true",
		"displayRequestDuration: true", "validatorUrl: null",
	} {
		require.Contains(t, script, setting)
	}
}

func TestPageReplacesHeadersOfTheAPI(t *testing.T) {
	t.Parallel()

	page := docs.NewPage()
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Security-Policy", "default-src 'none'")
	answer.Header().Set("Cache-Control", "no-store")
	page.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docs", http.NoBody))

	require.Equal(t, []string{page.ContentSecurityPolicy()}, answer.Header().Values("Content-Security-Policy"))
	require.Equal(t, []string{"no-cache"}, answer.Header().Values("Cache-Control"))
}

func TestPageIsRevalidated(t *testing.T) {
	t.Parallel()

	for _, path := range docs.NewPage().Paths() {
		tag := ask(t, http.MethodGet, path).Header().Get("ETag")
		require.NotEmpty(t, tag, path)
		require.Equal(t, http.StatusNotModified, ask(t, http.MethodGet, path, "If-None-Match", tag).Code, path)
	}
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"/", "/docs/nothing", "/docs/swagger-ui.js", "/docs/../page.go", "/docs/embed.go"} {
		require.Equal(t, http.StatusNotFound, ask(t, http.MethodGet, path).Code, path)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		got := ask(t, method, "/docs")
		require.Equal(t, http.StatusMethodNotAllowed, got.Code, method)
		require.Equal(t, "GET, HEAD", got.Header().Get("Allow"), method)
	}
}

// Below these versions Swagger UI, or the DOMPurify in it, has known faults.
func TestSwaggerUIHasNoKnownFaults(t *testing.T) {
	t.Parallel()

	bundle := ask(t, http.MethodGet, "/docs/swagger-ui-bundle.js").Body.String()
	for name, version := range map[string]struct{ mark, least string }{
		"Swagger UI": {`PACKAGE_VERSION:"([\d.]+)"`, "5.35.0"},
		"DOMPurify":  {`DOMPurify\.version="([\d.]+)"`, "3.4.17"},
	} {
		found := regexp.MustCompile(version.mark).FindStringSubmatch(bundle)
		require.Len(t, found, 2, name)
		require.GreaterOrEqual(t, slices.Compare(numbers(t, found[1]), numbers(t, version.least)), 0, "%s is %s", name, found[1])
	}
}

func numbers(t *testing.T, version string) (parts []int) {
	t.Helper()
	for text := range strings.SplitSeq(version, ".") {
		part, err := strconv.Atoi(text)
		require.NoError(t, err)
		parts = append(parts, part)
	}
	return parts
}

func TestLargeFilesAreSentCompressed(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"} {
		plain := ask(t, http.MethodGet, path, "Accept-Encoding", "gzip;q=0, br")
		require.Empty(t, plain.Header().Get("Content-Encoding"), path)

		compressed := ask(t, http.MethodGet, path, "Accept-Encoding", "br, gzip")
		require.Equal(t, "gzip", compressed.Header().Get("Content-Encoding"), path)
		require.Less(t, compressed.Body.Len(), plain.Body.Len()/3, path)
		require.NotEqual(t, plain.Header().Get("ETag"), compressed.Header().Get("ETag"), path)
		reader, err := gzip.NewReader(compressed.Body)
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain.Body.Bytes(), content), path)
		for _, got := range []*httptest.ResponseRecorder{plain, compressed} {
			require.Equal(t, "Accept-Encoding", got.Header().Get("Vary"), path)
		}
	}
}
