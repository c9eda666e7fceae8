package iceberg

import (
	"context"
	"errors"
	"io"
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
// writer says so, and gone when it fails. iceberg-go's own local files are never synced.
type files struct {
	icebergio.LocalFS
	known sync.Map // folders that exist and whose names are durable
	// fault is asked before every step that writes (open, write, sync, sync folder);
	// nil: none fails. Tests put faults here.
	fault func(step, path string) error
}

func (f *files) may(step, path string) error {
	if f.fault == nil {
		return nil
	}
	return f.fault(step, path)
}

// Create makes a file that is synced when it is closed. Its name becomes durable
// with syncDir, which a commit calls once for all of its files.
func (f *files) Create(name string) (icebergio.FileWriter, error) { return f.open(localPath(name)) }

// open makes a file that must not exist, and its folder.
func (f *files) open(path string) (*newFile, error) {
	w, err := f.tryOpen(path)
	if errors.Is(err, fs.ErrNotExist) {
		f.known.Clear() // somebody has cleaned up empty folders
		w, err = f.tryOpen(path)
	}
	if err != nil {
		return nil, err
	}
	return &newFile{file: w, path: path, files: f}, nil
}

func (f *files) tryOpen(path string) (*os.File, error) {
	if err := f.ensureDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := f.may("open", path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// WriteFile writes a whole file, durably.
func (f *files) WriteFile(name string, b []byte) error {
	w, err := f.Create(name)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := f.syncDir(filepath.Dir(localPath(name))); err != nil {
		_ = os.Remove(localPath(name))
		return err
	}
	return nil
}

// attempted is the warehouse as one attempt at a commit sees it. It remembers the files
// that were made, so that an attempt that certainly did not land takes them away:
// on a full disk they would take the room that others make.
type attempted struct {
	*files
	mu      sync.Mutex
	made    []string
	unknown bool // the swap was asked for, and it is not known to have been refused
}

func (a *attempted) fs(context.Context) (icebergio.IO, error) { return a, nil }

func (a *attempted) Create(name string) (icebergio.FileWriter, error) {
	a.note(name)
	return a.files.Create(name)
}

func (a *attempted) WriteFile(name string, b []byte) error {
	a.note(name)
	return a.files.WriteFile(name, b)
}

func (a *attempted) note(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made = append(a.made, name)
}

// undo removes the files of an attempt, unless it may have landed.
func (a *attempted) undo() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unknown {
		return
	}
	for _, name := range a.made {
		_ = os.Remove(localPath(name)) // some were never there
	}
}

// newFile is a file being written. One that could not be written whole, or not
// be synced, is removed: what a failed sync has left on the disk is not known.
type newFile struct {
	file   *os.File
	path   string
	files  *files
	failed error
	closed bool
}

func (w *newFile) Write(p []byte) (n int, err error) {
	if err = w.files.may("write", w.path); err == nil {
		n, err = w.file.Write(p)
	}
	if err != nil {
		w.failed = err
	}
	return n, err
}

// ReadFrom is Write for those who copy.
func (w *newFile) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// Close syncs the file; after an error it is gone.
func (w *newFile) Close() error {
	if w.closed {
		return os.ErrClosed
	}
	w.closed = true
	err := w.failed
	if err == nil {
		err = w.files.may("sync", w.path)
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err = errors.Join(err, w.file.Close()); err != nil {
		_ = os.Remove(w.path)
	}
	return err
}

func (w *newFile) drop() {
	if !w.closed {
		w.closed = true
		_ = w.file.Close()
		_ = os.Remove(w.path)
	}
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
		if err := f.syncDir(parent); err != nil {
			_ = os.Remove(dir) // or the next one would take its name for durable
			return err
		}
	case err != nil:
		return err
	}
	f.known.Store(dir, true)
	return nil
}

func (f *files) syncDir(dir string) error {
	if err := f.may("sync folder", dir); err != nil {
		return err
	}
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
type dataFile struct{ *newFile }

func (t *Table) Create(_ context.Context, name string) (offline.FileWriter, error) {
	path := filepath.Join(localPath(t.location), "data", filepath.FromSlash(name))
	f, err := t.store.files.open(path)
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "iceberg.create", path, "%w", err).WithHint(hintDisk)
	}
	return dataFile{f}, nil
}

const hintDisk = "look at the space and the rights of the warehouse"

func (d dataFile) Commit() (string, error) {
	err := d.Close()
	if err == nil {
		if err = d.files.syncDir(filepath.Dir(d.path)); err != nil {
			_ = os.Remove(d.path)
		}
	}
	if err != nil {
		return "", feature.Errorf(feature.Unavailable, "iceberg.write", d.path, "%w", err).WithHint(hintDisk)
	}
	return fileURI(d.path), nil
}

func (d dataFile) Abort() { d.drop() }

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
