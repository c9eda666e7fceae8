package simtest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// tables is the store of tables as a worker reaches it.
type tables struct {
	offline.Store
	k *worker
}

func (s *tables) Table(ctx context.Context, v *feature.View) (offline.Table, error) {
	t, err := s.Store.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	return &table{t, s.k}, nil
}

type table struct {
	offline.Table
	k *worker
}

func (t *table) Positions(ctx context.Context) (at []feature.Position, err error) {
	err = t.k.soft(ctx, "positions", func(ctx context.Context) (err error) {
		at, err = t.Table.Positions(ctx)
		return err
	})
	return at, err
}

func (t *table) Append(ctx context.Context, c *feature.Commit, files []offline.File) error {
	return t.k.do(ctx, "append", func(ctx context.Context) error { return t.k.w.append(ctx, t.k.name, t.Table, c, files) })
}

func (t *table) Create(ctx context.Context, name string) (f offline.FileWriter, err error) {
	err = t.k.soft(ctx, "create", func(ctx context.Context) (err error) {
		f, err = t.Table.Create(ctx, name)
		return err
	})
	return f, err
}

// history is the table as the online writer reads it, as cmd/weir/app has it.
type history struct{ k *worker }

func (h history) Positions(ctx context.Context, v *feature.View) ([]feature.Position, error) {
	t, err := h.k.w.tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	return t.Positions(ctx)
}

func (h history) Newest(ctx context.Context, v *feature.View, fn func(*feature.Batch) error) error {
	t, err := h.k.w.tables.Table(ctx, v)
	if err != nil {
		return err
	}
	return offline.Newest(ctx, t, offline.NewestOptions{}, fn)
}

func (h history) Since(ctx context.Context, v *feature.View, since []feature.Position, fn func(*feature.Batch) error) error {
	t, err := h.k.w.tables.Table(ctx, v)
	if err != nil || len(since) == 0 {
		return err
	}
	return offline.Scan(ctx, t, offline.ScanOptions{Since: since}, fn)
}

// tableSink is the table's writer, its steps failing.
type tableSink struct {
	*offline.Writer
	k *worker
}

func (s *tableSink) Assign(ctx context.Context, at []feature.Position) error {
	return s.k.soft(ctx, "table.assign", func(ctx context.Context) error { return s.Writer.Assign(ctx, at) })
}

func (s *tableSink) Write(ctx context.Context, b *feature.Batch) error {
	return s.k.hard(ctx, "table.write", func(ctx context.Context) error { return s.Writer.Write(ctx, b) })
}

func (s *tableSink) Stage(ctx context.Context, c *feature.Commit) error {
	return s.k.soft(ctx, "table.stage", func(ctx context.Context) error { return s.Writer.Stage(ctx, c) })
}

func (s *tableSink) Commit(ctx context.Context, c *feature.Commit) error {
	return s.k.soft(ctx, "table.commit", func(ctx context.Context) error { return s.Writer.Commit(ctx, c) })
}

func (s *tableSink) Settle(ctx context.Context, c *feature.Commit) error {
	return s.k.soft(ctx, "table.settle", func(ctx context.Context) error { return s.Writer.Settle(ctx, c) })
}

// soft is a step that may be done again after it has failed; hard one that may
// not. Neither runs late: what runs in the process dies with it.
func (k *worker) soft(ctx context.Context, op string, f func(context.Context) error) error {
	return k.call(ctx, op, true, f)
}

func (k *worker) hard(ctx context.Context, op string, f func(context.Context) error) error {
	return k.call(ctx, op, false, f)
}

