package drift

import (
	"encoding/json"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func TestSeldon(t *testing.T) {
	m := &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "v", Version: 4, Reference: feature.Reference{Snapshot: "s"}}
	w := &WindowRecord{Start: -5_000_000, End: 0, Rows: 9}
	statistic, p := 0.4, 1e-9
	v := &Verdict{Alpha: 0.005, Features: []Result{{Name: "a", Outcome: Drifted, Test: "ks", Statistic: &statistic, PValue: &p, Count: 9}, {Name: "b", Outcome: CountedOnly, Nulls: 9}}}
	for kind, is := range map[string]int{DetectedType: 1, ResolvedType: 0} {
		e, err := newEvent(m, w, v, w.Start, kind, beginning{}, time.Unix(1000, 0))
		require.NoError(t, err)
		out, ok, err := Seldon(e.Payload)
		require.NoError(t, err)
		require.True(t, ok)
		var ce cloudevents.Event
		require.NoError(t, json.Unmarshal(out, &ce))
		require.NoError(t, ce.Validate())
		require.Equal(t, "io.seldon.serving.inference.drift", ce.Type())
		require.Equal(t, e.ID, ce.ID(), "the same event: who has seen the id has seen it")
		require.Equal(t, "m", ce.Subject())
		require.Empty(t, ce.DataSchema())
		require.JSONEq(t, `{"data": {"is_drift": `+map[int]string{0: "0", 1: "1"}[is]+`, "distance": [0.4, null], "p_val": [1e-9, null], "threshold": 0.005, "features": ["a", "b"]},
			"meta": {"name": "m", "detector_type": "online", "data_type": "tabular", "version": 4, "project": "p", "view": "v",
				"window": {"start": "1969-12-31T23:59:55Z", "end": "1970-01-01T00:00:00Z", "rows": 9}}}`, string(ce.Data()))
	}
	other := []byte(`{"specversion": "1.0", "type": "io.weir.view.paused.v1", "data": {}}`)
	out, ok, err := Seldon(other)
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, other, out)
	_, _, err = Seldon([]byte("{"))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}
