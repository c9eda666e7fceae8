package quality_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	tallymemory "github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
	"github.com/weir-ml/weir/validate/quality"
)

const (
	failed   = "io.weir.quality.failed.v1"
	resolved = "io.weir.quality.resolved.v1"
)

// stream is a view whose events come in, and what watches its windows.
type stream struct {
	t     *testing.T
	store *tallymemory.Store[*expect.WindowTally, *quality.Verdict]
	view  *feature.View
	tap   *tally.Tap[*expect.WindowTally]
	watch *quality.Watch
	now   time.Time
	at    feature.Position
	reg   *prometheus.Registry
}

func expectation(t *testing.T, text string) (e feature.Expectation) {
	require.NoError(t, json.Unmarshal([]byte(text), &e))
	return e
}

func newStream(t *testing.T, q feature.Quality, expectations ...string) *stream {
	s := &stream{t: t, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), at: feature.Position{TopicID: [16]byte{1}, Commit: "c0"}}
	suite := &feature.Suite{Meta: feature.Meta{Project: "p", Name: "sane"}, Version: 3}
	for _, e := range expectations {
		suite.Expectations = append(suite.Expectations, expectation(t, e))
	}
	s.view = &feature.View{Meta: feature.Meta{Project: "p", Name: "orders"}, Keys: []feature.Field{{Name: "id", Type: feature.String}},
		Features: []feature.Field{{Name: "amount", Type: feature.Float64}, {Name: "card", Type: feature.String, Path: "card.number"}},
		Quality:  &q, Suite: "sane", SuiteOf: suite}
	require.Empty(t, expect.CheckView(suite, s.view))
	s.store = tallymemory.New[*expect.WindowTally, *quality.Verdict](expect.DecodeWindow, nil)
	s.reg = prometheus.NewRegistry()
	met, now := quality.NewMetrics(s.reg), func() time.Time { return s.now }
	alerts := quality.NewAlerts(s.store, quality.AlertOptions{Route: outbox.To("kafka"), Metrics: met, Now: now})
	s.watch = quality.NewWatch(s.store, quality.WatchOptions{Views: func(context.Context) ([]*feature.View, error) { return []*feature.View{s.view}, nil },
		Alerts: alerts, Config: tally.DefaultConfig(), Metrics: met, Now: now})
	s.open()
	return s
}

// open makes the tap anew, as a change of the view does.
func (s *stream) open() {
	s.tap = tally.NewTap(s.view, quality.Targets(s.view), s.store, tally.TapOptions{Name: "quality", Held: true, Progress: true, Now: func() time.Time { return s.now }})
	require.NoError(s.t, s.tap.Assign(ctx, []feature.Position{s.at}))
}

// row is an event: its minute after twelve, amount and card.
type row struct {
	minute int
	amount float64
	card   string
}

func (s *stream) batch(rows []row, first int64) (arrow.RecordBatch, []int64, []int64) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s.view.Schema())
	defer b.Release()
	var offsets, times []int64
	for i, r := range rows {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprint("o", first+int64(i)))
		b.Field(1).(*array.Float64Builder).Append(r.amount)
		if r.card == "" {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.StringBuilder).Append(r.card)
		}
		offsets = append(offsets, first+int64(i))
		times = append(times, time.Date(2026, 11, 20, 12, r.minute, 0, 0, time.UTC).UnixMicro())
	}
	return b.NewRecordBatch(), offsets, times
}

// send has rows come in and land, those of held being held back, and looks at the windows.
func (s *stream) send(rows []row, held ...row) {
	s.t.Helper()
	next := s.at.Next + int64(len(rows)+len(held))
	b := &feature.Batch{View: s.view, Origin: feature.Origin{TopicID: s.at.TopicID, First: s.at.Next, Next: next}}
	b.Rows, b.Offsets, b.EventTime = s.batch(rows, s.at.Next)
	b.KnownTime = b.EventTime
	defer b.Rows.Release()
	if len(held) > 0 {
		h := &feature.Held{}
		h.Rows, h.Offsets, h.EventTime = s.batch(held, s.at.Next+int64(len(rows)))
		defer h.Rows.Release()
		b.Held = h
	}
	require.NoError(s.t, s.tap.Write(ctx, b))
	to := feature.Position{TopicID: s.at.TopicID, Next: next, Commit: fmt.Sprint("c", next)}
	c := &feature.Commit{ID: to.Commit, View: s.view, Partitions: 1, Advances: []feature.Advance{{From: s.at, To: to}}}
	s.tap.Cut(c)
	require.NoError(s.t, s.tap.Stage(ctx, c))
	require.NoError(s.t, s.tap.Settle(ctx, c))
	s.at = to
	s.now = s.now.Add(time.Second)
	require.NoError(s.t, s.watch.Pass(ctx))
}

