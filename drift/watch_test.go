package drift_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmem "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

var bg = context.Background()

const hour = int64(time.Hour / time.Microsecond)

// house is a view with a table, a tap and a watch, and a clock of its own.
type house struct {
	t       *testing.T
	r       *rand.Rand
	view    *feature.View
	mon     *feature.Monitor
	store   drift.Store
	tap     *drift.Tap
	watch   *drift.Watch
	now     time.Time
	at      map[part]feature.Position
	table   []*feature.Batch
	profile map[string][]byte
	columns []feature.SnapshotColumn // of all of them
	commits int
	log     bytes.Buffer
	route   outbox.Route // to kafka where a test does not say
}

type part struct {
	topic [16]byte
	p     int32
}

var stream = [16]byte{1}

func newHouse(t *testing.T, change func(*feature.Monitor)) *house {
	h := &house{t: t, r: rand.New(rand.NewPCG(11, 12)), view: drifttest.View(), store: memory.New(), now: time.Unix(1e9, 0), at: map[part]feature.Position{}, profile: map[string][]byte{}, route: outbox.To("kafka")}
	h.mon = drifttest.Monitor(h.view, "1h")
	h.mon.Features = []string{"num", "cat", "at"}
	h.mon.Reference = feature.Reference{From: time.Unix(0, 0), To: time.Unix(7200, 0)}
	h.mon.Retrain = feature.Retrain{Model: "churn"}
	if change != nil {
		change(h.mon)
	}
	h.tap = drift.NewTap(h.view, []*feature.Monitor{h.mon}, h.store, drift.TapOptions{Now: h.clock})
	h.watch = h.newWatch()
	return h
}

func (h *house) clock() time.Time { return h.now }

func (h *house) newWatch() *drift.Watch {
	return drift.NewWatch(drift.WatchOptions{
		Store:      h.store,
		Monitors:   func(context.Context) ([]*feature.Monitor, error) { return []*feature.Monitor{h.mon}, nil },
		References: h, History: h, Config: drift.DefaultConfig(), Route: h.route,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)), Metrics: drift.NewMetrics(prometheus.NewRegistry()), Now: h.clock,
	})
}

func (h *house) SnapshotProfile(_ context.Context, project, id string) ([]byte, []feature.SnapshotColumn, error) {
	if b, ok := h.profile[project+"/"+id]; ok {
		return b, h.columns, nil
	}
	return nil, nil, feature.Errorf(feature.NotFound, "test.snapshot", id, "there is none")
}

