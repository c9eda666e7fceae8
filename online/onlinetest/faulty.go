package onlinetest

import (
	"context"
	"errors"
	"sync"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Faulty wraps a store. Before each operation it asks Fail, with the operation's
// name (get, put, fill, scan, remove, marks, settle, forget, schema, put_schema) and how many of that name came before.
type Faulty struct {
	online.Store
	// Fail returns what goes wrong: Clean fails before anything has happened,
	// Half after half of the rows or keys, Late after all of it.
	Fail func(op string, n int) Fault

	mu    sync.Mutex
	count map[string]int
}

// Fault is one way to fail.
type Fault int

const (
	None Fault = iota
	Clean
	Half
	Late
)

// ErrInjected is the cause of every error made here.
var ErrInjected = errors.New("injected")

func (f *Faulty) fault(op string) (Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int{}
	}
	n := f.count[op]
	f.count[op]++
	return f.Fail(op, n), feature.Errorf(feature.Unavailable, "onlinetest."+op, "", "%w", ErrInjected)
}

func (f *Faulty) Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	switch x, err := f.fault("get"); x {
	case Clean, Late:
		for i := range failed {
			failed[i] = true
		}
		return err
	case Half:
		h := len(keys) / 2
		for i := range failed[h:] {
			failed[h+i] = true
		}
		_ = f.Store.Get(ctx, keys[:h], vals[:h], failed[:h])
		return err
	}
	return f.Store.Get(ctx, keys, vals, failed)
}

func (f *Faulty) Put(ctx context.Context, rows []online.Row, adv *online.Advance) (online.Result, error) {
	switch x, err := f.fault("put"); x {
	case Clean:
		return online.Result{}, err
	case Half:
		_, _ = f.Store.Put(ctx, rows[:len(rows)/2], nil)
		return online.Result{}, err
	case Late:
		_, _ = f.Store.Put(ctx, rows, adv)
		return online.Result{}, err
	}
	return f.Store.Put(ctx, rows, adv)
}

func (f *Faulty) Fill(ctx context.Context, rows []online.Row) error {
	switch x, err := f.fault("fill"); x {
	case Clean:
		return err
	case Half, Late:
		_ = f.Store.Fill(ctx, rows[:len(rows)/2])
		return err
	}
	return f.Store.Fill(ctx, rows)
}

func (f *Faulty) Scan(ctx context.Context, span online.Span, fn func([]string, [][]byte) error) error {
	x, err := f.fault("scan")
	switch x {
	case Clean:
		return err
	case Half: // breaks off in the middle of the first answer
		if inner := f.Store.Scan(ctx, span, func(keys []string, vals [][]byte) error {
			if inner := fn(keys[:len(keys)/2], vals[:len(keys)/2]); inner != nil {
				return inner
			}
			return ErrInjected
		}); inner != nil && !errors.Is(inner, ErrInjected) {
			return inner
		}
		return err
	case Late:
		if inner := f.Store.Scan(ctx, span, fn); inner != nil {
			return inner
		}
		return err
	}
	return f.Store.Scan(ctx, span, fn)
}

func (f *Faulty) Remove(ctx context.Context, rows []online.Row) (int, error) {
	switch x, err := f.fault("remove"); x {
	case Clean:
		return 0, err
	case Half:
		_, _ = f.Store.Remove(ctx, rows[:len(rows)/2])
		return 0, err
	case Late:
		_, _ = f.Store.Remove(ctx, rows)
		return 0, err
	}
	return f.Store.Remove(ctx, rows)
}

func (f *Faulty) Forget(ctx context.Context, view string, list []online.Mark) error {
	switch x, err := f.fault("forget"); x {
	case Clean:
		return err
	case Half, Late:
		_ = f.Store.Forget(ctx, view, list)
		return err
	}
	return f.Store.Forget(ctx, view, list)
}

func (f *Faulty) Marks(ctx context.Context, view string) (online.Marks, error) {
	if x, err := f.fault("marks"); x != None {
		return online.Marks{}, err
	}
	return f.Store.Marks(ctx, view)
}

func (f *Faulty) Settle(ctx context.Context, view string, ttl int64, s []online.Settlement, seen []online.Mark) (bool, error) {
	switch x, err := f.fault("settle"); x {
	case Clean:
		return false, err
	case Half, Late:
		_, _ = f.Store.Settle(ctx, view, ttl, s, seen)
		return false, err
	}
	return f.Store.Settle(ctx, view, ttl, s, seen)
}

func (f *Faulty) Schema(ctx context.Context, view string, id uint32) (string, error) {
	if x, err := f.fault("schema"); x != None {
		return "", err
	}
	return f.Store.Schema(ctx, view, id)
}

func (f *Faulty) PutSchema(ctx context.Context, view string, id uint32, text string) error {
	if x, err := f.fault("put_schema"); x != None {
		return err
	}
	return f.Store.PutSchema(ctx, view, id, text)
}
