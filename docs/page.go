package docs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"sync"
	"time"
)

// contentSecurityPolicy allows the page its own files and calls to its own server. No text
// becomes code or markup: there is no inline code, and trusted types refuse the rest.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

//go:embed page postman_collection.json postman_use.json postman_environment.json
var files embed.FS

// Page is the interactive documentation at /docs, and under /docs/ its scripts and styles
// and the Postman files. Its sources are served as they are written. It expects the
// document at /openapi.json.
type Page struct {
	names map[string]string // the files of the paths
}

// NewPage returns the page.
func NewPage() *Page {
	names := map[string]string{
		"/docs": "page/index.html", "/docs/": "page/index.html",
		"/docs/postman_collection.json":  "postman_collection.json",
		"/docs/postman_use.json":         "postman_use.json",
		"/docs/postman_environment.json": "postman_environment.json",
	}
	for _, name := range []string{
		"attempt.js", "credentials.js", "description.js", "dom.js", "main.js", "operation.js", "samples.js", "schema.js",
		"page.css", "icon.svg",
	} {
		names["/docs/"+name] = "page/" + name
	}
	return &Page{names: names}
}

// Paths returns every path that the page answers, in order, each for GET and
// HEAD. Give exactly these to the router: then it answers for all others, and
// for other methods, as it does everywhere.
func (p *Page) Paths() []string {
	return slices.Sorted(maps.Keys(p.names))
}

// ContentSecurityPolicy returns the policy that the page's answers carry.
func (p *Page) ContentSecurityPolicy() string {
	return contentSecurityPolicy
}

// ServeHTTP answers a request for one of the page's paths.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-cache") // keep it, but ask whether it is still the same
	serve(w, r, p.names[r.URL.Path])
}

// ServeFront answers with the small page that leads to the others. Its style is that of Page.
func ServeFront(w http.ResponseWriter, r *http.Request) {
	serve(w, r, "page/front.html")
}

// serve answers with a file. Its headers replace those that were set for answers of the API.
func serve(w http.ResponseWriter, r *http.Request, name string) {
	content, err := files.ReadFile(name)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Type", typeOf(name))
	header.Set("ETag", fingerprints()[name])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// fingerprints are those of all files, by their names. They are made when the first file is
// asked for, and do not depend on the machine.
var fingerprints = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	_ = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error { // embedded files can be read
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		sum := sha256.Sum256(content)
		all[name] = `"` + hex.EncodeToString(sum[:]) + `"`
		return err
	})
	return all
})

// typeOf does not ask the machine, which may know other types.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	default:
		return "text/javascript; charset=utf-8"
	}
}
