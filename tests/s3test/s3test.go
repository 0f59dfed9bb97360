// Package s3test gives each test a place in a bucket: on the server that TEST_S3_URL
// names as BACKUP_URL does, with TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY, else on a
// server within the process.
package s3test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

const (
	bucketName   = "bucket"
	insideAccess = "access"
	insideSecret = "the-key-of-the-bucket"
)

// Fault may answer a request instead of the server, which it reports. It may also change
// the request.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Bucket is a place in a bucket that no other test uses.
type Bucket struct {
	// URL, Access and Secret are BACKUP_URL and its keys.
	URL, Access, Secret string
	// Outside says that the server is the one that TEST_S3_URL names. The one within the
	// process checks no signature.
	Outside bool
	// Requests counts the requests.
	Requests atomic.Int64

	fault atomic.Pointer[Fault]
}

// Start returns an empty place. All requests pass through this process, where Fail can
// disturb them.
func Start(tb testing.TB) *Bucket {
	tb.Helper()
	b := &Bucket{Access: insideAccess, Secret: insideSecret}
	place := &url.URL{Scheme: "s3", Host: bucketName}
	query := url.Values{"region": {"eu-central-1"}}
	var server http.Handler
	if given := os.Getenv("TEST_S3_URL"); given == "" {
		server = inside(tb)
	} else {
		var err error
		if place, err = url.Parse(given); err != nil {
			tb.Fatalf("TEST_S3_URL: %v", err)
		}
		query, b.Outside = place.Query(), true
		server = outside(tb, query.Get("endpoint"))
		b.Access, b.Secret = os.Getenv("TEST_S3_ACCESS_KEY"), os.Getenv("TEST_S3_SECRET_KEY")
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.Requests.Add(1)
		if fault := b.fault.Load(); fault == nil || !(*fault)(w, r) {
			server.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(front.Close)
	query.Set("endpoint", front.URL)
	place.Path = path.Join("/", place.Path, "test-"+strings.ToLower(rand.Text()))
	place.RawQuery = query.Encode()
	b.URL = place.String()
	return b
}

// Fail lets fault answer from now on; nil lets the server answer.
func (b *Bucket) Fail(fault Fault) {
	if fault == nil {
		b.fault.Store(nil)
		return
	}
	b.fault.Store(&fault)
}

// inside is a server within the process.
func inside(tb testing.TB) http.Handler {
	tb.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(bucketName); err != nil {
		tb.Fatalf("make the bucket: %v", err)
	}
	return gofakes3.New(backend).Server()
}

// outside hands requests on to a server as they are: their signatures hold for the host
// that the client named.
func outside(tb testing.TB, endpoint string) http.Handler {
	tb.Helper()
	target, err := url.Parse(endpoint)
	if err != nil || target.Host == "" {
		tb.Fatal("TEST_S3_URL: its endpoint must be a URL, such as http://127.0.0.1:7070")
	}
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
}