func (s *stream) told() (out []string) {
	for _, e := range s.events() {
		out = append(out, e.Type)
	}
	return out
}

// events are what was told, oldest first.
func (s *stream) events() (out []tally.Event) {
	evs, err := s.store.Events(ctx, tally.EventQuery{})
	require.NoError(s.t, err)
	for i := range evs {
		out = append(out, evs[len(evs)-1-i])
	}
	return out
}

func (s *stream) alert(i int) quality.Alert {
	a, err := quality.ReadAlert(s.events()[i].Payload)
	require.NoError(s.t, err)
	return *a
}

// verdicts lists the windows, oldest first, as "start outcome state amended".
func (s *stream) verdicts() (out []string) {
	ws, err := s.store.Windows(ctx, tally.WindowQuery{})
	require.NoError(s.t, err)
	for _, w := range ws {
		o := "none"
		if w.Verdict != nil {
			o = string(w.Verdict.Outcome)
		}
		out = append(out, fmt.Sprintf("%s %s %s %d", feature.Time(w.Start).UTC().Format("15:04"), o, w.State, w.Amended))
	}
	return out
}

func (s *stream) verdict(i int) *quality.Verdict {
	ws, err := s.store.Windows(ctx, tally.WindowQuery{})
	require.NoError(s.t, err)
	return ws[i].Verdict
}

const mean = `{"type": "expect_column_mean_to_be_between", "kwargs": {"column": "amount", "min_value": 5, "max_value": {"$PARAMETER": "most"}}, "severity": "warning", "id": "usual"}`

func tenMinutes() feature.Quality {
	return feature.Quality{Window: feature.Window{Size: "10m", Lateness: minutes(20)}, Parameters: map[string]json.RawMessage{"most": []byte("15")}}
}

// TestAmended: a window whose mean is off is told of at its end, late events amend it, and it is resolved.
func TestAmended(t *testing.T) {
	s := newStream(t, tenMinutes(), mean)
	s.send([]row{{1, 100, ""}, {2, 100, ""}})
	require.Empty(t, s.told(), "the window is not over")
	s.send([]row{{11, 10, ""}})
	require.Equal(t, []string{failed}, s.told())
	require.Equal(t, []string{"12:00 failed open 0", "12:10 none open 0"}, s.verdicts())
	a := s.alert(0)
	require.Equal(t, feature.Warning, a.Severity)
	require.Equal(t, "sane", a.Suite)
	require.True(t, a.Window.Early)
	require.Len(t, a.Expectations, 1)
	require.Equal(t, "usual", a.Expectations[0].Name())
	require.EqualValues(t, 100, a.Expectations[0].Observed)
	require.JSONEq(t, `{"min_value": 5, "max_value": {"$PARAMETER": "most"}}`, a.Expectations[0].Expected)
	require.Contains(t, a.Reason, "fails usual")
	require.EqualValues(t, 1, gauge(t, s.reg, "weir_quality_alerts_firing"))

	s.send([]row{{3, 100, ""}})
	require.Len(t, s.told(), 1, "amended, and as bad")
	var good []row
	for range 90 {
		good = append(good, row{4, 8, ""})
	}
	s.send(good)
	require.Equal(t, []string{failed, resolved}, s.told())
	require.Equal(t, "12:00 ok open 2", s.verdicts()[0])
	b := s.alert(1)
	require.Equal(t, s.events()[0].ID, b.Resolves)
	require.Equal(t, a.Since, b.Since)
	require.Equal(t, a.Expectations, b.Expectations, "who was told by expectation hears of the end")
	require.Equal(t, feature.Warning, b.Severity)
	require.Contains(t, b.Reason, "late")
	require.Zero(t, gauge(t, s.reg, "weir_quality_alerts_firing"))

	s.send([]row{{4, 1e6, ""}})
	require.Equal(t, []string{failed, resolved, failed}, s.told(), "and again: another event")
	s.send(good)
	s.send(good[:1])
	s.send([]row{{41, 10, ""}})
	require.Equal(t, "12:00 failed judged 5", s.verdicts()[0])
	s.send([]row{{4, 8, ""}})
	require.Equal(t, "12:00 failed judged 5", s.verdicts()[0], "too late")

	require.EqualValues(t, 2, testutil.ToFloat64(counter(t, s.reg, "ok")), "an amendment of 12:00, and 12:10")
	require.EqualValues(t, 5, testutil.ToFloat64(counter(t, s.reg, "failed")), "verdicts that did not change with the end of the lateness count once")
}

