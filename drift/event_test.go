package drift

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func docs(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", name))
	require.NoError(t, err)
	return b
}

func dataSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(docs(t, "drift-v1.schema.json")))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(DataSchema, doc))
	s, err := c.Compile(DataSchema)
	require.NoError(t, err)
	return s
}

// checkEvent proves an event's envelope and data.
func checkEvent(t *testing.T, s *jsonschema.Schema, payload []byte) (cloudevents.Event, EventData) {
	t.Helper()
	var ce cloudevents.Event
	require.NoError(t, json.Unmarshal(payload, &ce))
	require.NoError(t, ce.Validate())
	require.Equal(t, DataSchema, ce.DataSchema())
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(ce.Data()))
	require.NoError(t, err)
	require.NoError(t, s.Validate(doc))
	var d EventData
	dec := json.NewDecoder(bytes.NewReader(ce.Data()))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&d))
	return ce, d
}

func TestEventsAreWhatTheDocsSay(t *testing.T) {
	s := dataSchema(t)
	_, example, _ := strings.Cut(string(docs(t, "events.md")), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	checkEvent(t, s, []byte(example))
	for _, typ := range []string{DetectedType, ResolvedType} {
		require.Contains(t, string(docs(t, "events.md")), "`"+typ+"`")
	}

	m := &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "v", Version: 4, Retrain: feature.Retrain{Model: "churn"},
		Reference: feature.Reference{From: time.Unix(0, 0), To: time.Unix(3600, 0)}}
	w := &WindowRecord{Start: -5_000_000, End: 0, Rows: 9}
	zero, one := 0.0, 1.0
	v := &Verdict{Alpha: 0.01, Features: []Result{
		{Name: "a", Outcome: Steady, Test: "chi_square", Statistic: &zero, PValue: &one, JS: &zero, Count: 9}, {Name: "b", Outcome: CountedOnly, Nulls: 9},
	}}
	now := time.Unix(1000, 0)
	e, err := newEvent(m, w, v, w.Start, DetectedType, beginning{}, now)
	require.NoError(t, err)
	ce, d := checkEvent(t, s, e.Payload)
	require.Equal(t, e.ID, ce.ID())
	require.Equal(t, &m.Retrain, d.Retrain)
	require.Equal(t, feature.Warning, d.Severity, "where the monitor does not say")
	require.True(t, e.Retrain)
	require.Zero(t, *d.Features[0].Statistic)
	require.Nil(t, d.Features[1].PValue)

	again, err := newEvent(m, w, v, w.Start, DetectedType, beginning{}, now.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, e.ID, again.ID)
	other, err := newEvent(m, w, v, w.Start, ResolvedType, beginning{"the first", feature.Critical, nil}, now)
	require.NoError(t, err)
	require.NotEqual(t, e.ID, other.ID)
	require.False(t, other.Retrain)
	_, d = checkEvent(t, s, other.Payload)
	require.Nil(t, d.Retrain)
	require.Equal(t, feature.Critical, d.Severity, "that of what it ends")
	require.Equal(t, "the first", d.Resolves)
	m.Version++
	require.NotEqual(t, e.ID, EventID(m, w.Start, DetectedType))
}
