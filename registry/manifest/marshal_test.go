package manifest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/manifest"
)

var ctx = context.Background()

const everything = `apiVersion: weir/v1
kind: Entity
metadata: {name: customer, description: "A customer: \"who\" pays", owner: growth, tags: {pii: "yes", tier: "1"}}
spec:
  join_keys: [{name: customer_id, type: string, description: the id}]
---
apiVersion: weir/v1
kind: Source
metadata: {name: events, project: churn}
spec:
  topic: churn.events
  format: json
  schema:
    $id: "https://example.com/a"
    type: object
    required: [customer_id, "10", "null", "~"]
    properties:
      charge: {type: number, minimum: 0.10, maximum: 1e400, multipleOf: 0.01}
      text: {type: string, pattern: "^[a-z]+: #x\\d\n$", const: "yes"}
      never: false
      nothing: {const: null, enum: [null, true, 12345678901234567890123, -0.0, 2013-01-01]}
  event_time: {field: at, format: unix_ms}
  created: {field: seen.at}
  max_future: 90s
  null_values: [NA, "-999", " "]
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - type: expect_column_values_to_be_between
      kwargs: {column: tenure, min_value: 0, max_value: null, strict_min: true}
      severity: warning
      notes: [a, b]
      meta: {who: me}
    - type: expect_column_values_to_not_be_null
      kwargs: {column: tenure}
      id: 1b
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: profile}
spec:
  source: events
  entities: [customer]
  keys: {customer_id: customer.id}
  features:
    - {name: tenure, type: int32, path: a.tenure, description: months, tags: {unit: months}}
    - {name: charge, type: float64}
    - {name: embedding, type: array<float32>}
    - {name: tags, type: "array<string>"}
  ttl: 30d
  online: false
  suite: sane
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: churn}
spec:
  features: ["profile:*"]
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: watch}
spec:
  view: profile
  features: [tenure]
  reference: {from: 2013-01-01, to: 2013-02-01T12:00:00+01:00}
  window: {size: 7d, lateness: 5m, idle_after: 2m}
  min_count: 100
  alpha: 0.05
  psi: 0.25
  js: 1e-3
  windows: 2
  retrain: {model: churn, service: churn, pipeline: "https://ci/x?y=1&z=2"}
`

func TestMarshalRoundTrip(t *testing.T) {
	docs, faults := manifest.Parse([]manifest.File{{Name: "all.yaml", Data: []byte(everything)}})
	require.Empty(t, faults)
	require.Len(t, docs, 6)
	out, err := manifest.Marshal(docs.Definitions()...)
	require.NoError(t, err)
	t.Logf("%s", out)
	again, faults := manifest.Parse([]manifest.File{{Name: "again.yaml", Data: out}})
	require.Empty(t, faults)
	require.Len(t, again, 6)
	for i := range docs {
		a, err := registry.Encode(docs[i].Definition)
		require.NoError(t, err)
		b, err := registry.Encode(again[i].Definition)
		require.NoError(t, err)
		require.Equal(t, string(a), string(b))
		t.Logf("%s", a)
	}
}
