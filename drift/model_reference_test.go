package drift_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// champions are versions by project/model alias; err is what the registry answers instead.
type champions struct {
	at  map[string]feature.Model
	err error
}

func (c *champions) AliasedModel(_ context.Context, project, name, alias string) (feature.Model, bool, error) {
	m, ok := c.at[project+"/"+name+" "+alias]
	return m, ok, c.err
}

// modelHouse is a house whose monitor compares with a model's training set; s1 is around 0, s2 around 3.
func modelHouse(t *testing.T, change func(*feature.Monitor)) (*house, *champions) {
	c := &champions{at: map[string]feature.Model{}}
	h := newHouse(t, func(m *feature.Monitor) {
		m.Reference = feature.Reference{Model: "churn"}
		if change != nil {
			change(m)
		}
	})
	for i, id := range []string{"p/s1", "p/s2"} {
		mean := []float64{0, 3}[i]
		pr := drift.NewProfiler("num", "cat")
		rows := drifttest.Batch(h.view, stream, 0, 0, h.rows(0, 5000, mean))
		require.NoError(t, pr.Write(rows.Rows))
		b, err := pr.Finish()
		require.NoError(t, err)
		h.profile[id] = b
	}
	h.watch = drift.NewWatch(drift.WatchOptions{
		Store: h.store, References: h, History: h, Models: c, Config: drift.DefaultConfig(), Route: outbox.To("kafka"), Now: h.clock,
		Monitors: func(context.Context) ([]*feature.Monitor, error) { return []*feature.Monitor{h.mon}, nil },
	})
	return h, c
}

// references are those of the events, oldest first.
func (h *house) references() (out []drift.EventReference) {
	all, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{Project: "p"})
	require.NoError(h.t, err)
	for i := len(all) - 1; i >= 0; i-- {
		var ce struct{ Data drift.EventData }
		require.NoError(h.t, json.Unmarshal(all[i].Payload, &ce))
		out = append(out, ce.Data.Reference)
	}
	return out
}

// TestChampionReference: windows wait for the first champion; a champion that was trained on the new data ends the drift.
func TestChampionReference(t *testing.T) {
	h, c := modelHouse(t, nil)
	h.flush(1, one(h.rows(0, 300, 0)))
	h.flush(1, one(h.rows(1, 300, 3)))
	h.flush(1, one(h.rows(2, 300, 3)))
	require.Equal(t, "0 closed 300, 1 closed 300, 2 open 300", h.windows(), "no version is champion yet")

	c.at["p/churn champion"] = feature.Model{Project: "p", Name: "churn", Version: "1", Snapshot: "s1"}
	require.Equal(t, "0 steady 300, 1 drifted 300, 2 open 300", h.windows())
	h.flush(1, one(h.rows(3, 300, 3)))
	require.Equal(t, "0 steady 300, 1 drifted 300, 2 drifted 300, 3 open 300", h.windows())
	require.Equal(t, []drift.EventReference{{Snapshot: "s1", Model: "churn", Version: "1"}}, h.references())

	c.at["p/churn champion"] = feature.Model{Project: "p", Name: "churn", Version: "2", Snapshot: "s2"}
	h.flush(1, one(h.rows(4, 300, 3)))
	require.Equal(t, "0 steady 300, 1 drifted 300, 2 drifted 300, 3 steady 300, 4 open 300", h.windows())
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	require.Equal(t, drift.EventReference{Snapshot: "s2", Model: "churn", Version: "2"}, h.references()[1])

	ws, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
	require.NoError(t, err)
	for i, want := range []string{"1", "1", "1", "2"} {
		require.Equal(t, want, ws[i].Verdict.Compared.Version, "window %d keeps what it was compared with", i)
	}
	require.Equal(t, feature.Reference{Model: "churn"}, h.mon.Reference, "the definition is as it was")
}

// TestReferenceUntilChampion: what stands beside the model holds until there is a version with the alias, and when it is taken off.
func TestReferenceUntilChampion(t *testing.T) {
	h, c := modelHouse(t, func(m *feature.Monitor) {
		m.Reference.Alias, m.Reference.From, m.Reference.To = "blue", time.Unix(0, 0), time.Unix(3600, 0)
	})
	h.flush(1, one(h.rows(0, 300, 3)))
	h.flush(1, one(h.rows(1, 300, 3)))
	h.flush(1, one(h.rows(2, 300, 3)))
	c.at["p/churn champion"] = feature.Model{Project: "p", Name: "churn", Version: "1", Snapshot: "s1"} // not blue
	require.Equal(t, "0 reference 300, 1 steady 300, 2 open 300", h.windows())
	c.at["p/churn blue"] = feature.Model{Project: "p", Name: "churn", Version: "9", Snapshot: "s1"}
	h.flush(1, one(h.rows(3, 300, 3)))
	require.Equal(t, "0 reference 300, 1 steady 300, 2 drifted 300, 3 open 300", h.windows())
	delete(c.at, "p/churn blue")
	h.flush(1, one(h.rows(4, 300, 3)))
	require.Equal(t, "0 reference 300, 1 steady 300, 2 drifted 300, 3 steady 300, 4 open 300", h.windows())
	refs := h.references()
	require.Len(t, refs, 2)
	require.Equal(t, drift.EventReference{Snapshot: "s1", Model: "churn", Version: "9"}, refs[0])
	require.Empty(t, refs[1].Snapshot)
	require.Equal(t, time.Unix(3600, 0).UTC(), *refs[1].To)
}

// TestRegistryAway: while the registry does not answer nothing is judged, and nothing is lost.
func TestRegistryAway(t *testing.T) {
	h, c := modelHouse(t, nil)
	c.at["p/churn champion"] = feature.Model{Project: "p", Name: "churn", Version: "1", Snapshot: "s1"}
	h.flush(1, one(h.rows(0, 300, 0)))
	h.flush(1, one(h.rows(1, 300, 0)))
	c.err = feature.Errorf(feature.Unavailable, "test", "", "away")
	require.ErrorContains(t, h.watch.Pass(bg), "away")
	require.Equal(t, "0 open 300, 1 open 300", h.show())
	c.err = nil
	require.Equal(t, "0 steady 300, 1 open 300", h.windows())
}

// TestBacktestOfChampion compares history with the champion of now, and says what is missing where there is none.
func TestBacktestOfChampion(t *testing.T) {
	h, c := modelHouse(t, nil)
	h.flush(1, one(h.rows(0, 300, 3)))
	b := &drift.Backtester{Store: h.store, References: h, History: h, Models: c}
	_, err := b.Run(bg, h.mon, 0, hour)
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.ErrorContains(t, err, "champion of churn, which no version is yet")
	c.at["p/churn champion"] = feature.Model{Project: "p", Name: "churn", Version: "1", Snapshot: "s1"}
	got, err := b.Run(bg, h.mon, 0, hour)
	require.NoError(t, err)
	require.True(t, got.State.Drifting)
}
