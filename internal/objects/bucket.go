package objects

import (
	"context"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Bucket is the objects of a bucket, or of a local folder, below a prefix. Keys
// are relative to it, with slashes and without one at the beginning. All methods may be called in parallel.
type Bucket interface {
	// URL names the bucket and the prefix, without a slash at the end: s3://bucket/prefix.
	URL() string
	// List calls f for every object whose key begins with prefix, in the order of
	// their keys. It ends at the first error of f, with it.
	List(ctx context.Context, prefix string, f func(Object) error) error
	// Stat describes an object.
	Stat(ctx context.Context, key string) (Object, error)
	// Get reads a whole object as a stream, which goes on by itself after a broken
	// connection; Conflict where the object is replaced meanwhile.
	Get(ctx context.Context, key string) (io.ReadCloser, Object, error)
	// Open opens an object to be read here and there; see File. Its reads end with ctx.
	Open(ctx context.Context, key string) (*File, error)
	// Put writes a whole object that must not exist; a Conflict where it does.
	Put(ctx context.Context, key string, content []byte) error
	// Replace writes a whole object, whether it exists or not.
	Replace(ctx context.Context, key string, content []byte) error
	// Create starts an object that must not exist and is written as a stream.
	Create(ctx context.Context, key string) (Upload, error)
	// Delete removes objects; those that are not there are no error. It goes on
	// after a fault and returns them joined.
	Delete(ctx context.Context, keys []string) error
	// Abandoned removes what uploads begun before a time have left that were never
	// closed nor aborted, below prefix, and returns how many they were.
	Abandoned(ctx context.Context, prefix string, before time.Time) (int, error)
}

// Object describes one object.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time
	// ETag changes with the content: the server's for a bucket, made of size and
	// time of change for a folder.
	ETag string
}

// Upload is an object being written. Nobody sees it before Close returns nil.
type Upload interface {
	io.Writer
	// Close completes the object; Conflict where one of its name exists. After an error it is aborted.
	Close() error
	// Abort throws away what was written; no effect after Close.
	Abort()
}

// Open opens a bucket (s3://bucket/prefix) or a folder (a path, file:///path) and
// looks whether it can be reached; a folder need not exist.
func Open(ctx context.Context, name string, cfg Config) (Bucket, error) {
	if !IsS3(name) {
		return openFolder(name)
	}
	bucket, prefix, err := splitS3(name)
	if err != nil {
		return nil, err
	}
	return openS3(ctx, bucket, prefix, cfg)
}

// IsS3 tells a bucket's name from a path.
func IsS3(name string) bool {
	for _, scheme := range []string{"s3://", "s3a://", "s3n://"} {
		if strings.HasPrefix(name, scheme) {
			return true
		}
	}
	return false
}

// SplitS3 takes s3://bucket/key apart; also as s3a and s3n, which Hadoop's tools
// write. The key is taken as it stands: nothing in it is an escape.
func SplitS3(name string) (bucket, key string, ok bool) {
	if !IsS3(name) {
		return "", "", false
	}
	_, rest, _ := strings.Cut(name, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, bucket != ""
}

func splitS3(name string) (bucket, prefix string, err error) {
	bucket, prefix, ok := SplitS3(name)
	if !ok || strings.ContainsAny(bucket, "@:?#") {
		if u, err := url.Parse(name); err == nil {
			name = u.Redacted()
		}
		return "", "", feature.Errorf(feature.Invalid, "objects.open", name, "not the name of a bucket").
			WithHint("write s3://bucket/prefix; keys and endpoint are settings: s3.access_key_id, s3.secret_access_key, s3.endpoint")
	}
	return bucket, strings.Trim(prefix, "/"), nil
}
