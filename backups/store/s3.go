package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// smallBytes is the size up to which an object is sent at once, and partBytes that of
	// the parts of a larger one, of which the protocol allows 10,000: 625 GiB in all. One
	// part is in memory at a time.
	smallBytes  = 5 << 20
	partBytes   = 64 << 20
	maxAttempts = 5 // of one request
)

// s3 is a Store in a bucket.
type s3 struct {
	client *minio.Core
	pool   *http.Transport
	bucket string
	prefix string
}

func openS3(place Place, keys Keys) (*s3, error) {
	pool, err := minio.DefaultTransport(!place.Insecure)
	if err != nil {
		return nil, fmt.Errorf("open the store of backups: %w", err)
	}
	pool.DialContext = dialRestless
	client, err := minio.NewCore(place.Endpoint, &minio.Options{
		Creds:      credentials.NewStaticV4(keys.Access, keys.Secret, ""),
		Secure:     !place.Insecure,
		Region:     place.Region, // so that nobody is asked for it
		Transport:  settled{pool},
		MaxRetries: maxAttempts,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store of backups: %w", err)
	}
	return &s3{client: client, pool: pool, bucket: place.Bucket, prefix: place.Prefix}, nil
}

func (s *s3) key(name string) string { return path.Join(s.prefix, name) }

// Put sends the object while it is written. The server shows it when all of it is there.
func (s *s3) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := s.put(ctx, name, write); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

func (s *s3) put(ctx context.Context, name string, write func(io.Writer) error) error {
	_, err := s.client.StatObject(ctx, s.bucket, s.key(name), minio.StatObjectOptions{})
	if err == nil {
		return fs.ErrExist
	}
	if err = explain(err); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	reader, writer := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := s.send(ctx, s.key(name), reader)
		_ = reader.CloseWithError(err) // it always returns nil
		sent <- err
	}()
	written := write(writer)
	_ = writer.CloseWithError(written) // it always returns nil
	failed := <-sent
	if failed == nil || written != nil && !errors.Is(written, failed) {
		return written
	}
	return explain(failed)
}

// send sends what it reads. Only then is it known how much it is.
func (s *s3) send(ctx context.Context, key string, content io.Reader) error {
	var start bytes.Buffer
	// The hash of the record is compared with what is read back. That of the library made
	// some servers keep its own framing as content.
	options := minio.PutObjectOptions{DisableContentSha256: true, PartSize: partBytes}
	size := int64(-1)
	switch n, err := io.CopyN(&start, content, smallBytes); {
	case errors.Is(err, io.EOF):
		size, content = n, bytes.NewReader(start.Bytes()) // which can be sent again
	case err != nil:
		return err
	default:
		content = io.MultiReader(&start, content)
	}
	_, err := s.client.Client.PutObject(ctx, s.bucket, key, content, size, options)
	return err
}

// Open begins to read an object.
func (s *s3) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	object, _, _, err := s.client.GetObject(ctx, s.bucket, s.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, explain(err))
	}
	return object, nil
}

// List asks for the objects and for the uploads that have not ended.
func (s *s3) List(ctx context.Context, folder string) ([]Object, error) {
	under := s.key(folder) + "/"
	if under == "./" {
		under = ""
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what fills the channels
	var found []Object
	add := func(key string, at time.Time, unfinished bool) {
		name := strings.TrimPrefix(strings.TrimPrefix(key, s.prefix), "/")
		found = append(found, Object{Name: name, At: at, Unfinished: unfinished})
	}
	for object := range s.client.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: under, Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list backups: %w", explain(object.Err))
		}
		add(object.Key, object.LastModified, false)
	}
	for upload := range s.client.ListIncompleteUploads(ctx, s.bucket, under, true) {
		if err := explain(upload.Err); errors.Is(err, fs.ErrNotExist) {
			break // some servers say so where there are none
		} else if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		add(upload.Key, upload.Initiated, true)
	}
	slices.SortStableFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return found, ctx.Err()
}

// Remove removes an object and ends its uploads, whose parts would be paid for.
func (s *s3) Remove(ctx context.Context, name string) error {
	err := s.client.RemoveObject(ctx, s.bucket, s.key(name), minio.RemoveObjectOptions{})
	if err == nil {
		err = s.client.RemoveIncompleteUpload(ctx, s.bucket, s.key(name))
	}
	if err = explain(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Close closes the connections.
func (s *s3) Close() error {
	s.pool.CloseIdleConnections()
	return nil
}

// explain gives an answer of the server its code, by which it can be looked up. A missing
// object is fs.ErrNotExist; a missing bucket is not.
func explain(err error) error {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	switch {
	case !ok:
		return err
	case answer.Code == minio.NoSuchKey, answer.Code == minio.NoSuchUpload:
		return fs.ErrNotExist
	}
	return fmt.Errorf("the server answered %d %s: %w", answer.StatusCode, answer.Code, err)
}
