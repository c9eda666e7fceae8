package drift_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/registry/feature"
)

// rename gives the house a version of its view in which num has another name, and
// what is called num now is a new feature without values.
func (h *house) rename() {
	now := *h.view
	now.Version++
	now.Features = append([]feature.Field{}, h.view.Features...)
	for i, f := range now.Features {
		switch f.Name {
		case "num":
			now.Features[i] = feature.Field{Name: "amount", Type: f.Type, Column: "num"}
		case "whole":
			now.Features[i] = feature.Field{Name: "num", Type: f.Type, Column: "num@2"}
		}
	}
	h.view = &now
	h.mon = &feature.Monitor{Meta: h.mon.Meta, View: h.mon.View, ViewOf: &now, Features: []string{"amount", "cat"},
		Reference: h.mon.Reference, Window: h.mon.Window, Version: h.mon.Version + 1}
	h.tap = drift.NewTap(h.view, []*feature.Monitor{h.mon}, h.store, drift.TapOptions{Now: h.clock})
	for _, p := range h.at {
		require.NoError(h.t, h.tap.Assign(bg, []feature.Position{p}))
	}
	h.watch = h.newWatch()
}

// A window that is open while a feature is renamed counts the rows before and
// after it as one feature's, and is compared with the reference from before.
func TestWatchRenamed(t *testing.T) {
	for name, reference := range map[string]func(*house){
		"range": func(*house) {},
		"snapshot": func(h *house) {
			// Of a service that calls it by a name that it had in between.
			pr := drift.NewProfiler("num", "cat")
			for i := range 2 {
				require.NoError(t, pr.Batch(drifttest.Batch(h.view, stream, 0, 0, h.rows(int64(i), 400, 0))))
			}
			p := pr.Profile()
			p.Features = []drift.Named{{Name: "between", Sketch: p.Sketch("num")}, {Name: "cat", Sketch: p.Sketch("cat")}}
			b, err := p.MarshalBinary()
			require.NoError(t, err)
			h.profile["p/s1"] = b
			h.columns = []feature.SnapshotColumn{{Name: "between", View: h.mon.View, Column: "num"}, {Name: "cat", View: h.mon.View}}
			h.mon.Reference = feature.Reference{Snapshot: "s1"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(m *feature.Monitor) {
				m.Features = []string{"num", "cat"}
				m.Reference = feature.Reference{From: time.Unix(0, 0), To: time.Unix(7200, 0)}
			})
			reference(h)
			h.flush(1, one(h.rows(0, 400, 0)))
			h.flush(1, one(h.rows(1, 400, 0)))
			h.flush(1, one(h.rows(2, 300, 0)[:150])) // half of the window
			h.rename()
			h.flush(1, one(h.rows(2, 300, 0)[150:]))
			h.flush(1, one(h.rows(3, 300, 4)))
			h.flush(1, one(h.rows(4, 1, 0)))
			require.NoError(t, h.watch.Pass(bg))
			all, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
			require.NoError(t, err)
			require.Len(t, all, 5)
			for i, want := range []drift.Outcome{2: drift.Steady, 3: drift.Drifted} {
				if want == "" {
					continue
				}
				v := all[i].Verdict
				require.NotNil(t, v)
				require.Equal(t, want, v.Outcome)
				require.Equal(t, "amount", v.Features[0].Name)
				require.EqualValues(t, 300, v.Features[0].Count, "the rows before and after the rename")
				require.EqualValues(t, 800, v.Features[0].RefCount)
			}
			require.ElementsMatch(t, []string{"amount", "cat"}, []string{all[4].Features[0].Name, all[4].Features[1].Name}, "an open window is shown with the names of now")
		})
	}
}
