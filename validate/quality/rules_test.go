package quality_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	tallymemory "github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/quality"
	"github.com/weir-ml/weir/validate/quality/memory"
	"github.com/weir-ml/weir/validate/quality/qualitytest"
)

var ctx = context.Background()

func TestClocks(t *testing.T) { qualitytest.Clocks(t, &memory.Clocks{}) }

// nothing is a tally of no windows.
type nothing struct{}

func (*nothing) Count() int64                   { return 0 }
func (*nothing) Merge(*nothing)                 {}
func (*nothing) Size() int64                    { return 0 }
func (*nothing) MarshalBinary() ([]byte, error) { return nil, nil }

// room is a store that outlives its watchers, and a clock.
type room struct {
	t      *testing.T
	store  *tallymemory.Store[*nothing, *quality.Verdict]
	clocks *memory.Clocks
	now    time.Time
	views  []*feature.View
	next   int64
	rules  []*quality.Rules
	alerts *quality.Alerts
	reg    *prometheus.Registry
}

func newRoom(t *testing.T, q feature.Quality) *room {
	r := &room{t: t, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), clocks: &memory.Clocks{}}
	r.store = tallymemory.New[*nothing, *quality.Verdict](func([]byte) (*nothing, error) { return &nothing{}, nil }, nil)
	r.views = []*feature.View{{Meta: feature.Meta{Project: "p", Name: "orders"}, Quality: &q}}
	r.start()
	return r
}

// start adds a watcher, as a process that starts.
func (r *room) start() {
	r.reg = prometheus.NewRegistry()
	met := quality.NewMetrics(r.reg)
	now := func() time.Time { return r.now }
	r.alerts = quality.NewAlerts(r.store, quality.AlertOptions{Route: outbox.To("kafka", "oncall"), Metrics: met, Now: now})
	r.rules = append(r.rules, quality.NewRules(r.store, r.clocks, r.alerts,
		func(context.Context) ([]*feature.View, error) { return r.views, nil }, quality.RuleOptions{Metrics: met, Now: now}))
}

// stop ends all watchers.
func (r *room) stop() { r.rules = nil }

// pass lets time go on in steps, with all watchers looking at each.
func (r *room) pass(d, step time.Duration) {
	r.t.Helper()
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(min(step, end.Sub(r.now)))
		for _, x := range r.rules {
			require.NoError(r.t, x.Pass(ctx))
		}
	}
}

// land lets rows land now.
func (r *room) land(rows int64) {
	r.t.Helper()
	r.next += rows
	s := &tally.Staged[*nothing]{Commit: fmt.Sprint("c", r.next), View: "p/orders", Marks: []tally.Mark{{FromNext: r.next - rows, Next: r.next, Partitions: 1, Rows: rows}}}
	require.NoError(r.t, r.store.Stage(ctx, s))
	known, err := r.store.Settle(ctx, s.Commit, r.now)
	require.NoError(r.t, err)
	require.True(r.t, known)
}

// told lists what was told, oldest first, by type.
func (r *room) told() (out []string) {
	evs, err := r.store.Events(ctx, tally.EventQuery{})
	require.NoError(r.t, err)
	for _, e := range slices.Backward(evs) {
		out = append(out, e.Type)
	}
	return out
}

func (r *room) last() quality.Alert {
	evs, err := r.store.Events(ctx, tally.EventQuery{Limit: 1})
	require.NoError(r.t, err)
	require.NotEmpty(r.t, evs)
	a, err := quality.ReadAlert(evs[0].Payload)
	require.NoError(r.t, err)
	return *a
}

const (
	stale  = "io.weir.freshness.stale.v1"
	fresh  = "io.weir.freshness.resolved.v1"
	off    = "io.weir.volume.off.v1"
	within = "io.weir.volume.resolved.v1"
)

func minutes(n int) feature.Duration { return feature.Duration(time.Duration(n) * time.Minute) }

