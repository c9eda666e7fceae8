package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// modelShown is what weir model show -o json has.
type modelShown struct {
	Name           string            `json:"name"`
	Version        string            `json:"version"`
	Service        string            `json:"service"`
	ServiceVersion int               `json:"service_version"`
	Snapshot       string            `json:"snapshot"`
	URI            string            `json:"uri"`
	Tags           map[string]string `json:"tags"`
	Aliases        []string          `json:"aliases"`
	Moves          []struct{ Alias, Version, Snapshot string }
}

// TestModels registers versions, moves aliases and shows them; what they were trained with stays until they go.
func TestModels(t *testing.T) {
	w, spine := salesWeir(t, 60)
	snapshot := func() string {
		var s struct{ ID string }
		w.json(&s, "snapshot", "create", "--service", "model", "--spine", spine, "--out", filepath.Join(t.TempDir(), "set.parquet"))
		return s.ID
	}
	one, two := snapshot(), snapshot()
	fails := func(says string, args ...string) {
		t.Helper()
		code, _, errs := w.try(args...)
		require.Equal(t, 2, code)
		require.Contains(t, errs, says)
	}

	require.Contains(t, w.run("model", "register", "churn", "--version", "1", "--snapshot", one, "--uri", "s3://models/1", "--tag", "team=growth", "--alias", "champion"),
		"registered model churn@1: service model@1, snapshot "+one+", champion\n")
	w.run("model", "register", "churn", "--version", "2", "--snapshot", two, "--service", "model")
	require.Contains(t, w.run("model", "register", "churn", "--version", "2", "--snapshot", two), "was registered already: model churn@2")
	fails("what a version was made of never changes", "model", "register", "churn", "--version", "2", "--snapshot", one)
	fails("weir snapshot list shows what there is", "model", "register", "churn", "--version", "3", "--snapshot", "zzz")
	fails("was made with model@1", "model", "register", "churn", "--version", "3", "--snapshot", one, "--service", "other")
	fails("give --version and --snapshot", "model", "register", "churn")
	fails("write it as key=value", "model", "register", "churn", "--version", "3", "--snapshot", one, "--tag", "x")

	require.Contains(t, w.run("model", "alias", "churn", "2", "champion"), "churn@2 is champion now")
	require.Contains(t, w.run("model", "alias", "churn", "2", "champion"), "churn@2 is champion already")
	fails("there are versions 1, 2", "get", "model", "churn@3")
	fails(`did you mean "churn"?`, "model", "show", "chrun")
	fails("champion is version 2", "model", "alias", "churn", "1", "champion", "--delete")

	var m modelShown
	w.json(&m, "get", "model", "churn")
	require.Equal(t, "2", m.Version, "the champion")
	require.Len(t, m.Moves, 2)
	require.Equal(t, []string{one, two}, []string{m.Moves[0].Snapshot, m.Moves[1].Snapshot}, "who was champion when")
	w.json(&m, "describe", "model", "churn@1")
	require.Equal(t, "s3://models/1", m.URI)
	require.Equal(t, map[string]string{"team": "growth"}, m.Tags)
	require.Empty(t, m.Aliases)
	text := w.run("model", "show", "churn@champion")
	require.Contains(t, text, "default/churn@2")
	require.Contains(t, text, "since")
	var all []modelShown
	w.json(&all, "get", "models")
	require.Len(t, all, 2)
	require.Contains(t, w.run("model", "list"), "champion")
	require.Contains(t, w.run("describe", "service", "model"), "model churn@2")

	// In use.
	fails("model churn@1 was trained on it (delete the model version first: weir model delete churn 1)", "snapshot", "delete", one, "--yes")
	fails("models churn@1, churn@2 (champion) were trained with it", "delete", "service", "model")
	code, _, errs := w.try("apply", "-f", fileOf(t, "m.yaml", salesManifest("{name: n, type: int64}, {name: y, type: string}", `"sales:n"`)))
	require.Equal(t, 2, code)
	require.Contains(t, errs, "models churn@1, churn@2 (champion) were trained with it as it is")

	// The way out.
	w.run("model", "delete", "churn", "1")
	w.run("snapshot", "delete", one, "--yes")
	fails("move the alias to another version, or take it off: weir model alias churn 2 champion --delete", "model", "delete", "churn", "2")
	require.Contains(t, w.run("model", "alias", "churn", "2", "champion", "--delete"), "no longer champion")
	fails("no version is champion", "model", "alias", "churn", "2", "champion", "--delete")
	w.run("model", "delete", "churn", "2")
	w.run("delete", "service", "model")
	w.run("snapshot", "delete", two, "--yes")
}

