package drift

import (
	"context"
	"errors"
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
	kept   profileCache
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
	q := WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, From: from, Before: to, Bare: true}
	all, err := t.store.Windows(ctx, q)
	if err != nil {
		return nil, err
	}
	want := recent{Series: s, from: from, to: to}
	var panes []pane
	for i := range all {
		p := &all[i]
		switch {
		case p.End > to:
		case p.State != Open:
			if p.Rows > 0 {
				panes = append(panes, pane{p.Start, p.End, p.Deltas})
			}
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
		if want.Baseline, err = t.merged(ctx, m, q, panes); err != nil {
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
	first, err := t.store.Windows(ctx, WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Limit: 1, Bare: true})
	if err != nil || len(first) == 0 {
		return false, err
	}
	return covers(&first[0], from), nil
}

// covers reports whether a pane that was the first to be counted is the first that can be in a time that begins at from, or older.
func covers(first *WindowRecord, from int64) bool { return first.Start-(first.End-first.Start) < from }

// merged puts the panes that q asks for together. Those that are not at hand are read, a part of them at a time.
func (t *trailing) merged(ctx context.Context, m *feature.Monitor, q WindowQuery, panes []pane) (*Baseline, error) {
	b, series := newTrailed(m, q.Before), SeriesOf(m)
	q.Profiles = true
	err := b.merge(&t.kept, series, q.From, panes, func(want []pane, fn func(*pane, *Profile) bool) error {
		var ahead map[int64]*Profile
		for i := range want {
			p := &want[i]
			x := t.kept.get(cached{series, p.start, 0}, 1, p.merges)
			if _, ok := ahead[p.start]; x == nil && !ok {
				var err error
				if ahead, err = t.read(ctx, q, want[i:]); err != nil {
					return err
				}
			}
			if x == nil {
				x = ahead[p.start]
			}
			if x == nil {
				return errEmptyReference // older than profiles are kept: history that was imported late
			}
			if again := fn(p, x); again {
				t.kept.put(cached{series, p.start, 0}, 1, p.merges, x)
			}
		}
		return nil
	})
	if errors.Is(err, errEmptyReference) {
		return NewBaseline(&Profile{}), nil
	}
	if err != nil {
		return nil, err
	}
	return b.baseline(), nil
}

// read gives the profiles of the next panes that are not at hand.
func (t *trailing) read(ctx context.Context, q WindowQuery, want []pane) (map[int64]*Profile, error) {
	q.Starts = nil
	for i := range want {
		if t.kept.get(cached{Series{Project: q.Project, Owner: q.Owner, Size: q.Size}, want[i].start, 0}, 1, want[i].merges) == nil {
			q.Starts = append(q.Starts, want[i].start)
		}
		if len(q.Starts) == scanned {
			break
		}
	}
	all, err := t.store.Windows(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]*Profile, len(all))
	for i := range all {
		out[all[i].Start] = all[i].Profile
	}
	return out, nil
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

// chunk is which of the windows that are looked at a pane is part of, counted back from the end so that the newest is whole.
func (t *trailed) chunk(p *pane) (at int64, ok bool) {
	at = (t.to - p.end) / t.size
	return at, at < t.whole && (at == 0 || int64(float64(at)/t.every) != int64(float64(at-1)/t.every))
}

// look takes a pane of a window that is looked at; its profile stays as it is.
func (t *trailed) look(at int64, p *pane, x *Profile) {
	if t.window.Panes() == 1 {
		t.chunks[p.start] = x
		return
	}
	if t.chunks[at] == nil {
		t.chunks[at] = &Profile{}
	}
	t.chunks[at].Merge(x)
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
