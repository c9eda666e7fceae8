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
		require.Equal(t, map[string]any{"namespace": "p", "inferenceservicename": "m"}, ce.Extensions())
		require.JSONEq(t, `{"data": {"is_drift": `+map[int]string{0: "0", 1: "1"}[is]+`, "distance": [0.4, null], "p_val": [1e-9, null], "threshold": 0.005, "features": ["a", "b"]},
			"meta": {"name": "m", "detector_type": "drift", "online": false, "data_type": "tabular", "version": "4", "project": "p", "view": "v",
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

// TestSeldonKinds: what a univariate detector of alibi-detect 0.12 answers with, ours has under the same name and with
// the same JSON type. The names and types are facts of its answers; the values are ours.
func TestSeldonKinds(t *testing.T) {
	const theirs = `{"data": {"is_drift": 0, "distance": [0.1], "p_val": [0.5], "threshold": 0.025},
		"meta": {"name": "x", "online": false, "data_type": "tabular", "version": "1.2.3", "detector_type": "drift"}}`
	m := &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "v", Version: 4, Reference: feature.Reference{Snapshot: "s"}}
	statistic, p := 0.4, 1e-9
	v := &Verdict{Alpha: 0.005, Features: []Result{{Name: "a", Outcome: Drifted, Test: "ks", Statistic: &statistic, PValue: &p, Count: 9}}}
	e, err := newEvent(m, &WindowRecord{Start: -5_000_000, End: 0, Rows: 9}, v, 0, DetectedType, beginning{}, time.Unix(1000, 0))
	require.NoError(t, err)
	out, _, err := Seldon(e.Payload)
	require.NoError(t, err)
	var ours struct{ Data any }
	var want any
	require.NoError(t, json.Unmarshal(out, &ours))
	require.NoError(t, json.Unmarshal([]byte(theirs), &want))
	sameKinds(t, "", want, ours.Data)
}

func sameKinds(t *testing.T, at string, want, got any) {
	t.Helper()
	require.IsType(t, want, got, at)
	switch w := want.(type) {
	case map[string]any:
		for k := range w {
			require.Contains(t, got, k, at)
			sameKinds(t, at+"."+k, w[k], got.(map[string]any)[k])
		}
	case []any:
		sameKinds(t, at+"[]", w[0], got.([]any)[0])
	}
}