func counter(t *testing.T, reg *prometheus.Registry, outcome string) prometheus.Counter {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
	for _, f := range all {
		if f.GetName() != "weir_quality_window_results_total" {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "outcome" && l.GetValue() == outcome {
					c.Add(m.GetCounter().GetValue())
				}
			}
		}
	}
	return c
}

// TestHysteresis: so many bad windows in a row, so many good ones.
func TestHysteresis(t *testing.T) {
	q := tenMinutes()
	q.Window.Lateness, q.FailWindows, q.OKWindows = 0, 2, 3
	s := newStream(t, q, mean)
	want := ""
	for i, bad := range []bool{true, false, true, true, false, false, true, false, false, false, true, true} {
		amount := 10.0
		if bad {
			amount = 100
		}
		s.send([]row{{10*i + 1, amount, ""}})
		want += map[bool]string{true: "b", false: "g"}[bad]
	}
	s.send([]row{{121, 10, ""}})
	require.Equal(t, []string{failed, resolved, failed}, s.told(), want)
	require.Equal(t, "12:20", s.alert(0).Since.Format("15:04"), "the first of the two")
	require.Equal(t, "12:30", s.alert(0).Window.Start.Format("15:04"))
	require.Equal(t, "13:30", s.alert(1).Window.Start.Format("15:04"))
}

// TestSeverities: info never alerts, the worst that failed is the alert's.
func TestSeverities(t *testing.T) {
	q := tenMinutes()
	q.Window.Lateness = 0
	s := newStream(t, q,
		`{"type": "expect_column_max_to_be_between", "kwargs": {"column": "amount", "max_value": 1}, "severity": "info"}`)
	s.send([]row{{1, 5, ""}})
	s.send([]row{{11, 5, ""}})
	require.Empty(t, s.told())
	require.Equal(t, quality.Failed, s.verdict(0).Results[0].Outcome)
	require.Equal(t, quality.OK, s.verdict(0).Outcome)

	s = newStream(t, q, mean, `{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "card"}}`)
	s.send([]row{{1, 50, ""}})
	s.send([]row{{11, 5, ""}})
	require.Equal(t, feature.Critical, s.alert(0).Severity)
	require.Len(t, s.alert(0).Expectations, 2)
}

// TestHeldBack: rules about rows count what was held back, aggregates look at what is in the table.
func TestHeldBack(t *testing.T) {
	q := tenMinutes()
	q.Window.Lateness = 0
	s := newStream(t, q, mean, `{"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "max_value": 20, "mostly": 0.7}, "severity": "warning"}`)
	s.send([]row{{1, 10, ""}, {1, 10, ""}, {1, 10, ""}}, row{2, 1000, ""})
	s.send(nil, row{11, 1000, ""})
	s.send([]row{{21, 10, ""}})
	v := s.verdict(0)
	require.EqualValues(t, 4, v.Rows)
	require.Equal(t, quality.OK, v.Outcome)
	require.EqualValues(t, 1, v.Results[1].Unexpected)
	require.EqualValues(t, 10, v.Results[0].Observed)
	w := s.verdict(1)
	require.Equal(t, quality.Insufficient, w.Results[0].Outcome, "nothing is in the table")
	require.Equal(t, quality.Failed, w.Results[1].Outcome)
	require.Equal(t, quality.Failed, w.Outcome)
}

