package drift

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// A reference that trails its windows is put together of the panes that were counted before: what is
// compared is the window that starts at t with everything in [t-gap-trailing, t-gap). Only panes that take no more
// rows are in it, each with what it counted, so a verdict can be made again from what is stored. Nothing is left
// out of it, drifted windows neither: what would be left out depends on verdicts, these on what was left out before,
// and a time of day that once looked like drift would look so for ever, because it never became part of the reference.

// mostRecent is how many baselines of trailing references are remembered: windows that late rows amend ask for theirs again.
const mostRecent = 8

// trailing makes the references that trail their windows, of what was counted. For one goroutine at a time.
type trailing struct {
	store  Store
	recent []recent // the newest last
}

// recent is a baseline of panes.
type recent struct {
	Series
	from, to      int64
	panes, merges int64
	*Baseline
}

// trails reports whether the monitor compares with the windows before.
func trails(m *feature.Monitor) bool { return m.Reference.Snapshot == "" && m.Reference.Trailing > 0 }

// before returns what the window that starts at start is compared with, empty where the monitor has not counted for so
// long yet. early says that the window's verdict is: it is nil, to wait for, while a pane of it still takes rows.
func (t *trailing) before(ctx context.Context, m *feature.Monitor, start int64, early bool) (*Baseline, error) {
	s := SeriesOf(m)
	from, to := m.Reference.Before(start)
	q := WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, From: from, Before: to}
	all, err := t.store.Windows(ctx, q)
	if err != nil {
		return nil, err
	}
	want := recent{Series: s, from: from, to: to}
	q.Starts = nil
	for i := range all {
		p := &all[i]
		switch {
		case p.End > to:
		case p.State != Open:
			q.Starts = append(q.Starts, p.Start)
			want.panes, want.merges = want.panes+1, want.merges+p.Deltas
		case early && p.Rows > p.ImportRows:
			return nil, nil
		}
	}
	for i, r := range t.recent {
		if r.Series == s && r.from == from && r.to == to && r.panes == want.panes && r.merges == want.merges {
			t.recent = append(append(t.recent[:i:i], t.recent[i+1:]...), r)
			return r.Baseline, nil
		}
	}
	reaches, err := t.reaches(ctx, s, from, m.Window)
	if err != nil {
		return nil, err
	}
	want.Baseline = NewBaseline(&Profile{})
	if reaches {
		if want.Baseline, err = t.merged(ctx, m, q, to); err != nil {
			return nil, err
		}
	}
	if len(t.recent) >= mostRecent {
		t.recent = t.recent[1:]
	}
	t.recent = append(t.recent, want)
	return want.Baseline, nil
}

// reaches reports whether the monitor has counted since from: what began later is not as long as it is to be, and a
// day that is compared with the night before it has drifted.
func (t *trailing) reaches(ctx context.Context, s Series, from int64, w feature.Window) (bool, error) {
	first, err := t.store.Windows(ctx, WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Limit: 1})
	if err != nil || len(first) == 0 {
		return false, err
	}
	return covers(&first[0], from), nil
}

// covers reports whether a pane that was the first to be counted is the first that can be in a time that begins at from, or older.
func covers(first *WindowRecord, from int64) bool { return first.Start-(first.End-first.Start) < from }

// merged reads the panes, a part of them at a time.
func (t *trailing) merged(ctx context.Context, m *feature.Monitor, q WindowQuery, to int64) (*Baseline, error) {
	b := newTrailed(m, to)
	starts := q.Starts
	q.Profiles = true
	for len(starts) > 0 {
		q.Starts = starts[:min(scanned, len(starts))]
		starts = starts[len(q.Starts):]
		panes, err := t.store.Windows(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range panes {
			if panes[i].Profile == nil && panes[i].Rows > 0 {
				return NewBaseline(&Profile{}), nil // older than profiles are kept: history that was imported late
			}
			b.add(panes[i].Start, panes[i].End, panes[i].Profile)
		}
	}
	return b.baseline(), nil
}

// trailed puts a reference together of panes, and windows of it by which it is seen how far such windows lie apart.
type trailed struct {
	window feature.Window
	to     int64
	first  int64   // start of the oldest pane that had rows
	long   int64   // of the time
	size   int64   // of a window; of the longest month
	whole  int64   // windows that the time has
	every  float64 // of them is looked at
	all    *Profile
	chunks map[int64]*Profile
}

func newTrailed(m *feature.Monitor, to int64) *trailed {
	t := &trailed{window: m.Window, to: to, first: to, long: m.Reference.Trailing.Micros(), size: int64(31 * 24 * time.Hour / time.Microsecond), all: &Profile{}, chunks: map[int64]*Profile{}}
	if d, err := feature.ParseDuration(m.Window.Size); err == nil {
		t.size = d.Micros()
	}
	t.whole = t.long / t.size
	t.every = max(1, float64(t.whole)/mostChunks)
	return t
}

// add takes a pane of the time, in the order of their starts; its profile stays as it is.
func (t *trailed) add(start, end int64, p *Profile) {
	if p == nil {
		return
	}
	t.all.Merge(p)
	t.first = min(t.first, start)
	at := (t.to - end) / t.size // counted back, so that the newest window is whole
	if at >= t.whole || at > 0 && int64(float64(at)/t.every) == int64(float64(at-1)/t.every) {
		return
	}
	if t.window.Panes() == 1 {
		t.chunks[start] = p
		return
	}
	if t.chunks[at] == nil {
		t.chunks[at] = &Profile{}
	}
	t.chunks[at].Merge(p)
}

// baseline is what came of it: empty where more than the first half of the time has nothing, after a pause of the stream or
// of the monitor, for an hour that is called ten is what the ten hours are there to prevent.
func (t *trailed) baseline() *Baseline {
	if t.first-(t.to-t.long) > t.long/2 {
		return NewBaseline(&Profile{})
	}
	chunks := make([]*Profile, 0, len(t.chunks))
	for _, at := range slices.Sorted(maps.Keys(t.chunks)) {
		chunks = append(chunks, t.chunks[at])
	}
	return newCalibrated(t.all, chunks)
}
