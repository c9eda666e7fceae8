package iceberg

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// remote is a warehouse in a bucket. What is written is durable when the server
// has acknowledged it, nobody sees a part of it, and a name that exists is refused.
type remote struct {
	b      objects.Bucket
	recent recent
}

func openRemote(ctx context.Context, warehouse string, cfg objects.Config) (*remote, error) {
	// Some engines take names of files as they stand, others as URLs; these are the same as both.
	if _, prefix, _ := objects.SplitS3(warehouse); (&url.URL{Path: "/" + prefix}).EscapedPath() != "/"+prefix {
		return nil, feature.Errorf(feature.Invalid, "iceberg.open", warehouse, "the prefix has characters that engines spell differently").
			WithHint("use letters, digits and - _ . / in offline.warehouse")
	}
	b, err := objects.Open(ctx, warehouse, cfg)
	if err != nil {
		return nil, err
	}
	return &remote{b: b}, nil
}

func (r *remote) root() string { return r.b.URL() }

func (r *remote) join(folder, rel string) string { return folder + "/" + rel }

// key: Hadoop's tools write s3a for s3.
func (r *remote) key(name string) string {
	if bucket, key, ok := objects.SplitS3(name); ok {
		return "s3://" + bucket + "/" + key
	}
	return name
}

func (r *remote) lockPath(string) string { return "" }

// rel is the name as a key of the bucket.
func (r *remote) rel(name string) (string, error) {
	if rel, ok := strings.CutPrefix(r.key(name), r.root()+"/"); ok {
		return rel, nil
	}
	return "", feature.Errorf(feature.Unsupported, "iceberg.open", name, "the file lies outside the warehouse %s", r.root()).
		WithHint("offline.warehouse must be the one that the tables were made in")
}

func (r *remote) read(ctx context.Context, name string) ([]byte, error) {
	key, err := r.rel(name)
	if err != nil {
		return nil, err
	}
	if b, ok := r.recent.get(key); ok {
		return b, nil
	}
	f, err := r.b.Open(ctx, key) // one request for all of a small file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if len(b) > 0 {
		if _, err := f.ReadAt(b, 0); err != nil {
			return nil, err
		}
	}
	r.recent.put(key, b)
	return b, nil
}

func (r *remote) open(ctx context.Context, name string) (offline.FileReader, error) {
	key, err := r.rel(name)
	if err != nil {
		return nil, err
	}
	f, err := r.b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r *remote) create(ctx context.Context, name string) (newFile, error) {
	key, err := r.rel(name)
	if err != nil {
		return nil, err
	}
	u, err := r.b.Create(ctx, key)
	if err != nil {
		return nil, err
	}
	return &remoteFile{Upload: u, r: r, key: key, keep: strings.HasSuffix(key, ".avro")}, nil
}

// remoteFile is a file being uploaded. Manifests and their lists are kept: the
// next commit reads them.
type remoteFile struct {
	objects.Upload
	r    *remote
	key  string
	keep bool
	all  []byte
}

func (f *remoteFile) Write(p []byte) (int, error) {
	if f.keep = f.keep && len(f.all)+len(p) <= recentFile; f.keep {
		f.all = append(f.all, p...)
	}
	return f.Upload.Write(p)
}

func (f *remoteFile) Close() error {
	err := f.Upload.Close()
	if err == nil && f.keep {
		f.r.recent.put(f.key, f.all)
	}
	return err
}

func (f *remoteFile) drop() { f.Abort() }

func (r *remote) put(ctx context.Context, name string, content []byte) error {
	key, err := r.rel(name)
	if err != nil {
		return err
	}
	return r.b.Put(ctx, key, content)
}

// settle has nothing to do: an object has its name with its content.
func (r *remote) settle(context.Context, string) error { return nil }

func (r *remote) list(ctx context.Context, folder string, f func(fileInfo) error) error {
	prefix, err := r.rel(folder + "/")
	if err != nil {
		return err
	}
	return r.b.List(ctx, prefix, func(o objects.Object) error {
		return f(fileInfo{name: r.join(r.root(), o.Key), size: o.Size, modified: o.Modified.UnixMicro()})
	})
}

func (r *remote) remove(ctx context.Context, names []string) error {
	keys := make([]string, len(names))
	for i, name := range names {
		key, err := r.rel(name)
		if err != nil {
			return err
		}
		keys[i] = key
		r.recent.drop(key)
	}
	return r.b.Delete(ctx, keys)
}

func (r *remote) abandoned(ctx context.Context, folder string, before time.Time) (int, error) {
	prefix, err := r.rel(folder + "/")
	if err != nil {
		return 0, err
	}
	return r.b.Abandoned(ctx, prefix, before)
}

func (r *remote) drop(ctx context.Context, folder string) error {
	var names []string
	err := r.list(ctx, folder, func(f fileInfo) error {
		names = append(names, f.name)
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.remove(ctx, names); err != nil {
		return err
	}
	_, err = r.abandoned(ctx, folder, time.Now().Add(time.Hour))
	return err
}
