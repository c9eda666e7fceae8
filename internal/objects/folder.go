package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// folder is a Bucket of a local folder. What is being written has a name that List does not show.
type folder struct{ dir string }

// partSuffix ends the names of files that are being written.
const partSuffix = ".weir-part"

func openFolder(name string) (*folder, error) {
	path := name
	if rest, ok := strings.CutPrefix(name, "file:"); ok {
		path = rest
		if u, err := url.Parse(name); err == nil {
			path = u.Path
		}
	}
	dir, err := filepath.Abs(filepath.FromSlash(path))
	if path == "" || err != nil {
		return nil, feature.Errorf(feature.Invalid, "objects.open", name, "not the name of a folder")
	}
	return &folder{dir}, nil
}

func (d *folder) URL() string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(d.dir)}).String()
}

func (d *folder) path(key string) (string, error) {
	local := filepath.FromSlash(key)
	if !filepath.IsLocal(local) {
		return "", feature.Errorf(feature.Invalid, "objects", key, "the name leads out of the folder %s", d.dir)
	}
	return filepath.Join(d.dir, local), nil
}

func (d *folder) fault(op, path string, err error) error {
	kind, hint := feature.Unavailable, "look at the disk and at the rights of the folder"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		kind, hint = feature.NotFound, ""
	case errors.Is(err, fs.ErrExist):
		kind, hint = feature.Conflict, ""
	case errors.Is(err, fs.ErrPermission):
		kind, hint = feature.Unauthorized, "look at the rights of the file and its folder"
	}
	return feature.Errorf(kind, "objects."+op, path, "%w", err).WithHint("%s", hint)
}

func object(key string, st fs.FileInfo) Object {
	return Object{Key: key, Size: st.Size(), Modified: st.ModTime(), ETag: fmt.Sprintf("%d-%d", st.Size(), st.ModTime().UnixNano())}
}

func (d *folder) List(ctx context.Context, prefix string, f func(Object) error) error {
	var found []Object
	top, _ := filepath.Split(filepath.Join(d.dir, filepath.FromSlash(prefix)+"x"))
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && (e.IsDir() || strings.HasSuffix(path, partSuffix)) {
			return nil
		}
		if err != nil {
			return d.fault("list", path, err)
		}
		rel, err := filepath.Rel(d.dir, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		st, err := os.Stat(path) // through a link, as reading goes
		if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular() {
			return nil
		}
		if err != nil {
			return d.fault("list", path, err)
		}
		found = append(found, object(key, st))
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	for _, o := range found {
		if err := f(o); err != nil {
			return err
		}
	}
	return nil
}

func (d *folder) Stat(_ context.Context, key string) (Object, error) {
	path, err := d.path(key)
	if err != nil {
		return Object{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return Object{}, d.fault("stat", path, err)
	}
	return object(key, st), nil
}

func (d *folder) open(key string) (*os.File, Object, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, Object{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Object{}, d.fault("open", path, err)
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, Object{}, d.fault("open", path, err)
	}
	return f, object(key, st), nil
}

func (d *folder) Get(_ context.Context, key string) (io.ReadCloser, Object, error) {
	f, o, err := d.open(key)
	if err != nil {
		return nil, o, err
	}
	return f, o, nil
}

func (d *folder) Open(ctx context.Context, key string) (*File, error) {
	f, o, err := d.open(key)
	if err != nil {
		return nil, err
	}
	return &File{ctx: ctx, o: o, local: f}, nil
}

func (d *folder) Put(ctx context.Context, key string, content []byte) error {
	return d.whole(ctx, key, content, false)
}

func (d *folder) Replace(ctx context.Context, key string, content []byte) error {
	return d.whole(ctx, key, content, true)
}

func (d *folder) whole(_ context.Context, key string, content []byte, replace bool) error {
	u, err := d.create(key)
	if err != nil {
		return err
	}
	u.replace = replace
	_, err = u.Write(content)
	return errors.Join(err, u.Close())
}

func (d *folder) Create(_ context.Context, key string) (Upload, error) { return d.create(key) }

func (d *folder) create(key string) (*localUpload, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, d.fault("create", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+partSuffix)
	if err != nil {
		return nil, d.fault("create", path, err)
	}
	return &localUpload{d: d, f: f, path: path}, nil
}

// localUpload becomes visible by a link to its name.
type localUpload struct {
	d       *folder
	f       *os.File
	path    string
	replace bool
	failed  error
	closed  bool
}

func (u *localUpload) Write(p []byte) (n int, err error) {
	if n, err = u.f.Write(p); err != nil {
		u.failed = u.d.fault("write", u.path, err)
		return n, u.failed
	}
	return n, nil
}

func (u *localUpload) Close() error {
	if u.closed {
		return errors.New("objects: an upload is closed twice")
	}
	u.closed = true
	defer os.Remove(u.f.Name())
	err := u.failed
	if err == nil {
		err = u.f.Chmod(0o644)
	}
	if err == nil {
		err = u.f.Sync()
	}
	err = errors.Join(err, u.f.Close())
	switch {
	case err != nil:
	case u.replace:
		err = os.Rename(u.f.Name(), u.path)
	default:
		err = os.Link(u.f.Name(), u.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(u.path))
	}
	return u.d.fault("write", u.path, err)
}

func (u *localUpload) Abort() {
	if !u.closed {
		u.closed = true
		_ = u.f.Close()
		_ = os.Remove(u.f.Name())
	}
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *folder) Delete(ctx context.Context, keys []string) error {
	var errs []error
	for _, k := range keys {
		path, err := d.path(k)
		if err == nil {
			if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			err = d.fault("delete", path, err)
		}
		if err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
	}
	return errors.Join(errs...)
}

func (d *folder) Abandoned(ctx context.Context, prefix string, before time.Time) (int, error) {
	n := 0
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && (e.IsDir() || !strings.HasSuffix(path, partSuffix)) {
			return nil
		}
		if err != nil {
			return d.fault("list", path, err)
		}
		rel, err := filepath.Rel(d.dir, path)
		if err != nil || !strings.HasPrefix(filepath.ToSlash(rel), prefix) {
			return err
		}
		st, err := e.Info()
		if err != nil || !st.ModTime().Before(before) {
			return nil // gone meanwhile, or being written
		}
		n++
		return d.fault("delete", path, os.Remove(path))
	})
	return n, err
}
