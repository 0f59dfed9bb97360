package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"multitenant/backups/store"
	"multitenant/tests/s3test"
)

// bucket is a place in a bucket, and the server that has it.
type bucket struct {
	store.Store
	*s3test.Bucket
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{Bucket: s3test.Start(t)}
	place, err := store.ParseURL(b.URL)
	require.NoError(t, err)
	b.Store, err = store.Open(place, store.Keys{Access: b.Access, Secret: b.Secret}, true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// answer answers as a server of S3 does.
func answer(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>It was refused.</Message></Error>")
	return true
}

func TestBucketKeepsObjects(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	require.NoError(t, store.Try(t.Context(), kept, "core", ".trial"))
	require.Empty(t, namesOf(t, kept, "."))
	require.NoError(t, kept.Put(t.Context(), "core/acme/1.json", text("one")))
	require.NoError(t, kept.Put(t.Context(), "core/acme/1.tar", text("")))
	require.NoError(t, kept.Put(t.Context(), "core/0.json", text("three")))
	require.NoError(t, kept.Put(t.Context(), "core/acmeplus/1.json", text("four")))

	require.Equal(t, []string{"core/0.json", "core/acme/1.json", "core/acme/1.tar", "core/acmeplus/1.json"}, namesOf(t, kept, "."))
	require.Equal(t, []string{"core/acme/1.json", "core/acme/1.tar"}, namesOf(t, kept, "core/acme"))
	require.Empty(t, namesOf(t, kept, "other"))
	require.Equal(t, "one", read(t, kept, "core/acme/1.json"))
	require.Empty(t, read(t, kept, "core/acme/1.tar"))
	require.ErrorIs(t, kept.Put(t.Context(), "core/0.json", text("second")), fs.ErrExist)
	require.Equal(t, "three", read(t, kept, "core/0.json"))
	for range 2 {
		require.NoError(t, kept.Remove(t.Context(), "core/0.json"))
	}
	_, err := kept.Open(t.Context(), "core/0.json")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// large writes as an archive is written: in pieces, without saying how much will come.
func large(size int) func(io.Writer) error {
	return func(w io.Writer) error {
		piece := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
		for size > 0 {
			n, err := w.Write(piece[:min(size, len(piece))])
			if err != nil {
				return err
			}
			size -= n
		}
		return nil
	}
}

// An object of several parts is what was written.
func TestBucketKeepsLargeObjects(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	for _, size := range []int{5 << 20, 5<<20 + 1, 65<<20 + 7} {
		name := "core/" + time.Duration(size).String()
		require.NoError(t, kept.Put(t.Context(), name, large(size)))
		want, found := sha256.New(), sha256.New()
		require.NoError(t, large(size)(want))
		object, err := kept.Open(t.Context(), name)
		require.NoError(t, err)
		_, err = io.Copy(found, object)
		require.NoError(t, errors.Join(err, object.Close()))
		require.Equal(t, want.Sum(nil), found.Sum(nil), size)
	}
}

// An upload that is given up in the middle leaves no object and no parts.
func TestBucketKeepsNothingByHalves(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	broken := errors.New("broken")
	for _, size := range []int{3, 6 << 20} {
		err := kept.Put(t.Context(), "core/1", func(w io.Writer) error { return errors.Join(large(size)(w), broken) })
		require.ErrorIs(t, err, broken)
		ended, cancel := context.WithCancel(t.Context())
		err = kept.Put(ended, "core/1", func(w io.Writer) error { defer cancel(); return large(size)(w) })
		if err == nil { // it had all been sent
			require.NoError(t, kept.Remove(t.Context(), "core/1"))
		}
	}
	require.Empty(t, namesOf(t, kept, "."))

	// What a dead process leaves is found, and removed.
	kept.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && answer(w, http.StatusForbidden, "AccessDenied") || r.Method == http.MethodPut &&
			answer(w, http.StatusForbidden, "AccessDenied")
	})
	require.ErrorContains(t, kept.Put(t.Context(), "core/2", large(6<<20)), "AccessDenied")
	kept.Fail(nil)
	left, err := kept.List(t.Context(), "core")
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, "core/2", left[0].Name)
	require.True(t, left[0].Unfinished)
	require.NoError(t, kept.Remove(t.Context(), "core/2"))
	require.Empty(t, namesOf(t, kept, "."))
}

