package tally

import (
	"context"
	"time"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// view is what the progress of a view says.
type view struct {
	mark   int64
	marked bool
	live   bool            // a partition of the stream is not idle
	final  map[string]bool // imports by topic id: whether they have ended
	ended  int64           // the newest event time of an import that has ended
	any    bool            // ended means something
	known  bool            // the stream's partitions are known, all of them
	busy   bool            // an import is under way
}

func (w *Watch[D, T, V]) progress(ctx context.Context, x *Watched[D]) (v view, err error) {
	all, err := w.store.Progress(ctx, x.ViewID)
	if err != nil {
		return v, err
	}
	v.final = map[string]bool{}
	idle := time.Duration(x.Window.IdleFor)
	if idle == 0 {
		idle = time.Minute
	}
	now := w.opt.Now()
	// Of several incarnations of a topic the one that moved last counts.
	var newest *Progress
	for i := range all {
		p := &all[i]
		if p.Partition == feature.ReplayPartition {
			continue // its rows are late ones: how far the stream has come they do not say
		}
		if p.Partition == feature.ImportPartition {
			v.final[ImportID(p.TopicID)] = p.Final
			v.busy = v.busy || !p.Final && now.Sub(feature.Time(p.Since)) < idle
			if p.Final && p.Any && (!v.any || p.MaxEvent > v.ended) {
				v.ended, v.any = p.MaxEvent, true
			}
		} else if newest == nil || p.Updated > newest.Updated {
			newest = p
		}
	}
	if newest == nil {
		return v, nil
	}
	resumed := w.resumed(all, newest.TopicID, flowKey{x.ViewID, newest.TopicID, idle}, now)
	var parts []window.Partition
	expected := 0
	for i := range all {
		p := &all[i]
		if p.Partition == feature.ImportPartition || p.TopicID != newest.TopicID {
			continue
		}
		expected = max(expected, p.Partitions)
		// Nobody is idle in a stream that has only just begun to flow again.
		since := feature.Time(max(p.Since, resumed))
		x := window.Partition{MaxEvent: p.MaxEvent, Any: p.Any, Drained: p.Drained, Since: since}
		v.live = v.live || !x.Idle(now, idle)
		parts = append(parts, x)
	}
	v.live, v.known = v.live || len(parts) < expected, len(parts) >= expected
	v.mark, v.marked = window.Watermark(parts, expected, now, idle)
	return v, nil
}

// flowKey names a view's stream as watchers with one idle_after see it.
type flowKey struct {
	view  string
	topic [16]byte
	idle  time.Duration
}

// flow is when a stream last moved, and when it began to move after it had been
// quiet for as long as makes a partition idle.
type flow struct{ last, resumed int64 }

// resumed is the time before which no partition of the stream can have been
// idle. When a topic that was quiet for hours gets events again, the first
// partition to be committed would find all others drained and long unchanged,
// and close windows that their events belong to. So does a watch that has just
// started and knows nothing of the past: both give the others idle_after to show.
func (w *Watch[D, T, V]) resumed(all []Progress, topic [16]byte, k flowKey, now time.Time) int64 {
	last := int64(0)
	for i := range all {
		if p := &all[i]; p.TopicID == topic && p.Partition != feature.ImportPartition {
			last = max(last, min(p.Since, now.UnixMicro())) // an assignment puts it ahead
		}
	}
	f := w.flows[k]
	switch {
	case f == nil:
		f = &flow{last: last, resumed: last}
		w.flows[k] = f
	case last > f.last:
		if last-f.last >= k.idle.Microseconds() {
			f.resumed = last
		}
		f.last = last
	}
	return f.resumed
}

// reached reports whether the view's own rows show that a time is over.
func (v *view) reached(t int64) bool {
	return v.marked && v.mark >= t || v.any && v.ended >= t
}

// holds reports whether the view may still bring rows of before a time: its stream flows and
// has not come so far, or nothing is known of it yet. One that is idle holds nothing up, as
// idle partitions do not within a stream; but it must have brought something at some time.
func (v *view) holds(t int64) bool {
	return v.busy || !v.reached(t) && (!v.known && !v.any || v.live || !v.marked && !v.any)
}

// behind reports whether the stream flows and may still bring rows of before the end of a window.
func (v *view) behind(w window.Window, lateness int64) bool {
	return v.live && !(v.marked && w.Due(v.mark, lateness))
}

// past gives what tells whether a time is over in the owner's stream, and further in those that
// it is judged with: they show so themselves, or are idle while the owner's shows it. Who has everything judged now (force)
// says that the windows there are have ended, and not that what comes after the newest has: what they are compared with may be under way.
func (w *Watch[D, T, V]) past(ctx context.Context, x *Watched[D], own *view, force bool) (func(int64) bool, error) {
	if force {
		newest, err := w.store.Windows(ctx, WindowQuery{Project: x.Project, Owner: x.Owner, Size: x.Size, Newest: true, Limit: 1, Bare: true})
		return func(t int64) bool { return own.reached(t) || len(newest) > 0 && t <= newest[0].End }, err
	}
	if len(x.With) == 0 {
		return own.reached, nil
	}
	others := make([]view, len(x.With))
	for i, with := range x.With {
		other := *x
		other.ViewID = with.ViewID
		var err error
		if others[i], err = w.progress(ctx, &other); err != nil {
			return nil, err
		}
	}
	return func(t int64) bool {
		if own.holds(t) {
			return false
		}
		for i := range others {
			at := t + x.With[i].After
			if others[i].holds(at) || !others[i].reached(at) && !own.reached(at) {
				return false
			}
		}
		return true
	}, nil
}

// due tells whether an open window is to be closed. The stream's watermark
// decides where the stream has brought rows and is still running; an import
// closes what it has touched at its end, and never holds a window open.
func (v *view) due(lateness int64, w window.Window, streamed bool, imports []string) bool {
	if streamed && v.marked && w.Due(v.mark, lateness) {
		return true
	}
	if len(imports) == 0 || (streamed && v.live) {
		return false
	}
	for _, id := range imports {
		if !v.final[id] {
			return false
		}
	}
	return true
}
