package audit

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/internal/offsets"
)

// walk goes through the log of one partition, bucket by bucket. A bucket is done
// when the log has passed its end: what the table and quarantine have of it is
// known by then.
//
// Usually one definition gives all rows. Where a bucket does not come out equal,
// the following are decoded under all definitions until one does, and that one is
// kept to. So the rows of an older definition cost one bucket looked into, not all.
type walk struct {
	r      *run
	p      *part
	log    *kafkalog.Log
	x      *reader
	passed func(int64)

	defs []*definition // in use
	outs []decoded     // by definition

	bucket  int64 // -1 before the first
	seen    offsets.Bits
	rows    offsets.Bits
	held    offsets.Bits
	entries uint64
	tallies []tally // by definition
	from    int64   // first offset of the bucket that the log can have
	before  int64   // the event before, those in quarantine aside
	todo    []*kgo.Record
	prevs   []int64 // the event before each of todo
	one     decoded // of an event under another definition
}

// tally is what the log has of a bucket under one definition.
type tally struct {
	sum  uint64 // of the rows that the table has
	days map[int32]*dayTally
	last *dayTally
	day  int32
	lent int64 // events that another definition had to decode
}

type dayTally struct {
	events int64
	hash   uint64
}

func (t *tally) add(day int32, hash uint64) {
	if t.last == nil || t.day != day {
		if t.days == nil {
			t.days = map[int32]*dayTally{}
		}
		if t.days[day] == nil {
			t.days[day] = &dayTally{}
		}
		t.last, t.day = t.days[day], day
	}
	t.last.events++
	t.last.hash += hash
}

func (w *walk) all(ctx context.Context) (err error) {
	if w.defs, err = w.r.defs.present(); err != nil {
		return err
	}
	w.outs = make([]decoded, len(w.defs))
	w.bucket, w.before = -1, -1
	at := w.p.start
	for {
		err := w.log.Read(ctx, w.p.at.Partition, at, w.p.at.Next, func(recs []*kgo.Record) error {
			next := recs[len(recs)-1].Offset + 1
			w.passed(next - at)
			at = next
			return w.take(ctx, recs)
		})
		if err == nil {
			break
		}
		if !errors.Is(err, kafkalog.ErrGone) {
			return err
		}
		// Retention has overtaken the audit: what is below the new start cannot be compared.
		bounds, berr := w.log.Bounds(ctx)
		if berr != nil {
			return berr
		}
		start := bounds[w.p.at.Partition].Start
		if start <= at {
			return err
		}
		if err := w.finish(ctx, at); err != nil {
			return err
		}
		w.bucket = -1
		start = min(start, w.p.at.Next)
		w.passed(start - at)
		w.p.start, at = start, start
	}
	w.passed(w.p.at.Next - at)
	for w.p.start < w.p.at.Next && w.bucket*offsets.Bucket < w.p.at.Next {
		if err := w.finish(ctx, w.p.at.Next); err != nil {
			return err
		}
		w.begin(w.bucket + 1)
	}
	return nil
}

// begin turns to a bucket.
func (w *walk) begin(n int64) {
	w.bucket, w.entries = n, 0
	w.from = max(w.p.start, n*offsets.Bucket)
	clear(w.seen[:])
	w.p.rows.Read(n, &w.rows)
	w.p.held.Read(n, &w.held)
	w.tallies = make([]tally, len(w.defs))
}

// take takes events in, in offset order.
func (w *walk) take(ctx context.Context, recs []*kgo.Record) error {
	for len(recs) > 0 {
		n := recs[0].Offset / offsets.Bucket
		if w.bucket < 0 {
			w.begin(w.p.start / offsets.Bucket)
		}
		for w.bucket < n {
			if err := w.finish(ctx, w.p.at.Next); err != nil {
				return err
			}
			w.begin(w.bucket + 1)
		}
		k := len(recs)
		if recs[k-1].Offset/offsets.Bucket != n {
			k, _ = slices.BinarySearchFunc(recs, (n+1)*offsets.Bucket, func(r *kgo.Record, o int64) int { return int(min(1, max(-1, r.Offset-o))) })
		}
		if err := w.segment(ctx, recs[:k]); err != nil {
			return err
		}
		recs = recs[k:]
	}
	return nil
}

