package registry_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

const churn = `
apiVersion: weir/v1
kind: Entity
metadata: {name: customer}
spec: {join_keys: [{name: customer_id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: events}
spec: {topic: churn.events, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: profile}
spec:
  source: events
  entities: [customer]
  keys: {customer_id: customer.id}
  features: [{name: tenure, type: int32}, {name: spend, type: float64}]
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: churn_features}
spec: {features: ["profile:tenure", "profile:spend"]}
`

func definitions(t *testing.T, text string) []feature.Definition {
	t.Helper()
	docs, faults := manifest.Parse([]manifest.File{{Name: "x.yaml", Data: []byte(text)}})
	require.Empty(t, faults)
	return docs.Definitions()
}

// trainedRegistry has a service, two snapshots of it and no model yet.
func trainedRegistry(t *testing.T) *registry.Registry {
	s := memory.New()
	r := registrytest.Open(t, s, registry.Checks{})
	apply(t, r, definitions(t, churn)...)
	for i, id := range []string{"s1", "s2"} {
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "default", Service: "churn_features", ServiceVersion: 1,
			Tables: []feature.SnapshotTable{{View: "profile", ViewVersion: 1, Version: int64(i + 1)}}, CreatedAt: int64(i)}, nil))
	}
	return r
}

func TestRegisterModel(t *testing.T) {
	r := trainedRegistry(t)
	m, fresh, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "1", Snapshot: "s1", URI: "s3://m/1", Tags: map[string]string{"a": "1"}, Aliases: []string{"champion"}})
	require.NoError(t, err)
	require.True(t, fresh)
	require.Equal(t, "default/churn@1", m.ID())
	require.Equal(t, "churn_features", m.Service)
	require.Equal(t, 1, m.ServiceVersion)
	require.Equal(t, []string{"champion"}, m.Aliases)

	again, fresh, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "1", Snapshot: "s1", Tags: map[string]string{"b": "2"}})
	require.NoError(t, err)
	require.False(t, fresh)
	require.Equal(t, "s3://m/1", again.URI, "what is not given stays")
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, again.Tags)
	require.Equal(t, m.CreatedAt, again.CreatedAt)

	for _, c := range []struct {
		m    feature.Model
		kind feature.ErrorKind
		says string
	}{
		{feature.Model{Name: "churn", Version: "1", Snapshot: "s2"}, feature.Conflict, "trained with service churn_features@1 on snapshot s1, not with churn_features@1 on s2"},
		{feature.Model{Name: "churn", Version: "2", Snapshot: "zzz"}, feature.NotFound, "weir snapshot list"},
		{feature.Model{Name: "churn", Version: "2", Snapshot: "s1", Service: "other"}, feature.Invalid, "of service other@1, but snapshot s1 was made with churn_features@1"},
		{feature.Model{Name: "churn", Version: "2", Snapshot: "s1", ServiceVersion: 9}, feature.Invalid, "of service churn_features@9, but"},
		{feature.Model{Name: "a/b", Version: "2", Snapshot: "s1"}, feature.Invalid, "not a model's name"},
	} {
		_, _, err := r.RegisterModel(ctx, c.m)
		require.Equal(t, c.kind, feature.KindOf(err), "%v", err)
		require.ErrorContains(t, err, c.says)
	}
}

func TestFindModel(t *testing.T) {
	r := trainedRegistry(t)
	for _, v := range []string{"2", "10", "9"} {
		_, _, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: v, Snapshot: "s1"})
		require.NoError(t, err)
	}
	find := func(at string) string {
		m, err := r.FindModel(ctx, "", "churn", at)
		if err != nil {
			return err.Error()
		}
		return m.Version
	}
	require.Equal(t, "10", find(""), "the newest, while there is no champion")
	_, err := r.MoveAlias(ctx, "", "churn", "champion", "9")
	require.NoError(t, err)
	require.Equal(t, "9", find(""))
	require.Equal(t, "2", find("2"))
	require.Equal(t, "9", find("champion"))
	require.Contains(t, find("7"), "there are versions 2, 9, 10")
	_, err = r.FindModel(ctx, "", "chrun", "")
	require.ErrorContains(t, err, `did you mean "churn"?`)

	_, ok, err := r.AliasedModel(ctx, "default", "churn", "blue")
	require.NoError(t, err)
	require.False(t, ok)
	_, err = r.MoveAlias(ctx, "", "churn", "1st", "9")
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}

