package tally

import (
	"context"
	"time"
)

// asideEvery is how often it is looked for windows whose owner is not watched, and so
// how long an owner has to be gone before they are set aside: another process may
// know a newer catalog than this one does yet.
const asideEvery = 10 * time.Minute

// aside ends the windows of owners that are no longer watched (a view without its windows,
// a suite that was replaced, a monitor that was deleted), and what fires for them. They would stay open
// for good, be read at each look, and be gone on with, as if nothing was missing, when their owner is watched again.
func (w *Watch[D, T, V]) aside(ctx context.Context, all []Watched[D]) error {
	now := w.opt.Now()
	if !w.asideAt.IsZero() && now.Sub(w.asideAt) < asideEvery {
		return nil
	}
	watched := map[Series]bool{}
	for i := range all {
		watched[all[i].Series] = true
	}
	some, err := w.store.Windows(ctx, WindowQuery{States: []WindowState{Open, Closed}})
	if err != nil {
		return err
	}
	before := w.unwatched
	w.unwatched, w.asideAt = map[Series]bool{}, now
	n := 0
	for i := range some {
		r := &some[i]
		if watched[r.Series] {
			continue
		}
		w.unwatched[r.Series] = true
		if !before[r.Series] {
			continue
		}
		if err := w.store.Close(ctx, r.Series, []int64{r.Start}, now); err != nil {
			return err
		}
		// An early verdict stays. Rows that have come since it was read leave the window closed until the next look.
		j := &Judgement[V]{Series: r.Series, Start: r.Start, State: Abandoned, Verdict: r.Verdict, Deltas: r.Seen, Seen: r.Seen, Change: Change{At: now}}
		if _, err := w.store.Record(ctx, j); err != nil {
			return err
		}
		n++
	}
	if err := w.forget(ctx, watched, before); err != nil {
		return err
	}
	if n > 0 {
		w.opt.Log.Info("windows are not judged: nothing watches them any more", "windows", n, "of", w.opt.What)
	}
	return nil
}

// forget ends what fires for series that were not watched at the last look and are not now.
func (w *Watch[D, T, V]) forget(ctx context.Context, watched, before map[Series]bool) error {
	if w.opt.Forgotten == nil {
		return nil
	}
	states, err := w.store.States(ctx, "", "")
	if err != nil {
		return err
	}
	for _, st := range states {
		if !st.Firing || watched[st.Series] {
			continue
		}
		w.unwatched[st.Series] = true
		if !before[st.Series] {
			continue
		}
		told, err := w.opt.Forgotten(ctx, st)
		if err != nil {
			return err
		}
		if told {
			w.opt.Told()
		}
	}
	return nil
}
