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
	"time"

	"github.com/weir-ml/weir/offline"
)

// local is a warehouse in a folder: its files are durable when their writer says
// so, and gone when it fails. iceberg-go's own local files are never synced.
type local struct {
	dir   string   // absolute
	known sync.Map // folders that exist and whose names are durable
	// fault is asked before every step that writes (open, write, sync, sync folder);
	// nil: none fails. Tests put faults here.
	fault func(step, path string) error
}

func (l *local) may(step, path string) error {
	if l.fault == nil {
		return nil
	}
	return l.fault(step, path)
}

func (l *local) root() string { return fileURI(l.dir) }

func (l *local) join(folder, rel string) string {
	return fileURI(filepath.Join(localPath(folder), filepath.FromSlash(rel)))
}

func (l *local) key(name string) string { return filepath.Clean(localPath(name)) }

func (l *local) read(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(localPath(name))
}

// create makes a file that is synced when it is closed. Its name becomes durable
// with settle, which a commit calls once for all of its files.
func (l *local) create(_ context.Context, name string) (newFile, error) {
	path := localPath(name)
	w, err := l.tryCreate(path)
	if errors.Is(err, fs.ErrNotExist) {
		l.known.Clear() // somebody has cleaned up empty folders
		w, err = l.tryCreate(path)
	}
	if err != nil {
		return nil, err
	}
	return &localFile{file: w, path: path, local: l}, nil
}

func (l *local) tryCreate(path string) (*os.File, error) {
	if err := l.ensureDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := l.may("open", path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

func (l *local) put(ctx context.Context, name string, content []byte) error {
	w, err := l.create(ctx, name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := l.syncDir(filepath.Dir(localPath(name))); err != nil {
		_ = os.Remove(localPath(name))
		return err
	}
	return nil
}

func (l *local) settle(_ context.Context, folder string) error { return l.syncDir(localPath(folder)) }

// localFile is a file being written. One that could not be written whole, or not
// be synced, is removed: what a failed sync has left on the disk is not known.
type localFile struct {
	file   *os.File
	path   string
	local  *local
	failed error
	closed bool
}

func (w *localFile) Write(p []byte) (n int, err error) {
	if err = w.local.may("write", w.path); err == nil {
		n, err = w.file.Write(p)
	}
	if err != nil {
		w.failed = err
	}
	return n, err
}

// Close syncs the file; after an error it is gone.
func (w *localFile) Close() error {
	if w.closed {
		return os.ErrClosed
	}
	w.closed = true
	err := w.failed
	if err == nil {
		err = w.local.may("sync", w.path)
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err = errors.Join(err, w.file.Close()); err != nil {
		_ = os.Remove(w.path)
	}
	return err
}

func (w *localFile) drop() {
	if !w.closed {
		w.closed = true
		_ = w.file.Close()
		_ = os.Remove(w.path)
	}
}

// ensureDir makes a folder and syncs every parent that got a new name.
func (l *local) ensureDir(dir string) error {
	if _, ok := l.known.Load(dir); ok {
		return nil
	}
	switch _, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(dir)
		if parent != dir {
			if err := l.ensureDir(parent); err != nil {
				return err
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := l.syncDir(parent); err != nil {
			_ = os.Remove(dir) // or the next one would take its name for durable
			return err
		}
	case err != nil:
		return err
	}
	l.known.Store(dir, true)
	return nil
}

func (l *local) syncDir(dir string) error {
	if err := l.may("sync folder", dir); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// localReader is one file being read.
type localReader struct {
	*os.File
	size int64
}

func (r localReader) Size() int64 { return r.size }

func (l *local) open(_ context.Context, name string) (offline.FileReader, error) {
	f, err := os.Open(localPath(name))
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return localReader{f, st.Size()}, nil
}

func (l *local) list(ctx context.Context, folder string, f func(fileInfo) error) error {
	top := localPath(folder)
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// What others remove meanwhile is not there; a folder that cannot be read is a fault.
		if err == nil && d.IsDir() || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return f(fileInfo{name: fileURI(path), size: st.Size(), modified: st.ModTime().UnixMicro()})
	})
}

func (l *local) remove(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		if err := os.Remove(localPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// abandoned: list shows what is half written too.
func (l *local) abandoned(context.Context, string, time.Time) (int, error) { return 0, nil }

func (l *local) lockPath(location string) string {
	return filepath.Join(localPath(location), "metadata", lockName)
}

func (l *local) drop(_ context.Context, folder string) error {
	dir := localPath(folder)
	err := os.RemoveAll(dir)
	l.known.Range(func(k, _ any) bool {
		if p := k.(string); p == dir || strings.HasPrefix(p, dir+string(filepath.Separator)) {
			l.known.Delete(k)
		}
		return true
	})
	return err
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