// TestReplayedFromQuarantine: a row that was held back and passes after all was judged twice, and so the rules about
// single rows count it twice, unless they have changed; the others count what is in the table.
func TestReplayedFromQuarantine(t *testing.T) {
	const least = `{"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": %d}}`
	s := newStream(t, tenMinutes(), fmt.Sprintf(least, 0), `{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "amount"}}`, mean)
	s.send([]row{{1, 10, ""}, {1, 10, ""}}, row{2, -5, ""})
	s.view.SuiteOf.Expectations[0] = expectation(t, fmt.Sprintf(least, -10))
	s.open()
	s.replay(row{2, -5, ""})
	s.send([]row{{11, 10, ""}})
	v := s.verdict(0)
	require.EqualValues(t, 4, v.Rows)
	require.EqualValues(t, 1, v.Results[0].Elements, "the changed one has begun anew")
	require.Zero(t, v.Results[0].Unexpected)
	require.EqualValues(t, 4, v.Results[1].Elements)
	require.InDelta(t, 5, v.Results[2].Observed, 1e-9, "three rows are in the table")
	require.Equal(t, quality.OK, v.Outcome)
}

// replay has rows land that were held back, as a replay of its own does.
func (s *stream) replay(rows ...row) {
	s.t.Helper()
	o, n := feature.ReplayOrigin(), int64(len(rows))
	from := feature.Position{Topic: o.Topic, TopicID: o.TopicID, Partition: o.Partition, Commit: "r0"}
	to := from
	to.Next, to.Commit, o.Next = n, "r1", n
	tap := tally.NewTap(s.view, quality.Targets(s.view), s.store, tally.TapOptions{Name: "quality", Held: true, Progress: true, Now: func() time.Time { return s.now }})
	require.NoError(s.t, tap.Assign(ctx, []feature.Position{from}))
	b := &feature.Batch{View: s.view, Origin: feature.Origin{TopicID: s.at.TopicID, Next: s.at.Next}, Replay: &o}
	b.Rows, b.Offsets, b.EventTime = s.batch(rows, s.at.Next-n)
	b.KnownTime = b.EventTime
	defer b.Rows.Release()
	require.NoError(s.t, tap.Write(ctx, b))
	c := &feature.Commit{ID: to.Commit, View: s.view, Advances: []feature.Advance{{From: from, To: to, Drained: true}}}
	tap.Cut(c)
	require.NoError(s.t, tap.Stage(ctx, c))
	require.NoError(s.t, tap.Settle(ctx, c))
}

// TestMasked: values of masked columns are shown nowhere, whether they are named by column or path.
func TestMasked(t *testing.T) {
	for _, mask := range []string{"card", "card.number", ""} {
		q := tenMinutes()
		q.Window.Lateness = 0
		if mask != "" {
			q.Mask = []string{mask}
		}
		s := newStream(t, q,
			`{"type": "expect_column_values_to_match_regex", "kwargs": {"column": "card", "regex": "^x"}, "severity": "warning"}`,
			`{"type": "expect_column_distinct_values_to_be_in_set", "kwargs": {"column": "card", "value_set": ["x"]}, "severity": "warning"}`)
		s.send([]row{{1, 10, "4111222233334444"}})
		s.send([]row{{11, 10, "x"}})
		require.Equal(t, []string{failed}, s.told())
		verdict, err := json.Marshal(s.verdict(0))
		require.NoError(t, err)
		all := string(verdict) + string(s.events()[0].Payload)
		require.Equal(t, mask == "", strings.Contains(all, "4111222233334444"), "mask %q", mask)
		require.EqualValues(t, 1, s.verdict(0).Results[0].Unexpected)
	}
}

// TestMaskedLater: what was kept before a column was masked is not shown afterwards, nor told again when the alert ends.
func TestMaskedLater(t *testing.T) {
	q := tenMinutes()
	q.Window.Lateness = 0
	s := newStream(t, q, `{"type": "expect_column_values_to_match_regex", "kwargs": {"column": "card", "regex": "^x"}, "severity": "warning"}`)
	s.send([]row{{1, 10, "4111222233334444"}})
	s.send([]row{{11, 10, "x"}})
	require.Equal(t, []string{failed}, s.told())
	read := func() string {
		ws, err := quality.NewReader(s.store, nil).Windows(ctx, s.view, time.Time{}, 10)
		require.NoError(t, err)
		b, err := json.Marshal(ws)
		require.NoError(t, err)
		return string(b)
	}
	require.Contains(t, read(), "4111222233334444")
	s.view.Quality.Mask = []string{"card.number"}
	require.NotContains(t, read(), "4111222233334444")
	require.NotEmpty(t, s.verdict(0).Results[0].Examples, "what is stored is not changed by reading")
	s.send([]row{{21, 10, "x"}})
	require.Equal(t, []string{failed, resolved}, s.told())
	require.NotContains(t, string(s.events()[1].Payload), "4111222233334444")
	require.Len(t, s.alert(1).Expectations, 1)
}