// segment takes events of the present bucket.
func (w *walk) segment(ctx context.Context, recs []*kgo.Record) error {
	p := w.p
	w.todo, w.prevs = w.todo[:0], w.prevs[:0]
	for _, rec := range recs {
		i := rec.Offset % offsets.Bucket
		w.seen.Set(i)
		if w.held.Has(i) {
			w.entries += recordHash(p.seed, rec, p.bigPayload.Has(rec.Offset), p.bigKey.Has(rec.Offset))
			p.day(dayOf(rec.Timestamp.UnixMicro())).Log++
			if !w.rows.Has(i) {
				continue
			}
		}
		w.todo, w.prevs = append(w.todo, rec), append(w.prevs, w.before)
		w.before = rec.Offset
	}
	for k, d := range w.defs {
		if err := w.x.read(d, w.todo, &w.outs[k]); err != nil {
			return err
		}
		if err := w.tally(ctx, k); err != nil {
			return err
		}
	}
	for i, rec := range w.todo {
		at := rec.Offset % offsets.Bucket
		if w.rows.Has(at) || w.held.Has(at) {
			continue
		}
		if d := w.r.found.offset(Missing, p, rec.Offset, w.prevs[i], w.outs[0].day[i], false); d != nil {
			d.Detail = "in the log, neither in the table nor in quarantine"
		}
	}
	return nil
}

// tally adds up what definition k made of the events.
func (w *walk) tally(ctx context.Context, k int) error {
	t, out := &w.tallies[k], &w.outs[k]
	for i, rec := range w.todo {
		at := rec.Offset % offsets.Bucket
		ok, hash, day := out.ok[i], out.hash[i], out.day[i]
		in := w.rows.Has(at)
		if !ok && in { // a stricter schema came later, say
			t.lent++
			var err error
			if _, hash, day, err = w.elsewhere(ctx, rec, w.defs[k]); err != nil {
				return err
			}
		}
		if in {
			t.sum += hash
		}
		if !w.held.Has(at) {
			t.add(day, hash)
		}
	}
	return nil
}

// elsewhere decodes one event under the other definitions; the first that takes it counts.
func (w *walk) elsewhere(ctx context.Context, rec *kgo.Record, but *definition) (ok bool, hash uint64, day int32, err error) {
	all, err := w.r.defs.all(ctx)
	if err != nil {
		return false, 0, 0, err
	}
	for _, d := range all {
		if d == but {
			continue
		}
		if err := w.x.read(d, []*kgo.Record{rec}, &w.one); err != nil {
			return false, 0, 0, err
		}
		if w.one.ok[0] {
			return true, w.one.hash[0], w.one.day[0], nil
		}
	}
	return false, 0, dayOf(rec.Timestamp.UnixMicro()), nil
}

// finish compares the present bucket, of which the log was read below end.
func (w *walk) finish(ctx context.Context, end int64) error {
	if w.bucket < 0 {
		if w.p.start >= w.p.at.Next {
			return nil
		}
		w.begin(w.p.start / offsets.Bucket)
	}
	first := w.bucket * offsets.Bucket
	end = min(end, first+offsets.Bucket, w.p.at.Next)
	w.strangers(&w.rows, first, end, false)
	w.strangers(&w.held, first, end, true)
	want := w.p.bucket(w.bucket)
	match, events := -1, int64(0)
	for k := range w.tallies {
		if t := &w.tallies[k]; t.sum == want.table && (match < 0 || t.lent < w.tallies[match].lent) {
			match = k
		}
	}
	if match < 0 || w.entries != want.entries {
		w.r.doubtful(&bucketDoubt{p: w.p, n: w.bucket, entries: w.entries != want.entries})
	} else {
		for n, d := range w.tallies[match].days {
			line := w.p.day(n)
			line.Log += d.events
			line.LogHash += d.hash
			events += d.events
		}
	}
	switch {
	case match >= 0 && w.tallies[match].lent <= events/16:
		w.defs = []*definition{w.defs[match]}
	default:
		all, err := w.r.defs.all(ctx)
		if err != nil {
			return err
		}
		w.defs = all
	}
	w.outs = make([]decoded, len(w.defs))
	return nil
}

// strangers reports what the table or quarantine has of [first, end) and the log has not.
func (w *walk) strangers(set *offsets.Bits, first, end int64, held bool) {
	if w.p.compacted {
		return
	}
	what := "in the table, not in the log"
	if held {
		what = "in quarantine, not in the log"
	}
	for i := range set.All() {
		o := first + i
		if o < w.from || o >= end || w.seen.Has(i) {
			continue
		}
		if d := w.r.found.offset(Stranger, w.p, o, o-1, 0, held); d != nil {
			d.Detail = what
		}
	}
}
