package drift_test

import (
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmem "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/registry/feature"
)

// A monitor that gets another view begins anew: rows of both views are in no window together, of an hour that both have
// neither, and what one of them had is not what the other is compared with. The drift of the view that it had ends.
func TestMonitorOfAnotherView(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference, m.Window.Lateness = feature.Reference{Trailing: feature.Duration(3 * time.Hour)}, feature.Duration(time.Hour)
	})
	for w := range int64(6) {
		mean := 0.0
		if w == 4 {
			mean = 5
		}
		h.flush(1, one(h.rows(w, 300, mean)))
		require.NoError(t, h.watch.Pass(bg))
	}
	require.Equal(t, []string{"detected.v1"}, h.events())
	require.Equal(t, "0 insufficient 300, 1 insufficient 300, 2 insufficient 300, 3 steady 300, 4 drifted 300, 5 open 300", h.show())

	now := *h
	now.view = drifttest.View()
	now.view.Meta.Name = "other"
	now.mon = drifttest.Monitor(now.view, "1h")
	now.mon.View, now.mon.Version, now.mon.SinceVersion = "other", 2, 2
	now.mon.Features, now.mon.Reference, now.mon.Window = h.mon.Features, h.mon.Reference, h.mon.Window
	now.at, now.table = map[part]feature.Position{}, nil
	now.tap = drift.NewTap(now.view, []*feature.Monitor{now.mon}, now.store, drift.TapOptions{Now: now.clock})
	now.watch = now.newWatch()
	now.flush(1, flush{topic: [16]byte{7}, rows: now.rows(5, 200, 50)})
	require.NoError(t, now.watch.Pass(bg))
	require.Equal(t, "5 open 200", now.show(), "the hour that both have")
	now.flush(1, flush{topic: [16]byte{7}, rows: now.rows(6, 250, 50)})
	require.NoError(t, now.watch.Pass(bg))
	require.Equal(t, "5 insufficient 200, 6 open 250", now.show(), "what the other had is no reference")
	require.Equal(t, []string{"detected.v1"}, now.events())
	for range 2 {
		now.now = now.now.Add(11 * time.Minute)
		require.NoError(t, now.watch.Pass(bg))
	}
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, now.events())
	told, err := drift.NewReader(now.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Contains(t, string(told[0].Payload), "its view or its windows are others now")
	st, err := drift.NewReader(now.store).Status(bg, []*feature.Monitor{now.mon})
	require.NoError(t, err)
	require.Equal(t, []any{false, "other"}, []any{st[0].Drifting, st[0].View})
}

// Which columns of a snapshot the features are depends on the view: what was kept of one is not the other's reference.
func TestSnapshotOfAnotherView(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference, m.Features = feature.Reference{Snapshot: "s"}, []string{"num"}
	})
	schema := arrow.NewSchema([]arrow.Field{{Name: "other__num", Type: arrow.PrimitiveTypes.Float64}, {Name: "v__num", Type: arrow.PrimitiveTypes.Float64}}, nil)
	rb := array.NewRecordBuilder(arrowmem.DefaultAllocator, schema)
	for range 1000 {
		rb.Field(0).(*array.Float64Builder).Append(50 + h.r.NormFloat64())
		rb.Field(1).(*array.Float64Builder).Append(h.r.NormFloat64())
	}
	p := drift.NewProfiler()
	require.NoError(t, p.Write(rb.NewRecordBatch()))
	b, err := p.Finish()
	require.NoError(t, err)
	h.profile["p/s"] = b
	h.columns = []feature.SnapshotColumn{{Name: "v__num", View: "v", Column: "num"}, {Name: "other__num", View: "other", Column: "num"}}
	h.flush(1, one(h.rows(0, 300, 0)))
	h.flush(1, one(h.rows(1, 300, 0)))
	require.Equal(t, "0 steady 300, 1 open 300", h.windows())

	h.view, h.at = drifttest.View(), map[part]feature.Position{}
	h.view.Meta.Name = "other"
	m := *h.mon
	m.View, m.ViewOf, m.Version, m.SinceVersion = "other", h.view, 2, 2
	h.mon = &m
	h.tap, h.watch = drift.NewTap(h.view, []*feature.Monitor{h.mon}, h.store, drift.TapOptions{Now: h.clock}), h.newWatch()
	h.flush(1, one(h.rows(0, 300, 50)))
	h.flush(1, one(h.rows(1, 300, 50)))
	require.Equal(t, "0 steady 300, 1 open 300", h.windows())
}
