package tallytest

import (
	"context"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Faulty is a store whose calls by a Tap fail as Fault says: before it happened, or after.
type Faulty[T tally.Tally[T], V comparable] struct {
	tally.Store[T, V]
	Fault func() (before, after bool)
}

func (f *Faulty[T, V]) try(do func() error) error {
	before, after := f.Fault()
	if !before {
		if err := do(); err != nil {
			return err
		}
	}
	if before || after {
		return feature.Errorf(feature.Unavailable, "tallytest", "", "%w", errInjected)
	}
	return nil
}

func (f *Faulty[T, V]) Stage(ctx context.Context, s *tally.Staged[T]) error {
	return f.try(func() error { return f.Store.Stage(ctx, s) })
}

func (f *Faulty[T, V]) Settle(ctx context.Context, c string, now time.Time) (known bool, err error) {
	err = f.try(func() (err error) { known, err = f.Store.Settle(ctx, c, now); return err })
	return known, err
}

func (f *Faulty[T, V]) Assign(ctx context.Context, v string, at []feature.Position, now time.Time) error {
	return f.try(func() error { return f.Store.Assign(ctx, v, at, now) })
}

func (f *Faulty[T, V]) Drop(ctx context.Context, commits []string) error {
	return f.try(func() error { return f.Store.Drop(ctx, commits) })
}