func (h *house) Scan(_ context.Context, v *feature.View, from, to int64, columns []string, fn func(*feature.Batch) error) error {
	require.Len(h.t, columns, 5)
	for i, f := range h.view.Features {
		require.Equal(h.t, f.Name, columns[i])
	}
	for _, b := range h.table {
		// Rows outside the range are left out as a table scan leaves them out.
		for i := 0; i < b.Len(); i++ {
			if b.EventTime[i] >= from && b.EventTime[i] < to {
				one := *b
				one.Rows = asView(v, b).NewSlice(int64(i), int64(i+1))
				one.Offsets, one.EventTime, one.KnownTime = b.Offsets[i:i+1], b.EventTime[i:i+1], b.KnownTime[i:i+1]
				if b.Tombstone != nil {
					one.Tombstone = b.Tombstone[i : i+1]
				}
				if err := fn(&one); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// asView gives rows as a table gives them to a view of another version.
func asView(v *feature.View, b *feature.Batch) arrow.RecordBatch {
	cols := append([]arrow.Array{}, b.Rows.Columns()[:len(v.Keys)]...)
	for _, f := range v.Features {
		if at := b.View.Stored(f.Stored()); at >= 0 {
			cols = append(cols, b.Rows.Column(len(v.Keys)+at))
		} else {
			cols = append(cols, array.MakeArrayOfNull(arrowmem.DefaultAllocator, f.Type.Arrow(), b.Len()))
		}
	}
	return array.NewRecordBatch(v.Schema(), cols, int64(b.Len()))
}

// rows are n events spread over window number w, num around mean.
func (h *house) rows(w int64, n int, mean float64) []drifttest.Event {
	out := make([]drifttest.Event, n)
	for i := range out {
		out[i] = drifttest.Event{Time: w*hour + int64(i)*(hour/int64(n)), Num: mean + h.r.NormFloat64(), Cat: fmt.Sprint(h.r.IntN(4))}
	}
	return out
}

type flush struct {
	topic          [16]byte
	p              int32
	rows           []drifttest.Event
	drained, final bool
}

// flush writes and lands one commit of several partitions.
func (h *house) flush(partitions int, fs ...flush) {
	h.t.Helper()
	h.commits++
	c := &feature.Commit{ID: fmt.Sprint("c", h.commits), View: h.view, Partitions: partitions}
	for _, f := range fs {
		k := part{f.topic, f.p}
		from, ok := h.at[k]
		if !ok {
			from = feature.Position{TopicID: f.topic, Partition: f.p}
			require.NoError(h.t, h.tap.Assign(bg, []feature.Position{from}))
		}
		b := drifttest.Batch(h.view, f.topic, f.p, from.Next, f.rows)
		require.NoError(h.t, h.tap.Write(bg, b))
		h.table = append(h.table, b)
		to := from
		to.Next, to.Commit = from.Next+int64(len(f.rows)), c.ID
		c.Advances = append(c.Advances, feature.Advance{From: from, To: to, Drained: f.drained, Final: f.final})
		h.at[k] = to
	}
	h.tap.Cut(c)
	require.NoError(h.t, h.tap.Stage(bg, c))
	require.NoError(h.t, h.tap.Settle(bg, c))
}

// windows passes once and prints the windows: number, state or outcome, rows, late rows.
func (h *house) windows() string {
	h.t.Helper()
	require.NoError(h.t, h.watch.Pass(bg))
	return h.show()
}

func (h *house) show() string {
	h.t.Helper()
	all, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
	require.NoError(h.t, err)
	var out []string
	for _, w := range all {
		s := string(w.State)
		if w.Verdict != nil {
			s = string(w.Verdict.Outcome)
		}
		s = fmt.Sprintf("%d %s %d", w.Start/hour, s, w.Rows)
		if w.Late > 0 {
			s += fmt.Sprintf("+%d", w.Late)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (h *house) events() (types []string) {
	h.t.Helper()
	all, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{Project: "p", Owner: "m_1h"})
	require.NoError(h.t, err)
	for i := len(all) - 1; i >= 0; i-- {
		types = append(types, strings.TrimPrefix(all[i].Type, "io.weir.drift."))
	}
	return types
}

func one(rows []drifttest.Event) flush { return flush{topic: stream, rows: rows} }

func TestWatchStory(t *testing.T) {
	h := newHouse(t, nil)
	h.flush(1, one(h.rows(0, 400, 0)))
	require.Equal(t, "0 open 400", h.windows())
	h.flush(1, one(h.rows(1, 300, 0)))
	require.Equal(t, "0 reference 400, 1 open 300", h.windows())
	h.flush(1, one(h.rows(2, 300, 0)), flush{topic: [16]byte{99}, p: -1}) // an import that brings nothing holds nothing
	h.flush(1, one(h.rows(3, 300, 4)))
	require.Equal(t, "0 reference 400, 1 reference 300, 2 steady 300, 3 open 300", h.windows())
	require.Empty(t, h.events())
	h.flush(1, one(h.rows(4, 300, 4)))
	require.Equal(t, "0 reference 400, 1 reference 300, 2 steady 300, 3 drifted 300, 4 open 300", h.windows())
	require.Equal(t, []string{"detected.v1"}, h.events())
	require.Contains(t, h.log.String(), "drift detected")
	require.Contains(t, h.log.String(), "num: distribution p=")
	status, err := drift.NewReader(h.store).Status(bg, []*feature.Monitor{h.mon})
	require.NoError(t, err)
	require.True(t, status[0].Drifting)
	require.Equal(t, 3*hour, status[0].Since)
	require.Equal(t, [3]int{1, 0, 4}, [3]int{status[0].Open, status[0].Waiting, status[0].Judged})
	require.Equal(t, 3*hour, status[0].Last.Start)

	h.flush(1, one(append(h.rows(5, 300, 4), h.rows(3, 7, 0)...))) // late for 3
	h.flush(1, one(h.rows(6, 50, 0)))                              // too few to say anything
	h.flush(1, one(h.rows(7, 300, 0)))
	require.Equal(t, []string{"detected.v1"}, h.events(), "once")
	h.flush(1, one(h.rows(8, 1, 0)))
	require.Equal(t, "0 reference 400, 1 reference 300, 2 steady 300, 3 drifted 300+7, 4 drifted 300, 5 drifted 300, 6 insufficient 50, 7 steady 300, 8 open 1", h.windows())
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	entries, err := h.store.Entries(bg, outbox.Query{})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	all, err := h.store.Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, all[0].Payload, entries[0].Payload)
	require.True(t, all[1].Retrain && !all[0].Retrain)
	require.Contains(t, string(all[1].Payload), `"retrain":{"model":"churn"}`)
	require.Equal(t, "p/m_1h", entries[0].Key)

	// By hand: everything is closed and judged at once.
	got, err := h.watch.Judge(bg, "p", "m_1h")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, drift.Insufficient, got[0].Verdict.Outcome)
	_, err = h.watch.Judge(bg, "p", "nobody")
	require.Equal(t, feature.NotFound, feature.KindOf(err))
}

// TestWatchByHandBeforeTheReferenceIsOver: what is judged now waits for a reference that is not over; of the part
// that is there no reference is made, which would stay for good.
func TestWatchByHandBeforeTheReferenceIsOver(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference = feature.Reference{From: time.Unix(2*3600, 0), To: time.Unix(5*3600, 0)}
	})
	for w := range int64(3) {
		h.flush(1, one(h.rows(w, 300, 0)))
	}
	got, err := h.watch.Judge(bg, "p", "m_1h")
	require.NoError(t, err)
	require.Empty(t, got)
	require.Equal(t, "0 closed 300, 1 closed 300, 2 closed 300", h.show())
	for w := int64(3); w < 7; w++ {
		h.flush(1, one(h.rows(w, 300, 0)))
	}
	require.Equal(t, "0 steady 300, 1 steady 300, 2 reference 300, 3 reference 300, 4 reference 300, 5 steady 300, 6 open 300", h.windows())
	all, err := drift.NewReader(h.store).Windows(bg, h.mon, 2)
	require.NoError(t, err)
	require.Equal(t, int64(900), all[0].Features[0].RefCount, "of all of its time")
}

func TestWatchWindowsInARow(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Windows = 3 })
	means := []float64{0, 0, 4, 4, 0, 4, 4, 4, 0, 4, 0, 0, 0, 0}
	for i, mean := range means {
		h.flush(1, one(h.rows(int64(i), 300, mean)))
		h.windows()
		// Window i-1 is judged now.
		switch {
		case i < 8:
			require.Empty(t, h.events(), i)
		case i < 13:
			require.Equal(t, []string{"detected.v1"}, h.events(), i)
		default:
			require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events(), i)
		}
	}
	all, err := h.store.Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Contains(t, string(all[1].Payload), `"since":"1970-01-01T05:00:00Z"`)
}

