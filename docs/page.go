package docs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"time"
)

// contentSecurityPolicy allows the page its own files and calls to its own
// server. It holds no inline code, so neither 'unsafe-inline' nor a hash is
// needed. The icons of Swagger UI are data: URLs.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed page/index.html
var indexHTML []byte

//go:embed page/page.css
var pageCSS []byte

//go:embed page/page.js
var pageJS []byte

// Swagger UI as its npm package has it. .ci/swagger-ui brings the files here and
// compares them.
var (
	//go:embed page/swagger-ui/swagger-ui-bundle.js.gz
	swaggerUIBundle []byte
	//go:embed page/swagger-ui/swagger-ui.css.gz
	swaggerUICSS []byte
	//go:embed page/swagger-ui/favicon-32x32.png
	favicon []byte
)

// Page is the interactive documentation: Swagger UI at /docs, and under /docs/
// its scripts and styles and the Postman files. It expects the document at
// /openapi.json.
type Page struct {
	files map[string]http.Handler
}

// NewPage returns the page.
func NewPage() *Page {
	index := newFile("text/html; charset=utf-8", indexHTML)
	return &Page{files: map[string]http.Handler{
		"/docs":                          index,
		"/docs/":                         index,
		"/docs/page.css":                 newFile("text/css; charset=utf-8", pageCSS),
		"/docs/page.js":                  newFile("text/javascript; charset=utf-8", pageJS),
		"/docs/postman_collection.json":  newFile("application/json", postmanCollection),
		"/docs/postman_use.json":         newFile("application/json", postmanUse),
		"/docs/postman_environment.json": newFile("application/json", postmanEnvironment),
		"/docs/swagger-ui.css":           newPacked("text/css; charset=utf-8", swaggerUICSS),
		"/docs/swagger-ui-bundle.js":     newPacked("text/javascript; charset=utf-8", swaggerUIBundle),
		"/docs/favicon-32x32.png":        newFile("image/png", favicon),
	}}
}

// Paths returns every path that the page answers, in order, each for GET and
// HEAD. Give exactly these to the router: then it answers for all others, and
// for other methods, as it does everywhere.
func (p *Page) Paths() []string {
	return slices.Sorted(maps.Keys(p.files))
}

// ContentSecurityPolicy returns the policy that the page's answers carry.
func (p *Page) ContentSecurityPolicy() string {
	return contentSecurityPolicy
}

// ServeHTTP answers a request for one of the page's paths. Its headers replace
// those that were set for answers of the API.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, found := p.files[r.URL.Path]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Security-Policy", contentSecurityPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache") // keep it, but ask whether it is still the same
	file.ServeHTTP(w, r)
}

// file is an embedded file with a type and a fingerprint of its own, neither of
// which depends on the machine that serves it.
type file struct {
	contentType string
	etag        string
	content     []byte
}

func newFile(contentType string, content []byte) file {
	sum := sha256.Sum256(content)
	return file{contentType: contentType, etag: `"` + hex.EncodeToString(sum[:]) + `"`, content: content}
}

func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