func TestFreshness(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15)})
	for range 10 { // a stream that runs
		r.land(5)
		r.pass(5*time.Minute, 10*time.Second)
	}
	require.Empty(t, r.told())
	stopped := r.now.Add(-5 * time.Minute)

	r.pass(10*time.Minute-time.Second, time.Second)
	require.Empty(t, r.told(), "not a second too early")
	r.pass(time.Second, time.Second)
	require.Equal(t, []string{stale}, r.told())
	a := r.last()
	require.True(t, a.Firing)
	require.Equal(t, feature.Critical, a.Severity)
	require.Equal(t, stopped, a.Since)
	require.Equal(t, stopped, *a.FreshnessOf.Last)
	require.Contains(t, a.Reason, "longer than 15m")
	require.EqualValues(t, 1, gauge(t, r.reg, "weir_quality_alerts_firing"))
	require.EqualValues(t, 900, gauge(t, r.reg, "weir_view_rows_last_seconds"))

	r.pass(time.Hour, 10*time.Second)
	require.Len(t, r.told(), 1, "told once")

	r.land(1)
	r.pass(time.Second, time.Second)
	require.Equal(t, []string{stale, fresh}, r.told())
	b := r.last()
	require.False(t, b.Firing)
	require.Equal(t, stopped, b.Since)
	require.NotEmpty(t, b.Resolves)
	require.Zero(t, gauge(t, r.reg, "weir_quality_alerts_firing"))

	r.pass(16*time.Minute, 10*time.Second)
	require.Equal(t, []string{stale, fresh, stale}, r.told(), "and again")

	entries, err := r.store.Entries(ctx, outbox.Query{})
	require.NoError(t, err)
	require.Len(t, entries, 6, "each for every destination")
}

// TestNeverLanded: a view whose stream never begins.
func TestNeverLanded(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15)})
	r.pass(time.Second, time.Second)
	r.pass(15*time.Minute-time.Second, time.Second)
	require.Empty(t, r.told())
	r.pass(time.Second, time.Second)
	require.Equal(t, []string{stale}, r.told())
	require.Nil(t, r.last().FreshnessOf.Last)
}

// TestRestarts: what fires is neither told again nor forgotten, and ends with whoever is there.
func TestRestarts(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15)})
	r.land(1)
	r.pass(20*time.Minute, 10*time.Second)
	require.Equal(t, []string{stale}, r.told())
	for _, down := range []time.Duration{time.Second, 10 * time.Minute, 5 * time.Hour} {
		r.stop()
		r.now = r.now.Add(down)
		r.start()
		r.pass(20*time.Minute, 10*time.Second)
		require.Equal(t, []string{stale}, r.told(), "down for %s", down)
		require.EqualValues(t, 1, gauge(t, r.reg, "weir_quality_alerts_firing"), "a new process shows what fires")
	}
	r.stop()
	r.land(1)
	r.now = r.now.Add(time.Second)
	r.start()
	r.pass(time.Second, time.Second)
	require.Equal(t, []string{stale, fresh}, r.told())
}

// TestDown: while Weir was down nothing landed, which is not the stream's fault.
func TestDown(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15), Volume: feature.Volume{Per: minutes(60), Min: 10, Max: 100}})
	for range 26 {
		r.land(5)
		r.pass(5*time.Minute, 10*time.Second)
	}
	require.Empty(t, r.told())

	r.stop()
	r.now = r.now.Add(3 * time.Hour)
	r.start()
	r.pass(time.Minute, time.Second)
	require.Empty(t, r.told(), "rows that waited get a while to land")
	r.land(180) // all of them at once
	for range 12 {
		r.pass(5*time.Minute, 10*time.Second)
		r.land(5)
	}
	require.Empty(t, r.told(), "nor are they too many")

	// Stopped while Weir was down: told soon after it is back, not a whole quarter of an hour later.
	r.stop()
	r.now = r.now.Add(3 * time.Hour)
	r.start()
	r.pass(2*time.Minute, time.Second)
	require.Empty(t, r.told())
	r.pass(2*time.Second, time.Second)
	require.Equal(t, []string{stale}, r.told())
}

func TestVolume(t *testing.T) {
	r := newRoom(t, feature.Quality{Volume: feature.Volume{Per: minutes(60), Min: 100, Max: 1000}})
	r.pass(time.Second, time.Second)
	r.pass(59*time.Minute, 10*time.Second)
	require.Empty(t, r.told(), "the period is not over")
	r.pass(2*time.Minute, 10*time.Second)
	require.Equal(t, []string{off}, r.told())
	require.Equal(t, &quality.VolumeState{Per: "1h", Min: 100, Max: 1000}, r.last().VolumeOf)
	require.Contains(t, r.last().Reason, "0 rows have landed in the last 1h, fewer than 100")

	r.land(99)
	r.pass(time.Minute, 10*time.Second)
	require.Len(t, r.told(), 1)
	r.land(1)
	r.pass(10*time.Second, 10*time.Second)
	require.Equal(t, []string{off, within}, r.told())
	r.land(901)
	r.pass(10*time.Second, 10*time.Second)
	require.Equal(t, []string{off, within, off}, r.told())
	require.EqualValues(t, 1001, r.last().VolumeOf.Rows)
	require.EqualValues(t, 1001, gauge(t, r.reg, "weir_view_rows_last_period"))

	r.pass(58*time.Minute, 10*time.Second)
	require.Len(t, r.told(), 3, "they are still within the hour")
	r.pass(5*time.Minute, 10*time.Second)
	require.Equal(t, []string{off, within, off, within, off}, r.told(), "the hundred were over first, then all: too few again")
	r.land(200)
	r.pass(10*time.Second, 10*time.Second)
	require.Equal(t, []string{off, within, off, within, off, within}, r.told())
	c, err := r.clocks.Clock(ctx, "p/orders")
	require.NoError(t, err)
	require.LessOrEqual(t, len(c.Samples), 62, "what is remembered is bounded")
}