func TestWatchWatermark(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Window.Lateness = feature.Duration(30 * time.Minute)
		m.Reference = feature.Reference{From: time.Unix(0, 0), To: time.Unix(3600, 0)}
	})
	at := func(p int32, rows []drifttest.Event, drained bool) flush {
		return flush{topic: stream, p: p, rows: rows, drained: drained}
	}
	h.flush(3, at(0, h.rows(0, 300, 0), false))
	h.flush(3, at(0, h.rows(5, 300, 0), false), at(1, h.rows(0, 300, 0), false))
	require.Equal(t, "0 open 600, 5 open 300", h.windows(), "one partition was never seen")
	h.flush(3, at(2, nil, true)) // empty
	require.Equal(t, "0 open 600, 5 open 300", h.windows(), "the empty one is not idle yet")
	h.now = h.now.Add(time.Minute)
	require.Equal(t, "0 open 600, 5 open 300", h.windows(), "partition 1 is behind")
	h.flush(3, at(1, []drifttest.Event{{Time: hour + hour/2 - 1}}, true))
	require.Equal(t, "0 open 600, 1 open 1, 5 open 300", h.windows(), "within the lateness")
	h.now = h.now.Add(time.Minute - time.Microsecond)
	require.Equal(t, "0 open 600, 1 open 1, 5 open 300", h.windows(), "not idle yet")
	h.now = h.now.Add(time.Microsecond)
	require.Equal(t, "0 reference 600, 1 insufficient 1, 5 open 300", h.windows(), "partition 1 is idle")
	h.flush(3, at(0, nil, true), at(1, h.rows(6, 300, 0), true))
	h.now = h.now.Add(time.Hour)
	require.Equal(t, "0 reference 600, 1 insufficient 1, 5 steady 300, 6 open 300", h.windows(), "all idle: 6:59:48 is the newest")
	h.flush(3, at(0, []drifttest.Event{{Time: 7*hour + hour/2}}, true))
	h.now = h.now.Add(time.Hour)
	require.Equal(t, "0 reference 600, 1 insufficient 1, 5 steady 300, 6 steady 300, 7 open 1", h.windows())

	// A worker that starts again may have a backlog, whatever was known.
	require.NoError(t, h.tap.Assign(bg, []feature.Position{h.at[part{stream, 0}], h.at[part{stream, 1}], h.at[part{stream, 2}]}))
	h.flush(3, at(1, h.rows(20, 300, 0), false))
	require.Contains(t, h.windows(), "7 open 1, 20 open 300")
	h.flush(3, at(0, h.rows(8, 300, 0), true), at(2, nil, true), at(1, h.rows(21, 300, 0), true))
	require.Contains(t, h.windows(), "7 open 1, 8 open 300, 20 open 300")
	h.now = h.now.Add(time.Minute)
	require.Contains(t, h.windows(), "7 insufficient 1, 8 steady 300, 20 steady 300, 21 open 300")
}