// A server that fails now and then, or is slow, is asked again; one that goes on failing
// is an error with its answer, and without a secret.
func TestBucketOnABadDay(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	kept.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if kept.Requests.Load()%2 == 0 {
			return answer(w, http.StatusServiceUnavailable, "SlowDown")
		}
		<-time.After(20 * time.Millisecond)
		return false
	})
	require.NoError(t, kept.Put(t.Context(), "core/1", large(6<<20)))
	require.NoError(t, kept.Put(t.Context(), "core/2", text("two")))
	require.Equal(t, "two", read(t, kept, "core/2"))

	for code, status := range map[string]int{
		"SlowDown": 503, "SignatureDoesNotMatch": 403, "InvalidAccessKeyId": 403, "NoSuchBucket": 404, "AccountProblem": 403,
	} {
		kept.Fail(func(w http.ResponseWriter, r *http.Request) bool {
			return (code != "NoSuchBucket" || r.Method != http.MethodHead) && answer(w, status, code)
		})
		err := store.Try(t.Context(), kept, "core", ".trial")
		require.ErrorContains(t, err, "try the store of backups", code)
		require.NotErrorIs(t, err, fs.ErrNotExist, code)
		require.NotContains(t, err.Error(), kept.Secret)
		_, err = kept.List(t.Context(), ".")
		require.ErrorContains(t, err, code)
	}
}

// Another key and another bucket are refused, and the error says which.
func TestBucketRefuses(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	if !kept.Outside {
		t.Skip("TEST_S3_URL names no server, and the one within the process checks no signature")
	}
	require.NoError(t, kept.Put(t.Context(), "core/1", text("one")))
	place, err := store.ParseURL(kept.URL)
	require.NoError(t, err)
	other := place
	other.Bucket = "no-such-bucket"
	for _, refused := range []struct {
		place store.Place
		keys  store.Keys
		code  string
	}{
		{place, store.Keys{Access: kept.Access, Secret: "another"}, "SignatureDoesNotMatch"},
		{place, store.Keys{Access: "another", Secret: kept.Secret}, "InvalidAccessKeyId|UserNotFound"},
		{other, store.Keys{Access: kept.Access, Secret: kept.Secret}, "NoSuchBucket"},
	} {
		stranger, err := store.Open(refused.place, refused.keys, true)
		require.NoError(t, err)
		require.ErrorContains(t, store.Try(t.Context(), stranger, "core", ".trial"), "try the store of backups")
		_, err = stranger.List(t.Context(), ".")
		require.Regexp(t, refused.code, err)
		_, err = stranger.Open(t.Context(), "core/1")
		require.Regexp(t, refused.code, err)
		require.NotErrorIs(t, err, fs.ErrNotExist)
		require.NoError(t, stranger.Close())
	}
	require.Equal(t, []string{"core/1"}, namesOf(t, kept, "."))
}

// A connection that breaks off in the middle is an error, or another attempt, and never
// half an object.
func TestBucketCutOffInTheMiddle(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	require.NoError(t, kept.Put(t.Context(), "core/1", large(1<<20)))
	kept.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Length", "1048576")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = w.Write(make([]byte, 1000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	object, err := kept.Open(t.Context(), "core/1")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, object)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, object.Close())

	cut := 0
	kept.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && cut < 2 {
			cut++
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	require.NoError(t, kept.Put(t.Context(), "core/2", large(1<<20)))
	kept.Fail(nil)
	require.Len(t, read(t, kept, "core/2"), 1<<20)
}

// A list is whole, though a server shows a thousand objects at a time.
func TestBucketListsInPages(t *testing.T) {
	t.Parallel()
	kept := newBucket(t)
	names := make([]string, 1001)
	for i := range names {
		names[i] = fmt.Sprintf("core/%04d", i)
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for _, name := range names {
		group.Go(func() error { return kept.Put(ctx, name, text("x")) })
	}
	require.NoError(t, group.Wait())
	before := kept.Requests.Load()
	require.Equal(t, names, namesOf(t, kept, "."))
	require.GreaterOrEqual(t, kept.Requests.Load()-before, int64(3)) // two pages, and the uploads
}
