package api_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/ingest/audit"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

// reports is the caller's side of an audit.
type reports struct {
	grpc.ServerStream
	ctx   context.Context
	views []string
}

func (r *reports) Context() context.Context { return r.ctx }

func (r *reports) Send(m *weirv1.AuditResponse) error {
	if rep := m.GetReport(); rep != nil {
		r.views = append(r.views, rep.View)
	}
	return nil
}

// TestAuditGoesOn: a view that cannot be audited does not keep the others from
// it, and is an error all the same.
func TestAuditGoesOn(t *testing.T) {
	reg := registrytest.Open(t, memory.New(), registry.Checks{})
	text := `
apiVersion: weir/v1
kind: Entity
metadata: {name: customer}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: events}
spec: {topic: events, event_time: {field: at}}
`
	for _, name := range []string{"one", "three", "two"} {
		text += `---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: ` + name + `}
spec: {source: events, entities: [customer], features: [{name: n, type: int32}]}
`
	}
	docs, faults := manifest.Parse([]manifest.File{{Name: "views.yaml", Data: []byte(text)}})
	require.Empty(t, faults)
	_, err := reg.Apply(t.Context(), registry.Request{Definitions: docs.Definitions()})
	require.NoError(t, err)

	gone := feature.Errorf(feature.NotFound, "audit.run", "topic events", "the topic does not exist")
	s := &api.Upkeep{Registry: reg, Examine: func(_ context.Context, v *feature.View, _ api.AuditOptions, _ func(audit.Progress)) (*audit.Report, error) {
		if v.Meta.Name == "three" {
			return nil, gone
		}
		return &audit.Report{View: v}, nil
	}}
	out := &reports{ctx: t.Context()}
	require.ErrorIs(t, s.Audit(&weirv1.AuditRequest{}, out), gone)
	require.ElementsMatch(t, []string{"one", "two"}, out.views)

	out.views = nil
	require.NoError(t, s.Audit(&weirv1.AuditRequest{View: "two"}, out))
	require.Equal(t, []string{"two"}, out.views)
}
