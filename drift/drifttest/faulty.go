package drifttest

import (
	"context"
	"time"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/registry/feature"
)

// Faulty is a store whose calls by a Tap fail as Fault says: before it happened, or after.
type Faulty struct {
	drift.Store
	Fault func() (before, after bool)
}

func (f *Faulty) try(do func() error) error {
	before, after := f.Fault()
	if !before {
		if err := do(); err != nil {
			return err
		}
	}
	if before || after {
		return feature.Errorf(feature.Unavailable, "drifttest", "", "%w", errInjected)
	}
	return nil
}

func (f *Faulty) Stage(ctx context.Context, s *drift.Staged) error {
	return f.try(func() error { return f.Store.Stage(ctx, s) })
}

func (f *Faulty) Settle(ctx context.Context, c string, now time.Time) (known bool, err error) {
	err = f.try(func() (err error) { known, err = f.Store.Settle(ctx, c, now); return err })
	return known, err
}

func (f *Faulty) Assign(ctx context.Context, v string, at []feature.Position, now time.Time) error {
	return f.try(func() error { return f.Store.Assign(ctx, v, at, now) })
}

func (f *Faulty) Drop(ctx context.Context, commits []string) error {
	return f.try(func() error { return f.Store.Drop(ctx, commits) })
}
