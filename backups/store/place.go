package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Place is where a Store is, as a URL says it: a folder, or a bucket of a server that
// speaks the protocol of S3. The zero value is none.
type Place struct {
	Folder string

	Bucket   string
	Prefix   string // of all names in the bucket; may be empty
	Endpoint string // host or host:port
	Region   string
	Insecure bool // whether the server speaks HTTP without TLS
}

const (
	defaultEndpoint = "s3.amazonaws.com"
	defaultRegion   = "us-east-1"
)

var errPlace = errors.New("must be file:// and the absolute path of a folder, such as file:///var/backups/multitenant, " +
	"or s3://bucket/prefix?endpoint=…&region=…")

// ParseURL reads a Place. Its errors repeat nothing of the text.
func ParseURL(text string) (Place, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.User != nil || parsed.Fragment != "":
		return Place{}, errPlace
	case parsed.Scheme == "s3":
		return parseBucket(parsed)
	case parsed.Scheme == "file" && parsed.Host == "" && strings.HasPrefix(parsed.Path, "/") && parsed.RawQuery == "":
		return Place{Folder: filepath.FromSlash(parsed.Path)}, nil
	}
	return Place{}, errPlace
}

func parseBucket(parsed *url.URL) (Place, error) {
	place := Place{
		Bucket: parsed.Host, Prefix: strings.Trim(parsed.Path, "/"), Endpoint: defaultEndpoint, Region: defaultRegion,
	}
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(place.Bucket) {
		return Place{}, errors.New("must name a bucket of 3 to 63 lower-case letters, digits, dots and dashes")
	}
	if place.Prefix != "" && path.Clean("/"+place.Prefix) != "/"+place.Prefix {
		return Place{}, errors.New("must have a prefix without empty, . and .. parts")
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return Place{}, errPlace
	}
	for name, values := range query {
		switch {
		case len(values) > 1 || values[0] == "":
			return Place{}, errors.New("must have one endpoint and one region at most, which are not empty")
		case name == "region":
			place.Region = values[0]
		case name == "endpoint":
			place.Endpoint, place.Insecure = strings.CutPrefix(values[0], "http://")
			place.Endpoint = strings.TrimPrefix(place.Endpoint, "https://")
		default:
			return Place{}, errors.New("may have endpoint and region after the question mark, and nothing else")
		}
	}
	if !regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?$`).MatchString(place.Endpoint) {
		return Place{}, errors.New("must have an endpoint such as s3.example.com, or http://127.0.0.1:9000 for one without TLS")
	}
	return place, nil
}

// IsNone reports whether there is no place.
func (p Place) IsNone() bool { return p == Place{} }

// IsRemote reports whether it is a bucket. Those who run its server can read it.
func (p Place) IsRemote() bool { return p.Bucket != "" }

// Keys are the credentials for a bucket.
type Keys struct{ Access, Secret string }

// Open opens the store in a place. A missing folder is made if create is set. Nothing is
// asked of a server yet.
func Open(place Place, keys Keys, create bool) (Store, error) {
	if place.IsRemote() {
		return openS3(place, keys)
	}
	return OpenFolder(place.Folder, create)
}

// Try finds out whether a store works, before something long would fail at its end: it
// keeps one byte, reads it and removes it again. The name of the object begins with
// folder and ends in suffix.
func Try(ctx context.Context, s Store, folder, suffix string) error {
	name := path.Join(folder, strings.ToLower(rand.Text())+suffix)
	if err := s.Put(ctx, name, func(w io.Writer) error { _, err := w.Write([]byte{'x'}); return err }); err != nil {
		return fmt.Errorf("try the store of backups: %w", err)
	}
	object, err := s.Open(ctx, name)
	if err == nil {
		var found []byte
		found, err = io.ReadAll(io.LimitReader(object, 2))
		if err = errors.Join(err, object.Close()); err == nil && string(found) != "x" {
			err = errors.New("one byte was kept, and another was read")
		}
	}
	if err = errors.Join(err, s.Remove(ctx, name)); err != nil {
		return fmt.Errorf("try the store of backups: %w", err)
	}
	return nil
}