func (k *worker) call(ctx context.Context, op string, again bool, f func(context.Context) error) error {
	s := k.draw(op)
	if k.isDead() {
		return errDead
	}
	if s.wait > 0 {
		select {
		case <-time.After(s.wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if k.isDead() {
		return errDead
	}
	if s.dies == "before" {
		k.die("before " + op)
		return errDead
	}
	if s.before != nil {
		return s.before
	}
	err := f(ctx)
	if s.dies != "" {
		k.die("after " + op)
		return errDead
	}
	if err == nil && s.after != nil && (again || feature.KindOf(s.after) != feature.Unavailable) {
		return s.after
	}
	return err
}

// onlineSink is the online writer with its steps watched. One lock orders those
// that the writer itself lets wait for each other: the virtual clock does not go
// on while somebody waits for a mutex.
type onlineSink struct {
	*online.Writer
	k    *worker
	lock chan struct{}
}

func (s *onlineSink) alone(ctx context.Context, f func(context.Context) error) error {
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
		return f(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *onlineSink) Assign(ctx context.Context, at []feature.Position) error {
	return s.alone(ctx, func(ctx context.Context) error {
		return s.k.soft(ctx, "online.assign", func(ctx context.Context) error { return s.Writer.Assign(ctx, at) })
	})
}

func (s *onlineSink) Write(ctx context.Context, b *feature.Batch) error {
	w := s.k.w
	w.mu.Lock()
	name := b.View.Meta.Name
	if w.shown[name] == nil {
		w.shown[name] = map[coord]bool{}
	}
	for _, off := range b.Offsets {
		w.shown[name][coord{b.Origin.Partition, off}] = true
	}
	w.mu.Unlock()
	return s.k.soft(ctx, "online.write", func(ctx context.Context) error { return s.Writer.Write(ctx, b) })
}

func (s *onlineSink) Settle(ctx context.Context, c *feature.Commit) error {
	return s.alone(ctx, func(ctx context.Context) error {
		return s.k.soft(ctx, "online.settle", func(ctx context.Context) error { return s.Writer.Settle(ctx, c) })
	})
}

// mending looks for losses until the outlets are closed.
func (s *onlineSink) mending(v *feature.View, last func() error) func() error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(5 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			_ = s.alone(ctx, func(ctx context.Context) error {
				n, err := s.Writer.Mend(ctx)
				if n > 0 {
					s.k.w.note("%s mended %d rows of %s (%v)", s.k.name, n, v.Meta.Name, err)
				}
				return err
			})
		}
	}()
	return func() error {
		cancel()
		<-done
		return last()
	}
}

// store is the online store as a worker reaches it.
type store struct {
	online.Store
	k *worker
}

func copyRows(rows []online.Row) []online.Row {
	out := slices.Clone(rows)
	for i := range out {
		out[i].Key, out[i].Value = strings.Clone(out[i].Key), bytes.Clone(out[i].Value)
	}
	return out
}

// reply is what a request has been answered. The request may arrive after its
// sender has gone on.
type reply[T any] struct {
	mu sync.Mutex
	v  T
}

func (r *reply[T]) set(f func(*T)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.v)
}

func (r *reply[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.v
}

func (s *store) Put(ctx context.Context, rows []online.Row, adv *online.Advance) (online.Result, error) {
	rows = copyRows(rows)
	if adv != nil {
		a := *adv
		adv = &a
	}
	var r reply[online.Result]
	err := s.k.do(ctx, "put", func(ctx context.Context) error {
		now, err := s.Store.Put(ctx, rows, adv)
		r.set(func(v *online.Result) { v.Stored, v.Lost = now.Stored, v.Lost || now.Lost })
		return err
	})
	return r.get(), err
}

func (s *store) Marks(ctx context.Context, view string) (m online.Marks, err error) {
	err = s.k.soft(ctx, "marks", func(ctx context.Context) (err error) {
		m, err = s.Store.Marks(ctx, view)
		return err
	})
	return m, err
}

func (s *store) Settle(ctx context.Context, view string, ttl int64, list []online.Settlement, seen []online.Mark) (bool, error) {
	list, seen = slices.Clone(list), slices.Clone(seen)
	var lost reply[bool]
	err := s.k.do(ctx, "settle", func(ctx context.Context) error {
		now, err := s.Store.Settle(ctx, view, ttl, list, seen)
		lost.set(func(v *bool) { *v = *v || now })
		return err
	})
	return lost.get(), err
}

func (s *store) PutSchema(ctx context.Context, view string, id uint32, text string) error {
	return s.k.do(ctx, "put_schema", func(ctx context.Context) error { return s.Store.PutSchema(ctx, view, id, text) })
}