// TestShadow: the suite in shadow has windows of its own, and says so.
func TestShadow(t *testing.T) {
	q := tenMinutes()
	q.Window.Lateness = 0
	s := newStream(t, q, mean)
	v := *s.view
	v.ShadowSuite = "stricter"
	v.ShadowOf = &feature.Suite{Meta: feature.Meta{Project: "p", Name: "stricter"}, Expectations: []feature.Expectation{
		expectation(t, `{"type": "expect_column_max_to_be_between", "kwargs": {"column": "amount", "max_value": 9}}`)}}
	s.view = &v
	s.open()
	s.send([]row{{1, 10, ""}})
	s.send([]row{{11, 5, ""}})
	require.Equal(t, []string{failed}, s.told())
	require.Equal(t, "stricter", s.alert(0).Suite)
	require.True(t, s.alert(0).Shadow)
	require.Equal(t, "orders/stricter", s.events()[0].Owner)
}

// TestEventsAreWhatTheDocsSay holds the examples of the page and real events against the schema.
func TestEventsAreWhatTheDocsSay(t *testing.T) {
	docs := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		require.NoError(t, err)
		return b
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(docs("quality-v1.schema.json")))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(quality.DataSchema, doc))
	schema, err := c.Compile(quality.DataSchema)
	require.NoError(t, err)
	check := func(payload []byte) {
		t.Helper()
		var ce cloudevents.Event
		require.NoError(t, json.Unmarshal(payload, &ce), string(payload))
		require.NoError(t, ce.Validate())
		require.Equal(t, quality.DataSchema, ce.DataSchema())
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(ce.Data()))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(doc), string(payload))
		d := json.NewDecoder(bytes.NewReader(ce.Data()))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&quality.Alert{}))
	}
	page := string(docs("events.md"))
	for _, r := range []quality.Rule{quality.SuiteRule, quality.Freshness, quality.Volume, quality.RejectRate} {
		for _, firing := range []bool{true, false} {
			require.Contains(t, page, "`"+quality.EventType(r, firing)+"`")
		}
	}
	examples := 0
	for rest := page; ; examples++ {
		_, after, ok := strings.Cut(rest, "```json\n")
		if !ok {
			break
		}
		example, after, _ := strings.Cut(after, "```")
		if rest = after; strings.Contains(example, quality.DataSchema) {
			check([]byte(example))
		}
	}
	require.Greater(t, examples, 1)

	s := newStream(t, tenMinutes(), mean, `{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "card"}, "severity": "warning"}`)
	s.send([]row{{1, 100, ""}})
	s.send([]row{{11, 10, "a"}})
	s.send([]row{{41, 10, "a"}, {51, 10, "a"}})
	require.Equal(t, []string{failed, resolved}, s.told())
	for _, e := range s.events() {
		check(e.Payload)
	}
	r := newRoom(t, feature.Quality{Freshness: minutes(5), Volume: feature.Volume{Per: minutes(5), Min: 1}, MaxRejectRate: 0.1})
	r.pass(10*time.Minute, 10*time.Second)
	r.land(1)
	r.pass(10*time.Second, 10*time.Second)
	for _, firing := range []bool{true, false} {
		require.NoError(t, r.alerts.Alert(ctx, quality.Alert{Project: "p", View: "orders", Rule: quality.RejectRate, Firing: firing, Since: r.now, Reason: "x",
			RejectsOf: &quality.RejectState{Rate: 0.5, Max: 0.1, Events: 10, Rules: map[string]int64{"a": 5}}}))
	}
	r.pass(10*time.Minute, 10*time.Second)
	r.views = nil
	r.pass(11*time.Second, time.Second)
	evs, err := r.store.Events(ctx, tally.EventQuery{})
	require.NoError(t, err)
	require.Len(t, evs, 10)
	for _, e := range evs {
		check(e.Payload)
	}
}
