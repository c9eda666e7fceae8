package drift_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmem "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// model is a stream of predictions, one of outcomes, and what watches them.
type model struct {
	t      *testing.T
	r      *rand.Rand
	mon    *feature.Monitor
	store  drift.Store
	watch  *drift.Watch
	taps   [2]*drift.Tap // of predictions and outcomes
	at     [2]feature.Position
	table  [2][]*feature.Batch
	reg    *prometheus.Registry
	log    strings.Builder
	now    time.Time
	ids    int
	fail   error // of the tables
	landed int
}

func newModel(t *testing.T, change func(*feature.Monitor)) *model {
	keys := []feature.Field{{Name: "id", Type: feature.String}}
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "predictions"}, Keys: keys, Version: 1, Features: []feature.Field{{Name: "score", Type: feature.Float64}}}
	o := &feature.View{Meta: feature.Meta{Project: "p", Name: "outcomes"}, Keys: keys, Version: 1, Features: []feature.Field{{Name: "y", Type: feature.Bool}}}
	m := &model{t: t, r: rand.New(rand.NewPCG(31, 32)), store: memory.New(), now: time.Unix(1e9, 0), reg: prometheus.NewRegistry()}
	m.mon = &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "predictions", ViewOf: v, Version: 1, Window: feature.Window{Size: "1h"},
		Reference: feature.Reference{From: time.Unix(0, 0), To: time.Unix(7200, 0)}, Retrain: feature.Retrain{Model: "churn"},
		Performance: &feature.Performance{Prediction: "score", Kind: feature.Probability,
			Outcomes: feature.Outcomes{View: "outcomes", Label: "y", Within: feature.Duration(2 * time.Hour), ViewOf: o}}}
	if change != nil {
		change(m.mon)
	}
	for i, v := range []*feature.View{v, o} {
		m.taps[i] = drift.NewTap(v, []*feature.Monitor{m.mon}, m.store, drift.TapOptions{Now: m.clock})
		m.at[i] = feature.Position{TopicID: [16]byte{byte(1 + i)}}
		require.NoError(t, m.taps[i].Assign(bg, m.at[i:i+1]))
	}
	m.watch = drift.NewWatch(drift.WatchOptions{Store: m.store, History: m, Config: drift.DefaultConfig(), Route: outbox.To("kafka"), Now: m.clock,
		Monitors: func(context.Context) ([]*feature.Monitor, error) { return []*feature.Monitor{m.mon}, nil },
		Log:      slog.New(slog.NewTextHandler(&m.log, nil)), Metrics: drift.NewMetrics(m.reg)})
	return m
}

func (m *model) clock() time.Time { return m.now }

func (m *model) Scan(_ context.Context, v *feature.View, from, to int64, _ []string, fn func(*feature.Batch) error) error {
	if m.fail != nil {
		return m.fail
	}
	which := 0
	if v.Meta.Name == "outcomes" {
		which = 1
	}
	for _, b := range m.table[which] {
		for i := range b.Len() {
			if b.EventTime[i] < from || b.EventTime[i] >= to {
				continue
			}
			one := *b
			one.Rows = b.Rows.NewSlice(int64(i), int64(i+1))
			one.Offsets, one.EventTime, one.KnownTime = b.Offsets[i:i+1], b.EventTime[i:i+1], b.KnownTime[i:i+1]
			if err := fn(&one); err != nil {
				return err
			}
		}
	}
	return nil
}

type scored struct {
	id    string
	at    int64
	score float64
	y     bool
}

// land lands rows of the predictions (0) or the outcomes (1). A worker that dies before it can tell that
// its commit has landed is followed by another.
func (m *model) land(which int, rows []scored, dies bool) {
	m.t.Helper()
	v := m.mon.ViewOf
	if which == 1 {
		v = m.mon.Performance.Outcomes.ViewOf
	}
	b := &feature.Batch{View: v, Origin: feature.Origin{TopicID: m.at[which].TopicID, First: m.at[which].Next}}
	rb := array.NewRecordBuilder(arrowmem.DefaultAllocator, v.Schema())
	for i, x := range rows {
		b.Offsets = append(b.Offsets, m.at[which].Next+int64(i))
		b.EventTime, b.KnownTime = append(b.EventTime, x.at), append(b.KnownTime, x.at)
		rb.Field(0).(*array.StringBuilder).Append(x.id)
		if which == 0 {
			rb.Field(1).(*array.Float64Builder).Append(x.score)
		} else {
			rb.Field(1).(*array.BooleanBuilder).Append(x.y)
		}
	}
	b.Rows = rb.NewRecordBatch()
	b.Origin.Next = m.at[which].Next + int64(len(rows))
	to := m.at[which]
	m.landed++
	to.Next, to.Commit = b.Origin.Next, fmt.Sprint("c", m.landed)
	c := &feature.Commit{ID: to.Commit, View: v, Partitions: 1, Advances: []feature.Advance{{From: m.at[which], To: to, Drained: true}}}
	require.NoError(m.t, m.taps[which].Write(bg, b))
	m.taps[which].Cut(c)
	require.NoError(m.t, m.taps[which].Stage(bg, c))
	m.table[which] = append(m.table[which], b)
	m.at[which] = to
	if dies {
		m.taps[which] = drift.NewTap(v, []*feature.Monitor{m.mon}, m.store, drift.TapOptions{Now: m.clock})
		require.NoError(m.t, m.taps[which].Assign(bg, []feature.Position{to}))
		return
	}
	require.NoError(m.t, m.taps[which].Settle(bg, c))
}

