package console_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/console"
	"multitenant/docs"
)

// maxSize bounds the bytes that a browser loads.
const maxSize = 150_000

func newPage(t *testing.T) *console.Page {
	t.Helper()
	page, err := console.NewPage()
	require.NoError(t, err)
	return page
}

func ask(t *testing.T, method, at string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, at, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	answer.Header().Set("Cache-Control", "no-store") // as the API sets it
	newPage(t).ServeHTTP(answer, request)
	return answer
}

// versioned returns the beginning of the paths of all files but the index.
func versioned(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`src="(/console/[0-9a-f]{16}/)app/main\.js"`).FindStringSubmatch(ask(t, http.MethodGet, "/console").Body.String())
	require.Len(t, found, 2)
	return found[1]
}

// files returns the sources by their paths below the package.
func files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, folder := range []string{"app", "lib"} {
		require.NoError(t, filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			found[filepath.ToSlash(name)] = string(content)
			return err
		}))
	}
	return found
}

func TestConsoleServesItsFiles(t *testing.T) {
	t.Parallel()

	types := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
		".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
		"": "text/plain; charset=utf-8", ".txt": "text/plain; charset=utf-8",
	}
	prefix := versioned(t)
	for name, content := range files(t) {
		at, caching := prefix+name, "public, max-age=31536000, immutable"
		if name == "app/index.html" {
			at, caching, content = "/console", "no-cache", strings.ReplaceAll(content, "{version}", path.Base(prefix))
		}
		require.True(t, newPage(t).Has(at), at)
		answer := ask(t, http.MethodGet, at)
		require.Equal(t, http.StatusOK, answer.Code, at)
		require.Equal(t, content, answer.Body.String(), at)
		require.Equal(t, []string{types[path.Ext(name)]}, answer.Header()["Content-Type"], at)
		require.Equal(t, []string{caching}, answer.Header()["Cache-Control"], at)
		require.Equal(t, "nosniff", answer.Header().Get("X-Content-Type-Options"), at)
		require.Equal(t, "no-referrer", answer.Header().Get("Referrer-Policy"), at)
		require.Empty(t, ask(t, http.MethodHead, at).Body.Bytes(), at)
	}
}

func TestConsoleServesNothingElse(t *testing.T) {
	t.Parallel()

	prefix := versioned(t)
	for _, at := range []string{
		"/", "/console/app/main.js", "/console/0000000000000000/app/main.js", prefix, prefix + "app", prefix + "app/index.html",
		prefix + "app/../app/main.js", prefix + "console.go", prefix + "console_test.go",
	} {
		require.False(t, newPage(t).Has(at), at)
		require.Equal(t, http.StatusNotFound, ask(t, http.MethodGet, at).Code, at)
	}
}

func TestConsoleIsSentCompressedAndKept(t *testing.T) {
	t.Parallel()

	for _, at := range []string{"/console", "/console/", versioned(t) + "app/main.js"} {
		plain := ask(t, http.MethodGet, at, "Accept-Encoding", "br, gzip;q=0")
		packed := ask(t, http.MethodGet, at, "Accept-Encoding", "br, gzip")
		require.Empty(t, plain.Header().Get("Content-Encoding"), at)
		require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"), at)
		reader, err := gzip.NewReader(bytes.NewReader(packed.Body.Bytes()))
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(content), at)

		require.NotEqual(t, plain.Header().Get("ETag"), packed.Header().Get("ETag"), at)
		for _, answer := range []*httptest.ResponseRecorder{plain, packed} {
			require.Equal(t, "Accept-Encoding", answer.Header().Get("Vary"), at)
		}
		again := ask(t, http.MethodGet, at, "Accept-Encoding", "gzip", "If-None-Match", packed.Header().Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.Code, at)
		require.Empty(t, again.Body.Bytes(), at)
	}
}

func TestConsoleIsSmall(t *testing.T) {
	t.Parallel()

	size, err := newPage(t).Size()
	require.NoError(t, err)
	require.Positive(t, size)
	require.LessOrEqual(t, size, maxSize)
}

