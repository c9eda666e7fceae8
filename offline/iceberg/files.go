package iceberg

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// files is the warehouse: a local folder whose files are durable when their
// writer says so. iceberg-go's own local files are never synced.
type files struct {
	icebergio.LocalFS
	known sync.Map // folders that exist and whose names are durable
}

func (f *files) fs(context.Context) (icebergio.IO, error) { return f, nil }

// Create makes a file that is synced when it is closed. Its name becomes durable
// with syncDir, which a commit calls once for all of its files.
func (f *files) Create(name string) (icebergio.FileWriter, error) {
	path := localPath(name)
	if err := f.ensureDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return syncedFile{w}, nil
}

// WriteFile writes a whole file, durably.
func (f *files) WriteFile(name string, b []byte) error {
	w, err := f.Create(name)
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		_ = w.Close()
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(localPath(name)))
}

type syncedFile struct{ *os.File }

func (f syncedFile) Close() error {
	return errors.Join(f.Sync(), f.File.Close())
}

// ensureDir makes a folder and syncs every parent that got a new name.
func (f *files) ensureDir(dir string) error {
	if _, ok := f.known.Load(dir); ok {
		return nil
	}
	switch _, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(dir)
		if parent != dir {
			if err := f.ensureDir(parent); err != nil {
				return err
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncDir(parent); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	f.known.Store(dir, true)
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// localPath is the path of a file URI; a plain path stays as it is.
func localPath(name string) string {
	if rest, ok := strings.CutPrefix(name, "file:"); ok {
		if u, err := url.Parse(name); err == nil {
			return filepath.FromSlash(u.Path)
		}
		return rest
	}
	return name
}

func fileURI(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// dataFile is one data file being written.
type dataFile struct {
	*os.File
	path string
	done bool
}

func (t *Table) Create(_ context.Context, name string) (offline.FileWriter, error) {
	path := filepath.Join(localPath(t.location), "data", filepath.FromSlash(name))
	if err := t.store.files.ensureDir(filepath.Dir(path)); err != nil {
		return nil, t.diskError("create", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, t.diskError("create", path, err)
	}
	return &dataFile{File: f, path: path}, nil
}

func (d *dataFile) Commit() (string, error) {
	if d.done {
		return "", os.ErrClosed
	}
	d.done = true
	err := errors.Join(d.Sync(), d.Close())
	if err == nil {
		err = syncDir(filepath.Dir(d.path))
	}
	if err != nil {
		_ = os.Remove(d.path)
		return "", &feature.Error{Kind: feature.Unavailable, Op: "iceberg.write", What: d.path, Err: err}
	}
	return fileURI(d.path), nil
}

func (d *dataFile) Abort() {
	if !d.done {
		d.done = true
		_ = d.Close()
		_ = os.Remove(d.path)
	}
}

// dataReader is one data file being read.
type dataReader struct {
	*os.File
	size int64
}

func (r dataReader) Size() int64 { return r.size }

func (t *Table) Open(_ context.Context, path string) (offline.FileReader, error) {
	f, err := os.Open(localPath(path))
	if err != nil {
		return nil, t.diskError("open", path, err)
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, t.diskError("open", path, err)
	}
	return dataReader{f, st.Size()}, nil
}

func (t *Table) diskError(op, path string, err error) error {
	e := feature.Errorf(feature.Unavailable, "iceberg."+op, path, "%w", err)
	if errors.Is(err, fs.ErrNotExist) {
		e.Kind = feature.NotFound
		e.Hint = "the table names a file that is gone; run: weir audit --view " + t.view.Meta.Name
	}
	return e
}

// forget drops what is known of a removed folder.
func (f *files) forget(dir string) {
	f.known.Range(func(k, _ any) bool {
		if p := k.(string); p == dir || strings.HasPrefix(p, dir+string(filepath.Separator)) {
			f.known.Delete(k)
		}
		return true
	})
}