// A topic that was quiet gets events again: the partition that is committed
// first must not close windows that the others' events belong to.
func TestWatchResumes(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference = feature.Reference{From: time.Unix(0, 0), To: time.Unix(3600, 0)}
	})
	at := func(p int32, rows []drifttest.Event, drained bool) flush {
		return flush{topic: stream, p: p, rows: rows, drained: drained}
	}
	h.flush(2, at(0, nil, true), at(1, nil, true)) // registered while the topic is empty
	h.windows()
	h.now = h.now.Add(time.Hour)
	h.flush(2, at(0, h.rows(5, 300, 0), false))
	require.Equal(t, "5 open 300", h.windows())
	h.flush(2, at(0, h.rows(9, 300, 0), true))
	require.Equal(t, "5 open 300, 9 open 300", h.windows(), "partition 1 was drained for an hour, and has events all the same")
	h.flush(2, at(1, h.rows(5, 300, 0), false))
	require.Equal(t, "5 open 600, 9 open 300", h.windows())
	h.flush(2, at(1, h.rows(9, 1, 0), true))
	require.Equal(t, "5 insufficient 600, 9 open 301", h.windows())

	// In a stream that goes on, a partition without events is idle all the same.
	for i := range 4 {
		h.now = h.now.Add(50 * time.Second)
		h.flush(2, at(0, h.rows(int64(10+i), 300, 0), true))
		h.windows()
	}
	require.Contains(t, h.windows(), "12 insufficient 300, 13 open 300")
}

func TestWatchNewTopic(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference = feature.Reference{From: time.Unix(0, 0), To: time.Unix(3600, 0)}
	})
	h.flush(2, flush{topic: stream, p: 0, rows: h.rows(0, 300, 0)}, flush{topic: stream, p: 1, rows: h.rows(0, 300, 0)})
	h.now = h.now.Add(time.Second)
	h.flush(1, flush{topic: [16]byte{2}, p: 0, rows: h.rows(3, 300, 0)})
	require.Equal(t, "0 reference 600, 3 open 300", h.windows(), "the partitions of the old topic hold nothing")
}