// predict are n predictions of an hour and their outcomes an hour and a half later; wrong is the share of outcomes that are other than said.
func (m *model) predict(h int64, n int, wrong float64) (predictions, outcomes []scored) {
	for i := range n {
		m.ids++
		x := scored{id: fmt.Sprint("k", m.ids), at: h*hour + int64(i)*(hour/int64(n)), score: 0.1 + 0.8*float64(m.r.IntN(2))}
		x.y = (x.score > 0.5) != (m.r.Float64() < wrong)
		predictions = append(predictions, x)
		x.at += 3 * hour / 2
		outcomes = append(outcomes, x)
	}
	return predictions, outcomes
}

func (m *model) windows() string {
	m.t.Helper()
	require.NoError(m.t, m.watch.Pass(bg))
	all, err := drift.NewReader(m.store).Windows(bg, m.mon, 0)
	require.NoError(m.t, err)
	var out []string
	for _, w := range all {
		s := string(w.State)
		if w.Verdict != nil {
			s = fmt.Sprintf("%s %d/%d", w.Verdict.Outcome, w.Verdict.Performance.Outcomes, w.Verdict.Performance.Predictions)
		}
		out = append(out, fmt.Sprintf("%d %s", w.Start/hour, s))
	}
	return strings.Join(out, ", ")
}

func (m *model) events() []drift.Event {
	all, err := m.store.Events(bg, drift.EventQuery{})
	require.NoError(m.t, err)
	return all
}

// TestPerformanceStory: predictions come, outcomes later; a model that becomes worse is told of once, and that it
// is good again. Workers die in between, outcomes come twice, and nothing of that is seen.
func TestPerformanceStory(t *testing.T) {
	m := newModel(t, nil)
	share := []float64{0.1, 0.1, 0.1, 0.4, 0.4, 0.1, 0.1}
	var outcomes [][]scored
	for h, wrong := range share {
		p, o := m.predict(int64(h), 400, wrong)
		m.land(0, p, h%2 == 0)
		outcomes = append(outcomes, o)
	}
	require.Equal(t, "0 reference, 1 reference, 2 closed, 3 closed, 4 closed, 5 closed, 6 open", m.windows())
	m.land(1, outcomes[0], false)
	m.land(1, outcomes[1], true)
	m.land(1, outcomes[1], false) // once more, as a producer that is not sure sends them
	require.Equal(t, "0 reference, 1 reference, 2 closed, 3 closed, 4 closed, 5 closed, 6 open", m.windows(), "outcomes may come up to two hours later")
	m.land(1, outcomes[2], false)
	require.Contains(t, m.windows(), "2 closed", "and still may")
	m.land(1, outcomes[3], true)
	require.Contains(t, m.windows(), "2 steady 400/400, 3 closed", "now the stream of the outcomes is two hours further")
	require.Empty(t, m.events())
	m.land(1, outcomes[4], false)
	require.Contains(t, m.windows(), "2 steady 400/400, 3 drifted 400/400, 4 closed")
	require.Len(t, m.events(), 1)
	m.land(1, outcomes[5], false)
	m.land(1, outcomes[6], false)
	require.Contains(t, m.windows(), "4 drifted 400/400, 5 steady 400/400, 6 open")
	p, o := m.predict(9, 1, 0)
	m.land(0, p, false)
	m.land(1, o, true)
	require.Equal(t, "0 reference, 1 reference, 2 steady 400/400, 3 drifted 400/400, 4 drifted 400/400, 5 steady 400/400, 6 steady 400/400, 9 open", m.windows())
	all := m.events()
	require.Len(t, all, 2)
	require.Equal(t, []string{drift.ResolvedType, drift.DetectedType}, []string{all[0].Type, all[1].Type})
	require.True(t, all[1].Retrain)
	require.Contains(t, m.log.String(), "accuracy: 0.57")

	var ce struct{ Data drift.EventData }
	require.NoError(t, json.Unmarshal(all[1].Payload, &ce))
	require.Empty(t, ce.Data.Features)
	require.Equal(t, []string{"accuracy", "log_loss"}, ce.Data.Performance.Worse())
	require.EqualValues(t, 400, ce.Data.Performance.Outcomes)
	right := 0
	for _, x := range outcomes[3] {
		if x.y == (x.score > 0.5) {
			right++
		}
	}
	require.InDelta(t, float64(right)/400, *ce.Data.Performance.Metrics[0].Value, 1e-12)
	n, err := testutil.GatherAndCount(m.reg, "weir_drift_performance", "weir_drift_outcome_coverage")
	require.NoError(t, err)
	require.Equal(t, 3, n)

	// History tells the same.
	b := &drift.Backtester{Store: m.store, History: m}
	back, err := b.Run(bg, m.mon, 2*hour, 9*hour)
	require.NoError(t, err)
	require.Len(t, back.Windows, 5)
	live, err := drift.NewReader(m.store).Windows(bg, m.mon, 0)
	require.NoError(t, err)
	for i, w := range back.Windows {
		require.Equal(t, live[i+2].Verdict.Performance, w.Verdict.Performance)
	}
	require.Len(t, back.Changes, 2)
	require.Equal(t, 4*hour, back.Changes[0].End)
	require.Equal(t, 6*hour, back.Changes[1].End)
	require.False(t, back.State.Drifting)
	_, err = b.Run(bg, m.mon, 9*hour, 10*hour)
	require.Equal(t, feature.Invalid, feature.KindOf(err), "its outcomes may still come")
}