// TestInUse: what a model was trained with is not deleted, and what breaks it says so.
func TestInUse(t *testing.T) {
	r := trainedRegistry(t)
	_, _, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "3", Snapshot: "s1", Aliases: []string{"champion"}})
	require.NoError(t, err)

	_, err = r.DeleteSnapshot(ctx, "default", "s1")
	require.Equal(t, feature.Conflict, feature.KindOf(err))
	require.ErrorContains(t, err, "model churn@3 (champion) was trained on it")
	require.ErrorContains(t, err, "weir model delete churn 3")
	_, err = r.DeleteSnapshot(ctx, "default", "s2")
	require.NoError(t, err, "nobody uses it")

	service := feature.Ref{Kind: feature.KindService, Name: "churn_features"}
	_, err = r.Delete(ctx, service)
	require.ErrorContains(t, err, "model churn@3 (champion) was trained with it")
	_, err = r.Delete(ctx, service, feature.Ref{Kind: feature.KindView, Name: "profile"}, feature.Ref{Kind: feature.KindSource, Name: "events"})
	require.ErrorContains(t, err, "FeatureView default/profile: model churn@3 (champion) was trained with it", "also when all go in one step")

	narrower := definitions(t, `
apiVersion: weir/v1
kind: FeatureService
metadata: {name: churn_features}
spec: {features: ["profile:tenure"]}
`)
	_, err = r.Apply(ctx, registry.Request{Definitions: narrower})
	require.ErrorContains(t, err, "model churn@3 (champion) was trained with it as it is")
	other := definitions(t, `
apiVersion: weir/v1
kind: Source
metadata: {name: events}
spec: {topic: elsewhere, event_time: {field: at}}
`)
	_, err = r.Apply(ctx, registry.Request{Definitions: other})
	require.ErrorContains(t, err, "model churn@3 (champion) was trained with it as it is")
	_, err = r.Apply(ctx, registry.Request{Definitions: narrower, AllowBreaking: true})
	require.NoError(t, err, "who knows it may")

	require.Equal(t, feature.Conflict, feature.KindOf(r.DeleteModel(ctx, "", "churn", "3")))
	_, err = r.MoveAlias(ctx, "", "churn", "champion", "")
	require.NoError(t, err)
	require.NoError(t, r.DeleteModel(ctx, "", "churn", "3"))
	_, err = r.Delete(ctx, service)
	require.NoError(t, err, "the way out")
	_, err = r.DeleteSnapshot(ctx, "default", "s1")
	require.NoError(t, err)
}

// TestMonitorOfModel: a monitor may come before its model, and the plan says what it compares with.
func TestMonitorOfModel(t *testing.T) {
	r := trainedRegistry(t)
	monitor := func(reference string) *registry.Plan {
		p, err := r.Plan(ctx, registry.Request{Definitions: definitions(t, `
apiVersion: weir/v1
kind: Monitor
metadata: {name: m}
spec: {view: profile, reference: `+reference+`, window: {size: 1h}}
`)})
		require.NoError(t, err)
		return p
	}
	p := monitor("{model: churn}")
	require.Empty(t, p.Faults)
	require.Contains(t, p.Changes[0].Notes, "compares with champion of churn, which no version is yet")
	_, _, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "3", Snapshot: "s1", Aliases: []string{"champion"}})
	require.NoError(t, err)
	require.Contains(t, monitor("{model: churn, snapshot: s2}").Changes[0].Notes, "compares with snapshot s1 of churn@3 (champion)")
	require.Equal(t, "spec.reference.snapshot", monitor("{model: churn, snapshot: zzz}").Faults[0].Field, "also what is beside the model has to be there")
}

// Tags of registrations one after another are added up, and are no more than one registration may bring.
func TestRegisterModelTagsAddUp(t *testing.T) {
	r := trainedRegistry(t)
	register := func(from, to int) error {
		tags := map[string]string{}
		for i := from; i < to; i++ {
			tags[fmt.Sprint("k", i)] = "v"
		}
		_, _, err := r.RegisterModel(ctx, feature.Model{Name: "churn", Version: "3", Snapshot: "s1", Tags: tags})
		return err
	}
	require.NoError(t, register(0, 150))
	require.NoError(t, register(100, 200))
	require.Equal(t, feature.Invalid, feature.KindOf(register(200, 201)))
	m, err := r.FindModel(ctx, "", "churn", "3")
	require.NoError(t, err)
	require.Len(t, m.Tags, 200)
}