func TestWatchImport(t *testing.T) {
	file, other := [16]byte{0xf1}, [16]byte{0xf2}
	in := func(topic [16]byte, final bool, rows ...[]drifttest.Event) flush {
		f := flush{topic: topic, p: -1, final: final, drained: final}
		for _, r := range rows {
			f.rows = append(f.rows, r...)
		}
		return f
	}
	h := newHouse(t, nil)
	// Not in the order of time, in two commits.
	h.flush(0, in(file, false, h.rows(6, 300, 5), h.rows(2, 300, 0), h.rows(0, 300, 0)))
	require.Equal(t, "0 open 300, 2 open 300, 6 open 300", h.windows())
	h.flush(0, in(file, true, h.rows(1, 300, 0)))
	require.Equal(t, "0 reference 300, 1 reference 300, 2 steady 300, 6 drifted 300", h.windows())
	require.Equal(t, []string{"detected.v1"}, h.events())
	// The same file again: nothing new, and it ends again.
	h.flush(0, in(file, true))
	require.Equal(t, "0 reference 300, 1 reference 300, 2 steady 300, 6 drifted 300", h.windows())

	// Older history after it is judged and tells nobody.
	h.flush(0, in(other, true, h.rows(4, 300, 0)))
	require.Contains(t, h.windows(), "4 steady 300, 6 drifted 300")
	require.Equal(t, []string{"detected.v1"}, h.events())

	// A live stream: an import neither holds its windows open nor closes them.
	h = newHouse(t, nil)
	h.flush(1, one(h.rows(0, 300, 0)))
	h.flush(1, one(h.rows(10, 150, 0)), in(file, false, h.rows(3, 300, 0), h.rows(10, 200, 0)))
	require.Equal(t, "0 reference 300, 3 open 300, 10 open 350", h.windows())
	h.flush(1, in(file, true, h.rows(9, 300, 0)))
	require.Equal(t, "0 reference 300, 3 steady 300, 9 steady 300, 10 open 350", h.windows())
	h.flush(1, one(h.rows(10, 150, 0)), in(other, false, h.rows(11, 10, 0)))
	h.flush(1, one(h.rows(12, 150, 0)))
	require.Contains(t, h.windows(), "10 steady 500, 11 open 10, 12 open 150")
	h.flush(1, in(other, true, h.rows(12, 1, 0)))
	h.now = h.now.Add(time.Hour)
	require.Contains(t, h.windows(), "11 insufficient 10, 12 open 151", "the stream has not ended")
	h.flush(1, flush{topic: stream, drained: true})
	h.now = h.now.Add(time.Hour)
	require.Contains(t, h.windows(), "12 insufficient 151", "the stream rests")
}

func TestWatchSnapshotReference(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Reference = feature.Reference{Snapshot: "s1"} })
	h.flush(1, one(h.rows(0, 300, 0)))
	h.flush(1, one(h.rows(1, 300, 3)))
	h.flush(1, one(h.rows(2, 1, 0)))
	require.Error(t, h.watch.Pass(bg))
	require.Error(t, h.watch.Pass(bg))
	require.Equal(t, 1, strings.Count(h.log.String(), "cannot be judged"), "the same fault is logged once")
	require.Equal(t, "0 closed 300, 1 closed 300, 2 open 1", h.show(), "nothing is lost")

	pr := drift.NewProfiler("num", "cat")
	rows := drifttest.Batch(h.view, stream, 0, 0, h.rows(0, 5000, 0))
	require.NoError(t, pr.Write(rows.Rows))
	b, err := pr.Finish()
	require.NoError(t, err)
	h.profile["p/s1"] = b
	require.Equal(t, "0 steady 300, 1 drifted 300, 2 open 1", h.windows())

	// The reference outlives its snapshot.
	delete(h.profile, "p/s1")
	h.watch = h.newWatch()
	h.flush(1, one(h.rows(3, 1, 0)))
	require.Equal(t, "0 steady 300, 1 drifted 300, 2 insufficient 1, 3 open 1", h.windows())
}

func TestWatchEmptyRange(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference = feature.Reference{From: time.Unix(3600, 0), To: time.Unix(7200, 0)}
	})
	h.flush(1, one(h.rows(0, 300, 0)))
	h.flush(1, one(h.rows(1, 0, 0)))
	h.flush(1, one(h.rows(3, 300, 0)))
	require.Equal(t, "0 insufficient 300, 3 open 300", h.windows())
	require.Contains(t, h.log.String(), "reference has no rows")
	// Its rows come with an import; what is judged from then on has a reference.
	h.flush(1, flush{topic: [16]byte{5}, p: -1, rows: h.rows(1, 300, 0), final: true})
	h.flush(1, one(h.rows(4, 1, 0)))
	require.Equal(t, "0 insufficient 300, 1 reference 300, 3 steady 300, 4 open 1", h.windows())
}

