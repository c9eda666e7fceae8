package drift

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// awaits is the stream that a monitor of performance waits for, and how long: a window is judged when its
// predictions can have no outcomes any more.
func awaits(m *feature.Monitor) []tally.With {
	if m.Performance == nil || m.Performance.Outcomes.ViewOf == nil {
		return nil
	}
	o := &m.Performance.Outcomes
	return []tally.With{{ViewID: o.ViewOf.ID(), After: o.Within.Micros() + m.Window.Lateness.Micros()}}
}

// judgesPerformance reports whether a view's rows are outcomes that a monitor waits for.
func judgesPerformance(m *feature.Monitor, view string) bool {
	return m.Performance != nil && m.Performance.Outcomes.ViewOf != nil && m.Performance.Outcomes.ViewOf.ID() == view
}

// performance judges a window by what the tables have; nil while it has to wait. There are no early verdicts:
// outcomes that come soon are seldom like those that come late (who leaves, leaves at once; who stays, stays to the end).
func (j *judging) performance(ctx context.Context, m *feature.Monitor, r *WindowRecord, past func(int64) bool) (*Verdict, error) {
	if r.State == Open || !past(r.End) {
		return nil, nil
	}
	ref, err := j.standard(ctx, m, past)
	if err != nil || ref == nil {
		return nil, err
	}
	join, err := newJoiner(m, j.history, j.spill)
	if err != nil {
		return nil, err
	}
	cur := &scores{}
	if err := join.run(ctx, r.Start, r.End, func(p *prediction) { join.count(cur, p) }); err != nil {
		return nil, err
	}
	return judgePerformance(m, ref, cur), nil
}

// standard is what the monitor's windows are compared with; nil when it cannot be made yet.
func (j *judging) standard(ctx context.Context, m *feature.Monitor, past func(int64) bool) (*standard, error) {
	if len(m.Performance.Baseline) > 0 {
		return &standard{}, nil
	}
	key, err := standardKey(m)
	if err != nil {
		return nil, err
	}
	b, err := j.store.Reference(ctx, key)
	switch {
	case err == nil:
		return decodeStandard(b)
	case feature.KindOf(err) != feature.NotFound:
		return nil, err
	case !past(m.Reference.To.UnixMicro()):
		return nil, nil
	}
	s, err := buildStandard(ctx, m, j.history, j.spill)
	if err != nil {
		return nil, err
	}
	if s.Whole.Judged == 0 {
		// Not kept: its rows may still be imported.
		j.log.Warn("the monitor's reference has no predictions with outcomes: nothing can be judged",
			"monitor", m.ID(), "view", m.View, "from", m.Reference.From, "to", m.Reference.To, "predictions", s.Whole.Predictions)
		return s, nil
	}
	if b, err = s.encode(); err != nil {
		return nil, err
	}
	return s, j.store.PutReference(ctx, key, b, j.now())
}

// buildStandard reads the predictions of the monitor's reference and their outcomes.
func buildStandard(ctx context.Context, m *feature.Monitor, h History, spill string) (*standard, error) {
	join, err := newJoiner(m, h, spill)
	if err != nil {
		return nil, err
	}
	from, to := m.Reference.From.UnixMicro(), m.Reference.To.UnixMicro()
	whole, windows := &scores{}, chunkWindows(join.size, from, to)
	err = join.run(ctx, from, to, func(p *prediction) {
		join.count(whole, p)
		if w := windows[p.window]; w != nil {
			join.count(w, p)
		}
	})
	if err != nil {
		return nil, err
	}
	some := make([]*scores, 0, len(windows))
	for _, w := range windows {
		some = append(some, w)
	}
	return newStandard(m, whole, some), nil
}

// standardKey names a monitor's standard: whatever the numbers depend on is in it.
func standardKey(m *feature.Monitor) (string, error) {
	p := m.Performance
	what, err := json.Marshal([]any{m.Reference.From.UnixMicro(), m.Reference.To.UnixMicro(), m.Window.Size, m.ViewOf.ID(), m.ViewOf.Version,
		p.Prediction, p.Kind, p.Threshold, p.Positive, p.Metrics, p.Outcomes.ViewOf.ID(), p.Outcomes.ViewOf.Version, p.Outcomes})
	if err != nil {
		return "", feature.Errorf(feature.Internal, "drift.performance", "monitor "+m.ID(), "%w", err)
	}
	h := sha256.Sum256(what)
	return m.ID() + "@performance-" + hex.EncodeToString(h[:12]), nil
}

// over are the windows whose outcomes can have come, as far as the streams tell; all of them where nothing streams.
func (b *Backtester) over(ctx context.Context, m *feature.Monitor, spans []window.Window) ([]window.Window, error) {
	newest, any := int64(0), false
	for _, view := range []string{m.ViewOf.ID(), m.Performance.Outcomes.ViewOf.ID()} {
		all, err := b.Store.Progress(ctx, view)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if p.Any && p.Partition != feature.ReplayPartition && (!any || p.MaxEvent > newest) {
				newest, any = p.MaxEvent, true
			}
		}
	}
	after := m.Performance.Outcomes.Within.Micros() + m.Window.Lateness.Micros()
	for any && len(spans) > 0 && spans[len(spans)-1].End+after > newest {
		spans = spans[:len(spans)-1]
	}
	if len(spans) == 0 {
		return nil, feature.Errorf(feature.Invalid, "drift.backtest", "monitor "+m.ID(), "the outcomes of all these windows may still come: they are waited for for %s", m.Performance.Outcomes.Within).
			WithHint("choose an earlier --from")
	}
	return spans, nil
}

// performance judges whole windows of history whose outcomes can have come.
func (b *Backtester) performance(ctx context.Context, m *feature.Monitor, spans []window.Window, judge func(window.Window, *Verdict, int64)) error {
	spans, err := b.over(ctx, m, spans)
	if err != nil {
		return err
	}
	ref := &standard{}
	if len(m.Performance.Baseline) == 0 {
		if ref, err = buildStandard(ctx, m, b.History, b.Spill); err != nil {
			return fmt.Errorf("the reference of monitor %s: %w", m.ID(), err)
		}
	}
	join, err := newJoiner(m, b.History, b.Spill)
	if err != nil {
		return err
	}
	for len(spans) > 0 {
		part := spans[:min(scanned, len(spans))]
		spans = spans[len(part):]
		of := map[int64]*scores{}
		for _, w := range part {
			of[w.Start] = &scores{}
		}
		err := join.run(ctx, part[0].Start, part[len(part)-1].End, func(p *prediction) {
			if s := of[p.window]; s != nil {
				join.count(s, p)
			}
		})
		if err != nil {
			return err
		}
		for _, w := range part {
			if s := of[w.Start]; s.Predictions > 0 {
				judge(w, judgePerformance(m, ref, s), s.Predictions)
			}
		}
	}
	return nil
}

// performance shows what was measured.
func (m *Metrics) performance(project, monitor string, v *Verdict) {
	if v == nil || v.Performance == nil {
		return
	}
	p := v.Performance
	m.coverage.WithLabelValues(project, monitor).Set(p.Coverage)
	for i := range p.Metrics {
		if x := &p.Metrics[i]; x.Value != nil {
			m.measured.WithLabelValues(project, monitor, x.Name).Set(*x.Value)
		}
	}
}
