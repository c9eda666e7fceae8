package iceberg

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// files is a place as iceberg-go wants to see it. Its interfaces have no context, so one is kept here.
type files struct {
	place
	ctx context.Context
}

func (f *files) with(ctx context.Context) *files { return &files{f.place, ctx} }

func (f *files) ReadFile(name string) ([]byte, error) { return f.read(f.ctx, name) }

// Open opens a manifest or a list of them; iceberg-go reads all of it.
func (f *files) Open(name string) (icebergio.File, error) {
	b, err := f.read(f.ctx, name)
	if err != nil {
		return nil, err
	}
	return readFile{bytes.NewReader(b), name, int64(len(b))}, nil
}

func (f *files) Create(name string) (icebergio.FileWriter, error) {
	w, err := f.create(f.ctx, name)
	if err != nil {
		return nil, err
	}
	return copier{w}, nil
}

// WriteFile writes a whole file, durably.
func (f *files) WriteFile(name string, b []byte) error { return f.put(f.ctx, name, b) }

func (f *files) Remove(name string) error { return f.remove(f.ctx, []string{name}) }

// copier adds what iceberg-go asks of a writer.
type copier struct{ newFile }

func (w copier) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w.newFile}, r)
}

// readFile is a file that has been read as a whole.
type readFile struct {
	*bytes.Reader
	name string
	size int64
}

func (r readFile) Close() error               { return nil }
func (r readFile) Stat() (fs.FileInfo, error) { return readInfo{r}, nil }

type readInfo struct{ f readFile }

func (i readInfo) Name() string     { return path.Base(i.f.name) }
func (i readInfo) Size() int64      { return i.f.size }
func (readInfo) Mode() fs.FileMode  { return 0o444 }
func (readInfo) ModTime() time.Time { return time.Time{} }
func (readInfo) IsDir() bool        { return false }
func (readInfo) Sys() any           { return nil }

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

// undoWithin bounds the removal of what an attempt has made; a sweep takes what is left.
const undoWithin = 10 * time.Second

// undo removes the files of an attempt, unless it may have landed.
func (a *attempted) undo() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unknown || len(a.made) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), undoWithin)
	defer cancel()
	_ = a.remove(ctx, a.made) // some were never there
}

// dataFile is one data file being written.
type dataFile struct {
	newFile
	ctx   context.Context
	place place
	name  string
}

func (t *Table) Create(ctx context.Context, name string) (offline.FileWriter, error) {
	name = t.store.files.join(t.location, "data/"+name)
	f, err := t.store.files.create(ctx, name)
	if err != nil {
		return nil, placeFault("iceberg.create", name, err)
	}
	return dataFile{f, ctx, t.store.files.place, name}, nil
}

func (d dataFile) Commit() (string, error) {
	err := d.Close()
	if err == nil {
		if err = d.place.settle(d.ctx, d.name[:strings.LastIndexByte(d.name, '/')]); err != nil {
			_ = d.place.remove(d.ctx, []string{d.name})
		}
	}
	if err != nil {
		return "", placeFault("iceberg.write", d.name, err)
	}
	return d.name, nil
}

func (d dataFile) Abort() { d.drop() }

// Open opens a data file. Its reads end with ctx.
func (t *Table) Open(ctx context.Context, path string) (offline.FileReader, error) {
	r, err := t.store.files.open(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, feature.Errorf(feature.NotFound, "iceberg.open", path, "%w", err).
			WithHint("the table names a file that is gone; run: weir audit --view %s", t.view.Meta.Name)
	}
	if err != nil {
		return nil, placeFault("iceberg.open", path, err)
	}
	return r, nil
}

// placeFault gives a place's error a kind; a bucket's have one.
func placeFault(op, name string, err error) error {
	var fe *feature.Error
	if errors.As(err, &fe) {
		return err
	}
	return feature.Errorf(feature.Unavailable, op, name, "%w", err).WithHint("look at the space and the rights of the warehouse")
}