func TestTwoWatchesTellOnce(t *testing.T) {
	h := newHouse(t, nil)
	for i := range int64(20) {
		mean := 0.0
		if i > 1 && i%2 == 0 {
			mean = 5
		}
		h.flush(1, one(h.rows(i, 300, mean)))
	}
	var wg sync.WaitGroup
	h.log = bytes.Buffer{}
	for range 4 {
		w := drift.NewWatch(drift.WatchOptions{
			Store: h.store, Monitors: func(context.Context) ([]*feature.Monitor, error) { return []*feature.Monitor{h.mon}, nil },
			References: h, History: h, Config: drift.DefaultConfig(), Route: outbox.To("a", "b"), Now: h.clock,
		})
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				if w.Pass(bg) != nil {
					t.Error("pass failed")
				}
			}
		}()
	}
	wg.Wait()
	// Windows 2 to 18 alternate between drifted and steady: each changes the state.
	want := []string{}
	for i := 2; i <= 18; i++ {
		want = append(want, map[bool]string{true: "detected.v1", false: "resolved.v1"}[i%2 == 0])
	}
	require.Equal(t, want, h.events())
	entries, err := h.store.Entries(bg, outbox.Query{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, entries, 2*len(want))
}

// Run looks at every kick and ends with its context.
func TestWatchRun(t *testing.T) {
	h := newHouse(t, nil)
	told := make(chan struct{}, 10)
	cfg := drift.DefaultConfig()
	cfg.Poll = time.Hour
	w := drift.NewWatch(drift.WatchOptions{
		Store: h.store, Monitors: func(context.Context) ([]*feature.Monitor, error) { return []*feature.Monitor{h.mon}, nil },
		References: h, History: h, Config: cfg, Told: func() { told <- struct{}{} }, Now: h.clock,
	})
	h.tap = drift.NewTap(h.view, []*feature.Monitor{h.mon}, h.store, drift.TapOptions{Settled: w.Kick, Now: h.clock})
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	for i, mean := range []float64{0, 0, 6, 6} {
		h.flush(1, one(h.rows(int64(i), 300, mean)))
	}
	<-told
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, []string{"detected.v1"}, h.events())
}

// A drift that follows another within the cool-down is told of when that is over, if it is still there.
func TestWatchCoolsDown(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.CoolDown = feature.Duration(2 * time.Hour) })
	h.flush(1, one(append(h.rows(0, 400, 0), h.rows(1, 400, 0)...)))
	for w, mean := range []float64{2: 4, 3: 0, 4: 4, 5: 4, 6: 4, 7: 4} {
		if w >= 2 {
			h.flush(1, one(h.rows(int64(w), 300, mean)))
		}
	}
	require.Contains(t, h.windows(), "2 drifted 300, 3 steady 300, 4 drifted 300, 5 drifted 300, 6 drifted 300")
	require.Equal(t, []string{"detected.v1", "resolved.v1", "detected.v1"}, h.events())
	all, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, 6*hour, all[0].WindowStart, "the first window that begins two hours after the one that ended the drift")
}

// TestSeverityOfADrift: who is told by severity that a drift began hears of its end, whatever
// the monitor says by then; the destinations are those of the moment it is recorded.
func TestSeverityOfADrift(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Severity = feature.Critical })
	var asked []outbox.Subject
	h.route = func(s outbox.Subject) []string {
		asked = append(asked, s)
		if s.Severity == feature.Critical {
			return []string{"oncall"}
		}
		return nil
	}
	h.watch = h.newWatch()
	for i, mean := range []float64{0, 0, 4, 0} {
		h.flush(1, one(h.rows(int64(i), 300, mean)))
		h.windows()
	}
	require.Equal(t, []string{"detected.v1"}, h.events())
	h.mon.Severity = feature.Warning
	h.flush(1, one(h.rows(4, 1, 0)))
	h.windows()
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	require.Len(t, asked, 2)
	require.Equal(t, outbox.Subject{Project: h.mon.Meta.Project, Type: drift.DetectedType, Owner: h.mon.Meta.Name, View: h.mon.View,
		Severity: feature.Critical, Firing: true, Retrain: &feature.Retrain{Model: "churn"}}, asked[0])
	require.Equal(t, outbox.Subject{Project: h.mon.Meta.Project, Type: drift.ResolvedType, Owner: h.mon.Meta.Name, View: h.mon.View, Severity: feature.Critical}, asked[1])
	all, err := h.store.Entries(bg, outbox.Query{Destination: "oncall"})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Contains(t, string(all[0].Payload), `"severity":"critical"`)
	require.Contains(t, string(all[0].Payload), `"resolves":"`+strings.TrimSuffix(all[1].ID, "/oncall")+`"`)
}