// monitorShown is what weir monitor show -o json has.
type monitorShown struct {
	State, Reference string
	Results          []struct {
		Drifted         bool
		Snapshot, Model string
		ModelVersion    string `json:"model_version"`
	}
}

// TestMonitorFollowsModel: windows wait for a champion, are compared with what it was trained on, and show which version that was.
func TestMonitorFollowsModel(t *testing.T) {
	w, spine := salesWeir(t, 60)
	w.apply(`
apiVersion: weir/v1
kind: Monitor
metadata: {name: follows}
spec:
  view: sales
  features: [n]
  reference: {model: churn}
  window: {size: 1d}
  min_count: 10
`)
	day := func(date string, n int) { // 100 rows whose numbers are around n
		text := "id,at,n,y\n"
		for i := range 100 {
			text += fmt.Sprintf("t%02d,%sT12:00:%02dZ,%d,a\n", i, date, i%60, n+i%10)
		}
		w.run("import", "--view", "sales", fileOf(t, date+".csv", text))
	}
	snapshot := func(spine string) string {
		var s struct{ ID string }
		w.json(&s, "snapshot", "create", "--service", "model", "--spine", spine, "--out", filepath.Join(t.TempDir(), "set.parquet"))
		return s.ID
	}
	var m monitorShown
	day("2026-02-01", 5000)
	w.json(&m, "monitor", "run", "follows")
	require.Equal(t, "champion of churn, which no version is yet", m.Reference)
	require.Empty(t, m.Results, "there is nothing to compare with")

	one := snapshot(spine)
	w.run("model", "register", "churn", "--version", "1", "--snapshot", one, "--alias", "champion")
	w.json(&m, "monitor", "run", "follows")
	require.Equal(t, "snapshot "+one+" of churn@1 (champion)", m.Reference)
	require.Len(t, m.Results, 1)
	require.True(t, m.Results[0].Drifted)

	// A version that was trained on the rows of now ends it.
	text := "id,event_timestamp\n"
	for i := range 100 {
		text += fmt.Sprintf("t%02d,2026-02-01T13:00:00Z\n", i)
	}
	two := snapshot(fileOf(t, "new.csv", text))
	w.run("model", "register", "churn", "--version", "2", "--snapshot", two, "--alias", "champion")
	day("2026-02-02", 5000)
	w.json(&m, "monitor", "run", "follows")
	require.Equal(t, "ok", m.State)
	m = monitorShown{}
	w.json(&m, "monitor", "show", "follows")
	require.Len(t, m.Results, 2)
	for i, want := range []struct {
		version, snapshot string
		drifted           bool
	}{{"2", two, false}, {"1", one, true}} {
		r := m.Results[i]
		require.Equal(t, []any{want.version, want.snapshot, want.drifted, "churn"}, []any{r.ModelVersion, r.Snapshot, r.Drifted, r.Model})
	}
	out := w.run("monitor", "show", "follows")
	require.Contains(t, out, "compared with")
	require.Contains(t, out, "churn@1")
	require.Contains(t, w.run("monitor", "list"), "churn@2 (champion)")

	var events []struct {
		Type string
		Data struct {
			Reference map[string]string
		}
	}
	w.json(&events, "events", "list", "--monitor", "follows")
	require.Len(t, events, 2)
	require.Equal(t, map[string]string{"snapshot": two, "model": "churn", "model_version": "2"}, events[0].Data.Reference)
	require.Equal(t, map[string]string{"snapshot": one, "model": "churn", "model_version": "1"}, events[1].Data.Reference)
}