// TestConsoleTakesNoTextForCode: the policy forbids it, and the sources do not try.
func TestConsoleTakesNoTextForCode(t *testing.T) {
	t.Parallel()

	policy := ask(t, http.MethodGet, "/console").Header().Get("Content-Security-Policy")
	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "+
		"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'", policy)
	dangerous := regexp.MustCompile(`(?i)<script>|<script [^>]*>[^<]|<style|\sstyle=|\son[a-z]+="|javascript:|dangerouslySetInnerHTML|` +
		`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)
	for name, content := range files(t) {
		if strings.HasPrefix(name, "app/") {
			require.NotRegexp(t, dangerous, content, name)
			require.NotRegexp(t, `https?://`, strings.ReplaceAll(content, "http://www.w3.org/2000/svg", ""), "%s reaches out", name)
		}
	}
}

// TestConsoleLoadsOnlyWhatItServes: every import and link leads to a file.
func TestConsoleLoadsOnlyWhatItServes(t *testing.T) {
	t.Parallel()

	all, count := files(t), 0
	imports := regexp.MustCompile(`(?m)^(?:import|export|\}).* from '([^']+)'`)
	for name, content := range all {
		for _, found := range imports.FindAllStringSubmatch(content, -1) {
			require.Contains(t, all, path.Join(path.Dir(name), found[1]), "%s imports %s", name, found[1])
			count++
		}
	}
	require.Greater(t, count, 50)
	for _, found := range regexp.MustCompile(`(?:src|href)="/console/\{version\}/([^"]*)"`).FindAllStringSubmatch(all["app/index.html"], -1) {
		require.Contains(t, all, found[1])
	}
}

// TestConsoleKeepsOnlyItsSession: one module stores anything, the refresh token and whose it
// is, and removes it when the session ends.
func TestConsoleKeepsOnlyItsSession(t *testing.T) {
	t.Parallel()

	all := files(t)
	sessions := all["app/sessions.js"]
	delete(all, "app/sessions.js")
	for name, content := range all {
		require.NotRegexp(t, `localStorage|sessionStorage|indexedDB|document\.cookie|caches\.`, content, name)
	}
	require.Equal(t, 1, strings.Count(sessions, "setItem("))
	require.Contains(t, sessions, "JSON.stringify({ ...about, refresh: tokens.refresh_token })")
	require.Contains(t, sessions, "removeItem(")
}

// TestLibrariesAreListed: each with its version, which is the one that is installed, and its
// licence, which is there.
func TestLibrariesAreListed(t *testing.T) {
	t.Parallel()

	all := files(t)
	installed, err := os.ReadFile("../.ci/install")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(all["lib/versions.txt"]), "\n")
	delete(all, "lib/versions.txt")
	listed := map[string]bool{}
	for _, line := range lines {
		fields := strings.Fields(line)
		require.Len(t, fields, 5, line)
		name, library, version, licence, hash := "lib/"+fields[0], fields[1], fields[2], fields[3], fields[4]
		sum := sha256.Sum256([]byte(all[name]))
		require.Equal(t, hash, hex.EncodeToString(sum[:]), name)
		require.Contains(t, string(installed), "\n"+library+"="+version+"\n", name)
		require.Contains(t, []string{"MIT", "Apache-2.0"}, licence, name)
		require.Contains(t, all, path.Join("lib", strings.Split(fields[0], "/")[0], "LICENSE"), name)
		listed[name] = true
	}
	for name := range all {
		require.True(t, listed[name] || strings.HasPrefix(name, "app/"), "%s is not listed", name)
	}
}

// TestConsoleKnowsTheActions: the filter of the audit trail offers those of the API, in its order.
func TestConsoleKnowsTheActions(t *testing.T) {
	t.Parallel()

	raw, err := docs.OpenAPI()
	require.NoError(t, err)
	var document struct {
		Components struct {
			Schemas map[string]struct{ Enum []string }
		}
	}
	require.NoError(t, json.Unmarshal(raw, &document))
	_, list, found := strings.Cut(files(t)["app/pages/own.js"], "const actions = [")
	require.True(t, found)
	list, _, _ = strings.Cut(list, "]")
	names := regexp.MustCompile(`'([a-z_.]+)'`).FindAllStringSubmatch(list, -1)
	known := make([]string, len(names))
	for i, name := range names {
		known[i] = name[1]
	}
	require.Equal(t, document.Components.Schemas["Action"].Enum, known)
}
