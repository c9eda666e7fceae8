package online

import (
	"context"
	"slices"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Assign compares the store's marks with where the table stands and writes what
// is missing below from the table: everything where the store knows nothing of the
// view (or kept its rows under a shorter ttl), else what lies above the marks.
//
// A SoleWriter fills a store without any marks with blind writes, several times
// as fast. That is safe: no mark means that nobody has finished anything there; the
// table gives each key once; nobody else writes; and should the store hold a row newer
// than the table's (put, then the process died before the first commit), that row comes
// again through Write, for it is not in the table.
func (w *Writer) Assign(ctx context.Context, at []feature.Position) error {
	if err := w.registerSchema(ctx); err != nil {
		return err
	}
	w.mend.Lock()
	defer w.mend.Unlock()
	marks, err := w.store.Marks(ctx, w.id)
	if err != nil {
		return err
	}
	ttl := w.view.TTL.Micros()
	whole := len(marks.Part) > 0 && marks.TTL != 0 && (ttl == 0 || ttl > marks.TTL)
	if whole {
		w.opt.Log.Info("the view's ttl has grown: rows that the online store dropped meanwhile are written again", "view", w.id)
	}
	behind := whole
	for _, p := range at {
		m, _ := marks.Find(p.TopicID, p.Partition)
		if m.Good() < p.Next {
			behind = true
		}
		if m.Settled > p.Next {
			w.opt.Log.Error("the table stands behind what the online store was told of it: it was rolled back, or replaced by an older copy; online values that the table no longer has stay until newer ones come",
				"view", w.id, "partition", p.String(), "settled", m.Settled,
				"do", "if the table is right, empty the online store of this view and restart; it is filled from the table")
		}
	}
	seen := map[partKey]int64{}
	if behind {
		if seen, _, err = w.refill(ctx, marks, whole); err != nil {
			return err
		}
	}
	var list []Settlement
	for _, p := range at {
		m, _ := marks.Find(p.TopicID, p.Partition)
		// Everything below Next is there now and everything above comes again.
		list = append(list, Settlement{TopicID: p.TopicID, Partition: p.Partition, Settled: p.Next, Written: p.Next,
			MendedFrom: m.LostFrom, MendedTo: m.LostTo, StillFrom: m.LostTo})
		delete(seen, partKey{p.TopicID, p.Partition})
	}
	if err := w.store.Settle(ctx, w.id, ttl, append(list, others(marks, seen)...)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range at {
		w.parts[partKey{p.TopicID, p.Partition}] = &part{written: p.Next}
	}
	return nil
}

// others settles partitions of other workers (or imports) that a refill came
// across: it has put every row of the table, so all below the last one seen. It leaves
// what it cannot know, Settled and losses, as it is.
func others(marks Marks, seen map[partKey]int64) []Settlement {
	var list []Settlement
	for k, next := range seen {
		m, _ := marks.Find(k.topicID, k.id)
		list = append(list, Settlement{TopicID: k.topicID, Partition: k.id, Settled: m.Settled, Written: next})
	}
	return list
}

// Settle notes where the table stands now, after it has written again whatever
// the store has lost below that.
func (w *Writer) Settle(ctx context.Context, c *feature.Commit) error {
	at := make([]feature.Position, len(c.Advances))
	for i, a := range c.Advances {
		at[i] = a.To
	}
	_, err := w.settle(ctx, at)
	return err
}

// Mend looks for losses when nothing is being committed, as after a lost
// connection to the store: at are the table's positions. It returns the number of rows written again.
func (w *Writer) Mend(ctx context.Context, at []feature.Position) (int64, error) {
	return w.settle(ctx, at)
}

func (w *Writer) settle(ctx context.Context, at []feature.Position) (rows int64, err error) {
	w.mend.Lock()
	defer w.mend.Unlock()
	marks, err := w.store.Marks(ctx, w.id)
	if err != nil {
		return 0, err
	}
	behind := false
	for _, p := range at {
		if m, _ := marks.Find(p.TopicID, p.Partition); m.Good() < p.Next {
			behind = true
		}
	}
	seen := map[partKey]int64{}
	if behind {
		w.mu.Lock()
		w.knowSchema = false // it may be gone with the rest
		w.mu.Unlock()
		if err := w.registerSchema(ctx); err != nil {
			return 0, err
		}
		if seen, rows, err = w.refill(ctx, marks, false); err != nil {
			return 0, err
		}
	}
	var list []Settlement
	for _, p := range at {
		m, _ := marks.Find(p.TopicID, p.Partition)
		list = append(list, Settlement{TopicID: p.TopicID, Partition: p.Partition, Settled: p.Next, Written: p.Next,
			MendedFrom: m.LostFrom, MendedTo: m.LostTo, StillFrom: p.Next})
		delete(seen, partKey{p.TopicID, p.Partition})
	}
	return rows, w.store.Settle(ctx, w.id, w.view.TTL.Micros(), append(list, others(marks, seen)...))
}

// refill writes from the table what the marks do not vouch for. It returns, for
// each partition that rows came from, the offset behind its last one, and the
// number of rows. Needs mend.
func (w *Writer) refill(ctx context.Context, marks Marks, whole bool) (seen map[partKey]int64, rows int64, err error) {
	var since []feature.Position
	for _, m := range marks.Part {
		if good := m.Good(); good > 0 {
			since = append(since, feature.Position{TopicID: m.TopicID, Partition: m.Partition, Next: good})
		}
	}
	whole = whole || len(since) == 0
	w.mu.Lock()
	blind := w.opt.SoleWriter && len(marks.Part) == 0 && len(w.parts) == 0
	w.mu.Unlock()

	start := time.Now()
	seen = map[partKey]int64{}
	write := func(b *feature.Batch) error {
		if b.Len() == 0 {
			return nil
		}
		k := partKey{b.Origin.TopicID, b.Origin.Partition}
		seen[k] = max(seen[k], slices.Max(b.Offsets)+1)
		rows += int64(b.Len())
		if blind {
			return w.fill(ctx, b)
		}
		_, err := w.put(ctx, b, nil)
		return err
	}
	if whole {
		err = w.history.Newest(ctx, w.view, write)
	} else {
		err = w.history.Since(ctx, w.view, since, write)
	}
	if err != nil {
		return nil, rows, err
	}
	w.refilled.Add(float64(rows))
	if rows > 0 {
		w.opt.Log.Info("online store refilled from the table", "view", w.id, "rows", rows, "whole", whole, "took", time.Since(start).Round(time.Millisecond))
	}
	return seen, rows, nil
}
