package docs

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

// packed is an embedded file that is kept, and as a rule sent, compressed.
type packed struct {
	compressed file
	plain      func() (file, error) // for clients that do not read gzip
}

func newPacked(contentType string, compressed []byte) packed {
	return packed{
		compressed: newFile(contentType, compressed),
		plain: sync.OnceValues(func() (file, error) {
			content, err := unpack(compressed)
			return newFile(contentType, content), err
		}),
	}
}

func unpack(compressed []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

func (p packed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept-Encoding")
	if readsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		p.compressed.ServeHTTP(w, r)
		return
	}
	plain, err := p.plain()
	if err != nil { // the embedded file is broken, which a test would show
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	plain.ServeHTTP(w, r)
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
