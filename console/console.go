// Package console holds the console: a page in the browser that uses the API. Its
// sources are served as they are written. All of it is embedded, nothing is built and
// nothing is fetched from elsewhere.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// contentSecurityPolicy allows the page its own files and calls to its own server. No text
// becomes code or markup: there is no inline code, and trusted types refuse the rest. Forms
// are sent by scripts alone, so no password ends up in an address.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

const (
	root  = "/console"
	index = "app/index.html"
	// versionMark stands in the index where the version of the files belongs.
	versionMark = "{version}"
)

// The files of the console, and those of its libraries, which .ci/console-libraries brings here.
//
//go:embed app lib
var sources embed.FS

// packAll names the files and their versions when they are first asked for. They are the
// same for every router.
var packAll = sync.OnceValues(func() (*Page, error) { return pack(sources) })

// Page is the console: the index at /console, and all other files under /console/ and the
// version of them all. So a browser may keep a file for ever, and asks for the index alone.
type Page struct {
	files map[string]*file
}

// NewPage returns the page.
func NewPage() (*Page, error) {
	return packAll()
}

// Has reports whether the page has a file at the path.
func (p *Page) Has(at string) bool {
	_, found := p.files[at]
	return found
}

// Size returns the number of bytes of all files together, as they are sent compressed.
func (p *Page) Size() (size int, err error) {
	for at, file := range p.files {
		if at == root+"/" { // the index again
			continue
		}
		compressed, err := file.compressed()
		if err != nil {
			return 0, err
		}
		size += len(compressed)
	}
	return size, nil
}

// ServeHTTP answers GET and HEAD of a path that the page has. Its headers replace those that
// were set for answers of the API.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, found := p.files[r.URL.Path]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", file.caching)
	file.ServeHTTP(w, r)
}

// pack reads all files and gives them their paths.
func pack(from fs.FS) (*Page, error) {
	contents, sum := map[string][]byte{}, sha256.New()
	err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		sum.Write(append([]byte(name+"\n"), content...)) // a hash never fails
		contents[name] = content
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the console: %w", err)
	}
	version := hex.EncodeToString(sum.Sum(nil)[:8])
	page := &Page{files: map[string]*file{}}
	for name, content := range contents {
		page.add(name, version, content)
	}
	return page, nil
}

func (p *Page) add(name, version string, content []byte) {
	if name != index {
		packed := newFile(name, content)
		packed.caching = "public, max-age=31536000, immutable"
		p.files[path.Join(root, version, name)] = packed
		return
	}
	packed := newFile(name, bytes.ReplaceAll(content, []byte(versionMark), []byte(version)))
	packed.caching = "no-cache" // keep it, but ask whether it is still the same
	p.files[root], p.files[root+"/"] = packed, packed
}

// file is an embedded file, plain and, once a client has asked for that, compressed.
type file struct {
	contentType, caching string

	etag       string // of the plain form; the compressed one has a suffix
	plain      []byte
	compressed func() ([]byte, error)
}

func newFile(name string, content []byte) *file {
	sum := sha256.Sum256(content)
	return &file{
		contentType: typeOf(name), etag: hex.EncodeToString(sum[:]), plain: content,
		// No start waits for it.
		compressed: sync.OnceValues(func() ([]byte, error) { return compress(content) }),
	}
}

func compress(content []byte) ([]byte, error) {
	var into bytes.Buffer
	writer, err := gzip.NewWriterLevel(&into, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	err = writer.Close()
	return into.Bytes(), err
}

// typeOf does not ask the machine, which may know other types.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default: // licences
		return "text/plain; charset=utf-8"
	}
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, etag := f.plain, f.etag
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Vary", "Accept-Encoding")
	if readsGzip(r) {
		compressed, err := f.compressed()
		if err == nil { // else the plain form is never wrong
			content, etag = compressed, f.etag+"-gzip"
			w.Header().Set("Content-Encoding", "gzip")
		}
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// readsGzip is true when the client lists gzip without a weight, as browsers do. Others
// get the plain file, which is never wrong.
func readsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return true
		}
	}
	return false
}
