package offlinetest

import (
	"context"
	"errors"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// ErrInjected is the cause of every error made here.
var ErrInjected = errors.New("injected")

// Faulty is a table whose calls fail as Fail says: before it happened, or after.
type Faulty struct {
	offline.Table
	Fail func() (before, after bool)
}

func (f *Faulty) try(op string, do func() error) error {
	before, after := f.Fail()
	if !before {
		if err := do(); err != nil {
			return err
		}
	}
	if before || after {
		return feature.Errorf(feature.Unavailable, "offlinetest."+op, "", "%w", ErrInjected)
	}
	return nil
}

func (f *Faulty) Positions(ctx context.Context) (at []feature.Position, err error) {
	err = f.try("positions", func() (err error) { at, err = f.Table.Positions(ctx); return err })
	return at, err
}

func (f *Faulty) Append(ctx context.Context, c *feature.Commit, files []offline.File) error {
	return f.try("append", func() error { return f.Table.Append(ctx, c, files) })
}

func (f *Faulty) Replace(ctx context.Context, r *offline.Rewrite) error {
	return f.try("replace", func() error { return f.Table.Replace(ctx, r) })
}

func (f *Faulty) Create(ctx context.Context, name string) (w offline.FileWriter, err error) {
	before, after := f.Fail()
	if before {
		return nil, feature.Errorf(feature.Unavailable, "offlinetest.create", name, "%w", ErrInjected)
	}
	if w, err = f.Table.Create(ctx, name); err == nil && after {
		w = &faultyFile{w, f.Fail}
	}
	return w, err
}

// faultyFile is a file whose writing, or whose sync, fails.
type faultyFile struct {
	offline.FileWriter
	fail func() (bool, bool)
}

func (w *faultyFile) Write(p []byte) (int, error) {
	if before, _ := w.fail(); before {
		n, _ := w.FileWriter.Write(p[:len(p)/2])
		return n, ErrInjected
	}
	return w.FileWriter.Write(p)
}

func (w *faultyFile) Commit() (string, error) {
	w.Abort()
	return "", feature.Errorf(feature.Unavailable, "offlinetest.sync", "", "%w", ErrInjected)
}
