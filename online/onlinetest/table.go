package onlinetest

import (
	"bytes"
	"context"
	"math"
	"slices"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// Table is a view's table as online.History sees it, in memory.
type Table struct {
	mu   sync.Mutex
	rows []tableRow // guarded by mu
	at   []feature.Position
	// Newests and Sinces count the calls of the two functions.
	Newests, Sinces int
}

type tableRow struct {
	batch *feature.Batch
	i     int
}

func (r tableRow) stamp() feature.Stamp { return r.batch.Stamp(r.i) }

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
		for i := range b.Len() {
			t.rows = append(t.rows, tableRow{b, i})
		}
		to := feature.Position{Topic: b.Origin.Topic, TopicID: b.Origin.TopicID, Partition: b.Origin.Partition, Next: b.Origin.Next}
		if i := slices.IndexFunc(t.at, to.Same); i >= 0 {
			t.at[i].Next = max(t.at[i].Next, to.Next)
		} else {
			t.at = append(t.at, to)
		}
	}
}

// Newest gives the newest row of each key, a batch a row.
func (t *Table) Newest(_ context.Context, v *feature.View, fn func(*feature.Batch) error) error {
	t.mu.Lock()
	t.Newests++
	best := map[string]tableRow{}
	var order []string
	for _, r := range t.rows {
		k := string(feature.AppendKey(nil, r.batch.KeyColumns(), r.i))
		old, ok := best[k]
		if !ok {
			order = append(order, k)
		}
		if !ok || r.stamp().Compare(old.stamp()) >= 0 {
			best[k] = r
		}
	}
	t.mu.Unlock()
	for _, k := range order {
		if err := fn(best[k].one(v)); err != nil {
			return err
		}
	}
	return nil
}

// Since gives the rows at or above the positions, a batch a row.
func (t *Table) Since(_ context.Context, v *feature.View, since []feature.Position, fn func(*feature.Batch) error) error {
	t.mu.Lock()
	t.Sinces++
	rows := t.rows[:len(t.rows):len(t.rows)]
	t.mu.Unlock()
	for _, r := range rows {
		from := int64(math.MaxInt64)
		for _, p := range since {
			if bytes.Equal(p.TopicID[:], r.batch.Origin.TopicID[:]) && p.Partition == r.batch.Origin.Partition {
				from = p.Next
			}
		}
		if r.batch.Offsets[r.i] < from {
			continue
		}
		if err := fn(r.one(v)); err != nil {
			return err
		}
	}
	return nil
}

// one is the row as a batch of its own, cut out of its batch's memory.
func (r tableRow) one(v *feature.View) *feature.Batch {
	b := *r.batch
	i := r.i
	b.View, b.Rows = v, r.batch.Rows.NewSlice(int64(i), int64(i+1))
	b.Offsets, b.EventTime, b.KnownTime = b.Offsets[i:i+1], b.EventTime[i:i+1], b.KnownTime[i:i+1]
	b.Origin.First, b.Origin.Next = b.Offsets[0], b.Offsets[0]+1
	if b.Tombstone != nil {
		b.Tombstone = b.Tombstone[i : i+1]
	}
	return &b
}