// TestSeveral: watchers share a store, one alert.
func TestSeveral(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15), Volume: feature.Volume{Per: minutes(10), Min: 1}})
	r.start()
	r.start()
	r.land(1)
	r.pass(20*time.Minute, time.Second)
	told := r.told()
	slices.Sort(told)
	require.Equal(t, []string{stale, off}, told)
	r.land(1)
	r.pass(10*time.Second, time.Second)
	require.Len(t, r.told(), 4)
}

// TestNoLongerWatched: an alert ends with its rule, and with its view.
func TestNoLongerWatched(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15)})
	r.pass(20*time.Minute, 10*time.Second)
	require.Equal(t, []string{stale}, r.told())
	r.views[0] = &feature.View{Meta: r.views[0].Meta}
	r.pass(9*time.Second, time.Second)
	require.Equal(t, []string{stale}, r.told(), "the catalog may only be behind that of others")
	r.pass(2*time.Second, time.Second)
	require.Equal(t, []string{stale, fresh}, r.told())
	require.Equal(t, "it is no longer watched", r.last().Reason)
	n, err := testutil.GatherAndCount(r.reg, "weir_view_rows_last_seconds")
	require.NoError(t, err)
	require.Zero(t, n)

	r.views[0] = &feature.View{Meta: r.views[0].Meta, Quality: &feature.Quality{Freshness: minutes(1)}}
	r.pass(2*time.Minute, 10*time.Second)
	require.Equal(t, []string{stale, fresh, stale}, r.told(), "the same silence, told again: another id")
	r.views = nil
	r.pass(11*time.Second, time.Second)
	require.Equal(t, []string{stale, fresh, stale, fresh}, r.told())
}

// TestClockSetBack: a wall clock that is put right neither raises nor swallows an alert for long.
func TestClockSetBack(t *testing.T) {
	r := newRoom(t, feature.Quality{Freshness: minutes(15), Volume: feature.Volume{Per: minutes(10), Min: 1}})
	r.land(5)
	r.pass(5*time.Minute, time.Second)
	r.now = r.now.Add(-3 * time.Hour)
	for range 20 {
		r.land(5)
		r.pass(time.Minute, time.Second)
	}
	require.Empty(t, r.told())
	r.pass(4*time.Hour, 10*time.Second)
	require.Contains(t, r.told(), stale)
	require.Contains(t, r.told(), off)
}

// TestPaused is what ingestion tells through Alert.
func TestPaused(t *testing.T) {
	r := newRoom(t, feature.Quality{MaxRejectRate: 0.2})
	paused := quality.Alert{Project: "p", View: "orders", Rule: quality.RejectRate, Firing: true, Since: r.now, Reason: "too many",
		RejectsOf: &quality.RejectState{Rate: 0.5, Max: 0.2, Events: 1000}}
	for range 3 { // whoever says so, and how often
		require.NoError(t, r.alerts.Alert(ctx, paused))
	}
	on, since, err := r.alerts.Firing(ctx, "p", "orders", quality.RejectRate)
	require.NoError(t, err)
	require.True(t, on)
	require.Equal(t, r.now.UnixMicro(), since)
	r.pass(time.Minute, time.Second)
	require.Equal(t, []string{"io.weir.view.paused.v1"}, r.told(), "the clock's rules leave it alone")
	require.NoError(t, r.alerts.Alert(ctx, quality.Alert{Project: "p", View: "orders", Rule: quality.RejectRate, Reason: "asked to"}))
	require.Equal(t, []string{"io.weir.view.paused.v1", "io.weir.view.resumed.v1"}, r.told())

	evs, err := r.store.Events(ctx, tally.EventQuery{})
	require.NoError(t, err)
	var ce map[string]any
	require.NoError(t, json.Unmarshal(evs[1].Payload, &ce))
	require.Equal(t, "/projects/p/views/orders", ce["source"])
	require.Equal(t, "orders:reject_rate", ce["subject"])
	require.Equal(t, quality.DataSchema, ce["dataschema"])
}

// gauge is the value of the only series of a metric.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range all {
		if f.GetName() == name {
			require.Len(t, f.Metric, 1)
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
