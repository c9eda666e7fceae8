package drift

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Backtester judges history as a Watch would have: it tells when a monitor would have fired.
// It stores nothing and tells nobody.
type Backtester struct {
	Store      Store // for the reference, if it is there already
	References References
	History    History
	Models     Models // nil where no reference names a model
	Spill      string // folder for predictions that do not fit in memory; the system's when empty
}

// Backtest is what came of it.
type Backtest struct {
	Windows []WindowReport // with rows, oldest first
	Changes []Turned
	State   Status // at the end of it
}

// Turned is a drift that would have been told, or that one is over.
type Turned struct {
	Drifted bool
	Since   int64 // start of the first window of the drift
	End     int64 // of the window that changes the state
}

const (
	mostBacktested = 10_000  // windows
	mostResults    = 250_000 // of features in windows: a client takes 64 MiB
	scanned        = 64      // windows of which the profiles are made at once, by one scan
)

// Run judges the whole windows of the monitor in [from, to), with all rows that
// the table has, so with those that were late. Windows inside the reference are judged too: how often
// the monitor would have fired there says what its promise is worth on this data.
func (b *Backtester) Run(ctx context.Context, m *feature.Monitor, from, to int64) (*Backtest, error) {
	m, err := ResolveReference(ctx, b.Models, m.WithDefaults())
	if err != nil {
		return nil, err
	}
	what := "monitor " + m.ID()
	if !m.Reference.Ready() && m.Performance == nil {
		return nil, feature.Errorf(feature.Invalid, "drift.backtest", what, "it has nothing to compare with yet: %s", m.Reference).
			WithHint("register a version of the model and give it the alias: weir model register; or set a snapshot or a time beside it in the reference")
	}
	if m.ViewOf == nil || from >= to {
		return nil, feature.Errorf(feature.Invalid, "drift.backtest", what, "there is no time between %s and %s", feature.Time(from).Format(time.RFC3339), feature.Time(to).Format(time.RFC3339)).
			WithHint("--from must be before --to")
	}
	size, err := window.Parse(m.Window.Pane())
	if err != nil {
		return nil, err
	}
	most := mostBacktested
	if n := len(Monitored(m)); m.Performance == nil && n > 0 {
		most = max(1, min(most, mostResults/n))
	}
	var spans []window.Window
	for w := size.Of(from); w.End <= to; w = size.Of(w.End) {
		if w.Start-m.Window.Reach() < from {
			continue
		}
		if spans = append(spans, w); len(spans) > most {
			return nil, feature.Errorf(feature.Invalid, "drift.backtest", what, "more than %d windows of %s with %d features", most, m.Window.Size, len(Monitored(m))).
				WithHint("choose a shorter time by --from and --to")
		}
	}
	if len(spans) == 0 {
		return nil, feature.Errorf(feature.Invalid, "drift.backtest", what, "no whole window of %s between --from and --to", m.Window.Size).
			WithHint("windows begin at multiples of their size from 1970-01-01 UTC")
	}
	out := &Backtest{State: Status{Project: m.Meta.Project, Monitor: m.Meta.Name, View: m.View, Size: m.Window.Size}}
	if m.Performance != nil {
		run := backtesting{m: m, out: out}
		if err := b.performance(ctx, m, spans, run.take); err != nil {
			return nil, err
		}
		run.end()
		return out, nil
	}
	run := &backtesting{m: m, out: out}
	if err := b.windows(ctx, m, size, spans, run); err != nil {
		return nil, err
	}
	run.end()
	return out, nil
}

// reference is what the monitor compares with: the stored one, else one made now, which is not stored.
func (b *Backtester) reference(ctx context.Context, m *feature.Monitor) (*Baseline, error) {
	text, err := b.Store.Reference(ctx, referenceKey(m))
	if feature.KindOf(err) == feature.NotFound {
		j := &judging{references: b.References, history: b.History, log: slog.New(slog.DiscardHandler)}
		text, err = j.build(ctx, m, func(int64) bool { return true })
	}
	if err != nil {
		return nil, fmt.Errorf("the reference of monitor %s: %w", m.ID(), err)
	}
	return DecodeBaseline(text)
}

// backtesting is a run.
type backtesting struct {
	m     *feature.Monitor
	out   *Backtest
	state tally.State
	ended int64 // of the window that resolved last
	cools bool
}

// end is the state after all windows.
func (b *backtesting) end() {
	b.out.State.Drifting = b.state.Firing
	if b.state.Firing {
		b.out.State.Since = b.state.Since
	}
	if n := len(b.out.Windows); n > 0 {
		b.out.State.Judged, b.out.State.Last = n, &b.out.Windows[n-1].WindowRecord
	}
}

// take counts a window's verdict.
func (b *backtesting) take(w window.Window, v *Verdict, rows int64) {
	r := WindowReport{WindowRecord: WindowRecord{Series: SeriesOf(b.m), Start: w.Start, End: w.End, State: Judged, Rows: rows, Verdict: v}, Features: v.Features}
	b.out.Windows = append(b.out.Windows, r)
	o := tally.Good
	switch {
	case v.Outcome == Insufficient, v.Outcome == Drifted && b.cools && !b.state.Firing && cools(b.m, w.Start, b.ended):
		o = tally.Unsure
	case v.Outcome == Drifted:
		o = tally.Bad
	}
	next, turn, _ := b.state.Count(w.Start, o, b.m.Windows, b.m.Windows)
	b.state = next
	if turn == nil {
		return
	}
	b.out.Changes = append(b.out.Changes, Turned{Drifted: turn.Firing, Since: turn.Since, End: w.End})
	if !turn.Firing {
		b.cools, b.ended = b.m.CoolDown > 0, w.End
	}
}
