package onlinetest

import (
	"context"
	"hash/maphash"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Table is a view's table as online.History sees it, in memory.
type Table struct {
	mu      sync.Mutex
	batches []*feature.Batch   // guarded by mu
	at      []feature.Position // guarded by mu
	// Newests and Sinces count the calls of the two functions.
	Newests, Sinces int
}

var _ online.History = (*Table)(nil)

// Positions returns where the table stands.
func (t *Table) Positions(context.Context, *feature.View) ([]feature.Position, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.at), nil
}

// Append commits batches; the positions move behind them.
func (t *Table) Append(list ...*feature.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range list {
		t.batches = append(t.batches, b)
		t.move(b)
	}
}

// move needs mu.
func (t *Table) move(b *feature.Batch) {
	to := feature.Position{Topic: b.Origin.Topic, TopicID: b.Origin.TopicID, Partition: b.Origin.Partition, Next: b.Origin.Next}
	if i := slices.IndexFunc(t.at, to.Same); i >= 0 {
		t.at[i].Next = max(t.at[i].Next, to.Next)
	} else {
		t.at = append(t.at, to)
	}
}

// RollBack makes the table what it was after its first n batches.
func (t *Table) RollBack(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batches, t.at = t.batches[:n:n], nil
	for _, b := range t.batches {
		t.move(b)
	}
}

// Pin is online.MaterializeConfig.Pin of this table in so many parts. Snapshots
// are numbers of batches; those below first are gone.
func (t *Table) Pin(v *feature.View, parts int, first int64) func(context.Context, int64) (*online.Pinned, error) {
	return func(_ context.Context, snapshot int64) (*online.Pinned, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if snapshot == 0 {
			snapshot = int64(len(t.batches))
		}
		if snapshot < first {
			return nil, feature.Errorf(feature.NotFound, "onlinetest.pin", "", "snapshot %d", snapshot)
		}
		then := &Table{batches: t.batches[:snapshot:snapshot]}
		for _, b := range then.batches {
			then.move(b)
		}
		return &online.Pinned{Snapshot: snapshot, At: then.at, Parts: parts,
			Newest: func(ctx context.Context, p online.NewestPart, fn func(*feature.Batch) error) error {
				var mine []*feature.Batch
				if err := then.Newest(ctx, v, func(b *feature.Batch) error {
					if h := maphash.Bytes(seed, feature.AppendKey(nil, b.KeyColumns(), 0)); h%uint64(p.Parts) == uint64(p.Part) {
						mine = append(mine, b)
					}
					return nil
				}); err != nil {
					return err
				}
				if p.Counted != nil {
					p.Counted(int64(len(mine)))
				}
				for _, b := range mine {
					if err := fn(b); err != nil {
						return err
					}
				}
				return nil
			}}, nil
	}
}

var seed = maphash.MakeSeed()

// Newest gives the newest row of each key, a batch a row.
func (t *Table) Newest(_ context.Context, v *feature.View, fn func(*feature.Batch) error) error {
	type row struct {
		b *feature.Batch
		i int
	}
	t.mu.Lock()
	t.Newests++
	best := map[string]row{}
	var order []string
	for _, b := range t.batches {
		for i := range b.Len() {
			k := string(feature.AppendKey(nil, b.KeyColumns(), i))
			old, ok := best[k]
			if !ok {
				order = append(order, k)
			}
			if !ok || b.Stamp(i).Compare(old.b.Stamp(old.i)) >= 0 {
				best[k] = row{b, i}
			}
		}
	}
	t.mu.Unlock()
	for _, k := range order {
		if err := fn(slice(v, best[k].b, best[k].i, best[k].i+1)); err != nil {
			return err
		}
	}
	return nil
}

// Since gives the rows at or above the positions.
func (t *Table) Since(_ context.Context, v *feature.View, since []feature.Position, fn func(*feature.Batch) error) error {
	t.mu.Lock()
	t.Sinces++
	batches := slices.Clone(t.batches)
	t.mu.Unlock()
	for _, b := range batches {
		from := int64(math.MaxInt64)
		for _, p := range since {
			if p.TopicID == b.Origin.TopicID && p.Partition == b.Origin.Partition {
				from = p.Next
			}
		}
		first := sort.Search(b.Len(), func(i int) bool { return b.Offsets[i] >= from })
		if first == b.Len() {
			continue
		}
		if err := fn(slice(v, b, first, b.Len())); err != nil {
			return err
		}
	}
	return nil
}

// slice is rows [from, to) of a batch, in its memory.
func slice(v *feature.View, all *feature.Batch, from, to int) *feature.Batch {
	b := *all
	b.View, b.Rows = v, all.Rows.NewSlice(int64(from), int64(to))
	b.Offsets, b.EventTime, b.KnownTime = b.Offsets[from:to], b.EventTime[from:to], b.KnownTime[from:to]
	b.Origin.First, b.Origin.Next = b.Offsets[0], b.Offsets[len(b.Offsets)-1]+1
	if b.Tombstone != nil {
		b.Tombstone = b.Tombstone[from:to]
	}
	return &b
}
