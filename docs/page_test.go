package docs_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
		"/docs": "text/html", "/docs/": "text/html", "css": "text/css", "json": "application/json", "svg": "image/svg+xml",
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

// TestPageLoadsOnlyWhatItServes: every link and import leads to a file, and every file has its path.
func TestPageLoadsOnlyWhatItServes(t *testing.T) {
	t.Parallel()

	paths := docs.NewPage().Paths()
	html := ask(t, http.MethodGet, "/docs").Body.String()
	links := regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(html, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		require.Contains(t, append(paths, "/openapi.json", "/console"), link[1])
	}

	imports, count := regexp.MustCompile(`(?m)^(?:import|export) .* from '\./([^']+)'`), 0
	for name, content := range sources(t) {
		for _, found := range imports.FindAllStringSubmatch(content, -1) {
			require.Contains(t, paths, "/docs/"+found[1], "%s imports it", name)
			require.Contains(t, html, `href="/docs/`+found[1]+`"`, "the index names it, so that it is not waited for")
			count++
		}
		if filepath.Ext(name) != ".html" {
			require.Contains(t, paths, "/docs/"+name)
			require.Equal(t, content, ask(t, http.MethodGet, "/docs/"+name).Body.String())
		}
	}
	require.Greater(t, count, 10)
}

// sources returns the files of the page by their names.
func sources(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("page")
	require.NoError(t, err)
	found := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join("page", entry.Name()))
		require.NoError(t, err)
		found[entry.Name()] = string(content)
	}
	return found
}

// TestPageHasNoInlineCode: the policy forbids it, and the sources do not try.
func TestPageHasNoInlineCode(t *testing.T) {
	t.Parallel()

	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "+
		"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'", docs.NewPage().ContentSecurityPolicy())
	dangerous := regexp.MustCompile(`(?i)<script>|<script [^>]*>[^<]|<style|\sstyle=|\son[a-z]+="|javascript:\S|innerHTML|outerHTML|` +
		`insertAdjacentHTML|document\.write|\beval\(|new Function`)
	for name, content := range sources(t) {
		require.NotRegexp(t, dangerous, content, name)
		require.NotRegexp(t, `https?://`, strings.ReplaceAll(content, "http://www.w3.org/2000/svg", ""), "%s reaches out", name)
	}
}

func TestPageStoresNothing(t *testing.T) {
	t.Parallel()

	for name, content := range sources(t) {
		require.NotRegexp(t, `localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|serviceWorker`, content, name)
	}
}

// TestPageKnowsTheDocument: the tokens that it asks for are those of the document.
func TestPageKnowsTheDocument(t *testing.T) {
	t.Parallel()

	raw, err := docs.OpenAPI()
	require.NoError(t, err)
	var document struct {
		Components struct {
			SecuritySchemes map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(raw, &document))
	asked := regexp.MustCompile(`(?m)^  (\w+(?:Token|Key)): \{`).FindAllStringSubmatch(sources(t)["credentials.js"], -1)
	kinds := make([]string, len(asked))
	for i := range asked {
		kinds[i] = asked[i][1]
	}
	slices.Sort(kinds)
	require.NotEmpty(t, kinds)
	require.Equal(t, slices.Sorted(maps.Keys(document.Components.SecuritySchemes)), kinds)
}

// TestPageIsSmall: it is sent as it is written.
func TestPageIsSmall(t *testing.T) {
	t.Parallel()

	size := 0
	for _, content := range sources(t) {
		size += len(content)
	}
	require.Less(t, size, 80_000)
}

func TestFrontLeadsToThePages(t *testing.T) {
	t.Parallel()

	answer := httptest.NewRecorder()
	docs.ServeFront(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	require.Equal(t, http.StatusOK, answer.Code)
	known := append(docs.NewPage().Paths(), "/openapi.json", "/console")
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(answer.Body.String(), -1)
	require.Len(t, links, 8)
	for _, link := range links {
		require.Contains(t, known, link[1])
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

	for _, path := range []string{"/", "/docs/nothing", "/docs/index.html", "/docs/front.html", "/docs/page/main.js", "/docs/../page.go", "/docs/embed.go"} {
		require.Equal(t, http.StatusNotFound, ask(t, http.MethodGet, path).Code, path)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		got := ask(t, method, "/docs")
		require.Equal(t, http.StatusMethodNotAllowed, got.Code, method)
		require.Equal(t, "GET, HEAD", got.Header().Get("Allow"), method)
	}
}
