package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// tree prints nodes, two spaces a level.
func tree(all []*registry.LineageNode, indent string) string {
	var b strings.Builder
	for _, n := range all {
		b.WriteString(indent + n.Kind + "/" + n.Name)
		for _, d := range n.Details {
			if !strings.Contains(d, "made 1970") {
				b.WriteString(" (" + d + ")")
			}
		}
		b.WriteString("\n" + tree(n.Next, indent+"  "))
	}
	return b.String()
}

func TestLineage(t *testing.T) {
	r := trainedRegistry(t)
	_, _, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "3", Snapshot: "s1", URI: "s3://m", Aliases: []string{"champion"}})
	require.NoError(t, err)
	apply(t, r, definitions(t, `
apiVersion: weir/v1
kind: Monitor
metadata: {name: follows}
spec: {view: profile, reference: {model: churn}, window: {size: 1h}, retrain: {model: churn, service: churn_features}}
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: fixed}
spec: {view: profile, reference: {snapshot: s2}, window: {size: 1h}, retrain: {model: churn}}
`)...)
	var asked []int64
	standing := func(_ context.Context, project string, st feature.SnapshotTable) ([]feature.Position, error) {
		require.Equal(t, "default", project)
		asked = append(asked, st.Version)
		return []feature.Position{{Topic: "churn.events", Partition: 0, Next: 10}, {Topic: "churn.events", Partition: 1, Next: 7},
			{Topic: "churn.events", Partition: 2}, {Topic: "file:later.csv", Partition: feature.ImportPartition},
			{Topic: "file:history.csv", Partition: feature.ImportPartition, Next: 40}, {Topic: "churn.events", Partition: feature.ReplayPartition, Next: 2}}, nil
	}
	of := func(kind, name string) *registry.Lineage {
		t.Helper()
		l, err := r.Lineage(ctx, "", kind, name, standing)
		require.NoError(t, err)
		return l
	}
	const made = `service/churn_features@1
table/profile@1 (version 1)
  topic/churn.events (partition 0 up to offset 10) (partition 1 up to offset 7)
  import/history.csv (40 rows)
`
	indented := func(s, by string) string {
		return by + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n"+by) + "\n"
	}
	l := of("model", "churn@3")
	require.Equal(t, "model/churn@3 (champion) (s3://m)\n", tree([]*registry.LineageNode{l.Of}, ""))
	require.Equal(t, "snapshot/s1\n"+indented(made, "  "), tree(l.Up, ""))
	require.Equal(t, "monitor/fixed (asks to train it again)\nmonitor/follows (compares with its training set)\n", tree(l.Down, ""))
	require.Equal(t, []int64{1}, asked)
	require.Equal(t, tree(l.Up, ""), tree(of("model", "churn").Up, ""), "the champion")

	l = of("snapshot", "s1")
	require.Equal(t, made, tree(l.Up, ""))
	require.Equal(t, `model/churn@3 (champion) (s3://m)
  monitor/fixed (asks to train it again)
  monitor/follows (compares with its training set)
`, tree(l.Down, ""))

	l = of("topic", "churn.events")
	require.Empty(t, l.Up)
	require.Equal(t, `source/events@1
  view/profile@1
    service/churn_features@1 (2 features)
      snapshot/s2
        monitor/fixed (compares with it)
      snapshot/s1
        model/churn@3 (champion) (s3://m)
          monitor/fixed (asks to train it again)
          monitor/follows (compares with its training set)
      monitor/follows (asks to train with it again)
    monitor/fixed (watches it)
    monitor/follows (watches it)
`, tree(l.Down, ""))
	require.Equal(t, tree(l.Down[0].Next[0].Next, ""), tree(of("view", "profile").Down, ""))
	require.Equal(t, "source/events@1\n  topic/churn.events\n", tree(of("view", "profile").Up, ""))
	require.Equal(t, "view/profile@1\n  source/events@1\n    topic/churn.events\n", tree(of("service", "churn_features").Up, ""))
	require.Equal(t, "topic/churn.events\n", tree(of("source", "events").Up, ""))
	require.Contains(t, tree(of("monitor", "follows").Up, ""), "model/churn@3")
	require.Contains(t, tree(of("monitor", "fixed").Up, ""), "snapshot/s2")

	// Tables out of reach are said to be, and the rest is told.
	l, err = r.Lineage(ctx, "", "snapshot", "s1", func(context.Context, string, feature.SnapshotTable) ([]feature.Position, error) {
		return nil, errors.New("no such bucket")
	})
	require.NoError(t, err)
	require.Contains(t, tree(l.Up, ""), "topics and offsets are out of reach: no such bucket")
	l, err = r.Lineage(ctx, "", "snapshot", "s1", nil)
	require.NoError(t, err)
	require.Contains(t, tree(l.Up, ""), "the tables are out of reach")

	for _, bad := range [][2]string{{"model", "churn@9"}, {"model", "x"}, {"snapshot", "x"}, {"service", "x"}, {"view", "x"}, {"source", "x"}, {"monitor", "x"}, {"topic", "x"}} {
		_, err := r.Lineage(ctx, "", bad[0], bad[1], nil)
		require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", bad)
	}
	_, err = r.Lineage(ctx, "", "modl", "x", nil)
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}

// A monitor that judges a model is made of two views, and is found from both. One that follows a model compares with the
// snapshot beside it only until a version has the alias.
func TestLineageOfMonitors(t *testing.T) {
	r := trainedRegistry(t)
	apply(t, r, definitions(t, `
apiVersion: weir/v1
kind: FeatureView
metadata: {name: labels}
spec:
  entities: [customer]
  source: events
  features: [{name: churned, type: bool, path: churned}]
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: predictions}
spec:
  entities: [customer]
  source: events
  features: [{name: said, type: bool, path: said}]
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: good}
spec: {view: predictions, window: {size: 1d}, performance: {prediction: said, kind: label, outcomes: {view: labels, label: churned, within: 1d}, baseline: {accuracy: 0.8}}}
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: follows}
spec: {view: profile, reference: {model: churn, snapshot: s2}, window: {size: 1h}}
`)...)
	of := func(kind, name string) *registry.Lineage {
		t.Helper()
		l, err := r.Lineage(ctx, "", kind, name, nil)
		require.NoError(t, err)
		return l
	}
	const stream = "  source/events@1\n    topic/churn.events\n"
	require.Equal(t, "view/predictions@1\n"+stream+"view/labels@1 (outcomes)\n"+stream, tree(of("monitor", "good").Up, ""))
	require.Equal(t, "monitor/good (watches it)\n", tree(of("view", "predictions").Down, ""))
	require.Equal(t, "monitor/good (takes outcomes from it)\n", tree(of("view", "labels").Down, ""))

	require.Equal(t, "monitor/follows (compares with it)\n", tree(of("snapshot", "s2").Down, ""))
	require.Contains(t, tree(of("monitor", "follows").Up, ""), "snapshot/s2")
	_, _, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "3", Snapshot: "s1", Aliases: []string{"champion"}})
	require.NoError(t, err)
	require.Empty(t, of("snapshot", "s2").Down, "it compares with the champion's")
	require.NotContains(t, tree(of("monitor", "follows").Up, ""), "snapshot/s2")
}