// TestOutcomesThatNeverCome: a window is judged without them when the predictions say that it is time, and says nothing.
func TestOutcomesThatNeverCome(t *testing.T) {
	m := newModel(t, func(m *feature.Monitor) {
		m.Reference, m.Performance.Baseline = feature.Reference{}, map[string]float64{"accuracy": 0.9}
	})
	p, o := m.predict(0, 400, 0.5)
	m.land(0, p, false)
	m.land(1, o[:100], false)
	p, _ = m.predict(5, 1, 0)
	m.land(0, p, false)
	require.Equal(t, "0 closed, 5 open", m.windows(), "the outcomes may be late")
	m.now = m.now.Add(time.Minute)
	require.Equal(t, "0 insufficient 100/400, 5 open", m.windows())
	require.Empty(t, m.events())
	p, o = m.predict(6, 400, 0.5)
	m.land(0, p, false)
	m.land(1, o, false)
	p, o = m.predict(9, 1, 0)
	m.land(0, p, false)
	m.land(1, o, false)
	require.Equal(t, "0 insufficient 100/400, 5 insufficient 0/1, 6 drifted 400/400, 9 open", m.windows())
	require.Contains(t, string(m.events()[0].Payload), `"reference":{"baseline":{"accuracy":0.9}}`)

	// Tables that cannot be read put a verdict off, and by hand it comes at once.
	p, _ = m.predict(12, 400, 0)
	m.land(0, p, false)
	m.fail = feature.Errorf(feature.Unavailable, "test", "table", "away")
	_, err := m.watch.Judge(bg, "p", "m")
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	m.fail = nil
	got, err := m.watch.Judge(bg, "p", "m")
	require.NoError(t, err)
	require.Len(t, got, 2)
}

// TestReferenceWithoutOutcomes: nothing is judged, nothing is kept, and it is said why; once they are there it is.
func TestReferenceWithoutOutcomes(t *testing.T) {
	m := newModel(t, nil)
	p0, o0 := m.predict(0, 400, 0.1)
	p2, o2 := m.predict(2, 400, 0.4)
	m.land(0, p0, false)
	m.land(0, p2, false)
	m.land(1, o2, false)
	p, o := m.predict(8, 1, 0)
	m.land(0, p, false)
	m.land(1, o, false)
	require.Equal(t, "0 reference, 2 insufficient 400/400, 8 open", m.windows())
	require.Contains(t, m.log.String(), "no predictions with outcomes")
	m.land(1, o0, false)
	p, o = m.predict(9, 400, 0.4)
	m.land(0, p, false)
	m.land(1, o, false)
	p, o = m.predict(13, 1, 0)
	m.land(0, p, false)
	m.land(1, o, false)
	require.Equal(t, "0 reference, 2 insufficient 400/400, 8 insufficient 1/1, 9 drifted 400/400, 13 open", m.windows())
}
