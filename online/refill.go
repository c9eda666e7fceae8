package online

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Assign compares the store's marks with where the table stands and writes what
// is missing below from the table: everything where the store knows nothing of the
// view (or kept its rows under a shorter ttl), else what lies above the marks, of
// other workers' partitions and of imports too.
//
// Where no other process writes the view (SoleWriter), a store without any marks
// is filled with rows that are stored where their key is absent, without comparing: twice as
// fast. That is safe. A key that is there already was put by a Write of this process
// (one that is under way: a finished one leaves a mark), and is newer than what the table had when
// the process started; whatever was committed since then went through such a
// Write as well. A fill that broke off has left a mark to say so, and is done again with comparing.
func (w *Writer) Assign(ctx context.Context, at []feature.Position) error {
	if err := w.registerSchema(ctx); err != nil {
		return err
	}
	w.mend.Lock()
	defer w.mend.Unlock()
	for lost := true; lost; {
		marks, err := w.store.Marks(ctx, w.id)
		if err != nil {
			return err
		}
		for _, p := range at {
			if m, ok := marks.Find(p.TopicID, p.Partition); ok && m.Settled > p.Next {
				w.opt.Log.Error("the table stands behind what the online store was told of it: it was rolled back, or replaced by an older copy; online values that the table no longer has stay until newer ones come",
					"view", w.id, "partition", p.String(), "settled", m.Settled,
					"do", "if the table is right, rebuild the view's online rows from it: weir materialize --view "+w.view.Meta.Name)
			}
		}
		ttl := w.view.TTL.Micros()
		whole := len(marks.Part) > 0 && marks.TTL != 0 && (ttl == 0 || ttl > marks.TTL)
		if whole {
			w.opt.Log.Info("the view's ttl has grown: rows that the online store dropped meanwhile are written again", "view", w.id)
		}
		r, err := w.refill(ctx, marks, whole)
		if err != nil {
			return err
		}
		list := make([]Settlement, 0, len(at)+len(r.mended))
		for _, p := range at {
			// Everything below Next is there now and everything above comes again.
			list = append(list, Settlement{TopicID: p.TopicID, Partition: p.Partition, Settled: p.Next, Written: p.Next, Reset: true})
		}
		if lost, err = w.tell(ctx, marks, at, r, list); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range at {
		w.parts[partKey{p.TopicID, p.Partition}] = &part{written: p.Next}
	}
	return nil
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
// connection to the store. It returns the number of rows written again.
func (w *Writer) Mend(ctx context.Context) (int64, error) {
	at, err := w.history.Positions(ctx, w.view)
	if err != nil {
		return 0, err
	}
	return w.settle(ctx, at)
}

func (w *Writer) settle(ctx context.Context, at []feature.Position) (rows int64, err error) {
	w.mend.Lock()
	defer w.mend.Unlock()
	for lost := true; lost; {
		marks, err := w.store.Marks(ctx, w.id)
		if err != nil {
			return rows, err
		}
		behind := false
		for _, p := range at {
			if m, _ := marks.Find(p.TopicID, p.Partition); m.Good() < p.Next {
				behind = true
			}
		}
		var r refilled
		if behind {
			r, err = w.refill(ctx, marks, false)
			if rows += r.rows; err != nil {
				return rows, err
			}
		}
		list := make([]Settlement, 0, len(at)+len(r.mended))
		for _, p := range at {
			m, _ := marks.Find(p.TopicID, p.Partition)
			list = append(list, Settlement{TopicID: p.TopicID, Partition: p.Partition, Settled: p.Next, Written: p.Next,
				MendedFrom: m.LostFrom, MendedTo: m.LostTo, StillFrom: p.Next})
		}
		if lost, err = w.tell(ctx, marks, at, r, list); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// tell settles the marks after a refill, if the store still has all that marks
// showed and the refill wrote. If it has not (lost), all has to be done again.
func (w *Writer) tell(ctx context.Context, marks Marks, at []feature.Position, r refilled, list []Settlement) (lost bool, err error) {
	seen := seenBelow(marks, append(slices.Clone(at), r.mended...))
	if r.rows > 0 {
		seen = append(seen, r.guard)
	}
	if lost, err = w.store.Settle(ctx, w.id, w.view.TTL.Micros(), append(list, others(marks, r.mended, at)...), seen); err != nil {
		return false, err
	}
	if lost {
		w.opt.Log.Warn("the online store has lost rows while they were counted; looking again", "view", w.id)
		w.mu.Lock()
		w.knowSchema = false // it may be gone with the rest
		w.mu.Unlock()
		return true, w.registerSchema(ctx)
	}
	if r.rows > 0 {
		return false, w.store.Forget(ctx, w.id, []Mark{r.guard})
	}
	return false, nil
}

// seenBelow is what marks vouch for below the positions.
func seenBelow(marks Marks, at []feature.Position) []Mark {
	var seen []Mark
	for _, p := range at {
		m, _ := marks.Find(p.TopicID, p.Partition)
		if good := min(m.Good(), p.Next); good > 0 {
			seen = append(seen, Mark{TopicID: p.TopicID, Partition: p.Partition, Written: good})
		}
	}
	return seen
}

// others settles what a refill has mended beside the partitions in at.
func others(marks Marks, mended, at []feature.Position) []Settlement {
	var list []Settlement
next:
	for _, p := range mended {
		for _, q := range at {
			if p.Same(q) {
				continue next
			}
		}
		m, _ := marks.Find(p.TopicID, p.Partition)
		list = append(list, Settlement{TopicID: p.TopicID, Partition: p.Partition, Settled: max(m.Settled, p.Next), Written: p.Next,
			MendedFrom: m.LostFrom, MendedTo: m.LostTo, StillFrom: p.Next})
	}
	return list
}

// refilled is what a refill did.
type refilled struct {
	mended []feature.Position // below these, all rows have been written by it
	rows   int64
	// guard is a mark that was moved with the rows, so that a store that loses
	// some of them before anybody was told shows it.
	guard Mark
}

// refill writes from the table what the marks do not vouch for, everything if
// whole. Needs mend.
func (w *Writer) refill(ctx context.Context, marks Marks, whole bool) (r refilled, err error) {
	table, err := w.history.Positions(ctx, w.view)
	if err != nil {
		return r, err
	}
	var since []feature.Position
	known := false
	for _, p := range table {
		m, _ := marks.Find(p.TopicID, p.Partition)
		good := m.Good()
		known = known || good > 0
		if good < p.Next {
			r.mended = append(r.mended, p)
			p.Next = good
			since = append(since, p)
		}
	}
	if len(since) == 0 && !whole {
		return refilled{}, nil
	}
	w.mu.Lock()
	blind := w.opt.SoleWriter && len(marks.Part) == 0 && len(w.parts) == 0
	w.knowSchema = false // it may be gone with the rest
	w.mu.Unlock()
	if err := w.registerSchema(ctx); err != nil {
		return r, err
	}
	if blind {
		first := Settlement{TopicID: table[0].TopicID, Partition: table[0].Partition}
		if _, err := w.store.Settle(ctx, w.id, w.view.TTL.Micros(), []Settlement{first}, nil); err != nil {
			return r, err
		}
	}
	r.guard = Mark{Partition: refillPartition}
	binary.BigEndian.PutUint64(r.guard.TopicID[:], rand.Uint64())
	start := time.Now()
	write := func(b *feature.Batch) error {
		r.rows += int64(b.Len())
		adv := &Advance{View: w.id, TopicID: r.guard.TopicID, Partition: refillPartition, From: r.guard.Written, Next: r.rows}
		r.guard.Written = r.rows
		if !blind {
			_, err := w.put(ctx, b, adv)
			return err
		}
		if err := w.fill(ctx, b); err != nil {
			return err
		}
		_, err := w.store.Put(ctx, nil, adv)
		return err
	}
	if whole = whole || !known; whole {
		r.mended = table
		err = w.history.Newest(ctx, w.view, write)
	} else {
		err = w.history.Since(ctx, w.view, since, write)
	}
	if err != nil {
		return r, err
	}
	w.refilled.Add(float64(r.rows))
	if r.rows > 0 {
		w.opt.Log.Info("online store refilled from the table", "view", w.id, "rows", r.rows, "whole", whole, "took", time.Since(start).Round(time.Millisecond))
	}
	return r, nil
}
