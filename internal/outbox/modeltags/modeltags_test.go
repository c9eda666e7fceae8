package modeltags_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/modeltags"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/recordtest"
	"github.com/weir-ml/weir/registry/feature"
)

func event(t *testing.T, change func(data map[string]any)) *outbox.Entry {
	var e map[string]any
	require.NoError(t, json.Unmarshal(pipeline.Sample(), &e))
	change(e["data"].(map[string]any))
	b, err := json.Marshal(e)
	require.NoError(t, err)
	return &outbox.Entry{Payload: b}
}

func model(name string) func(map[string]any) {
	return func(d map[string]any) { d["retrain"] = map[string]string{"model": name} }
}

// TestRecorded holds what is sent against what MLflow 3.17 answered. To record it anew, start one with a
// model "churn model" with two versions, of which the second has the alias champion, and set WEIR_TEST_RECORD_MLFLOW_TAGS to its address.
func TestRecorded(t *testing.T) {
	cfg := mlflow.DefaultConfig()
	cfg.URL = recordtest.Start(t, "testdata/tags.json", "WEIR_TEST_RECORD_MLFLOW_TAGS")
	c, ctx := mlflow.New(cfg), context.Background()
	d := modeltags.New(c)
	want := map[string]string{"retraining.requested": "5d4b3e0f-5b0f-5e6d-9d0a-7a5f8f0e6a11", "retraining.monitor": "customer_prices", "retraining.at": "2026-11-20T09:00:01.25Z"}
	tagged := func(version string) {
		v, err := c.ModelVersion(ctx, "churn model", version)
		require.NoError(t, err)
		for k, x := range want {
			require.Equal(t, x, v.Tags[k], "%s of version %s", k, version)
		}
	}
	require.NoError(t, d.Deliver(ctx, event(t, model("churn model"))))
	tagged("2")
	require.NoError(t, d.Deliver(ctx, event(t, model("churn model"))), "again")
	tagged("2")
	v, err := c.ModelVersion(ctx, "churn model", "1")
	require.NoError(t, err)
	require.NotContains(t, v.Tags, "retraining.requested")

	judgedBy := func(version string) *outbox.Entry {
		return event(t, func(d map[string]any) {
			model("churn model")(d)
			d["reference"] = map[string]string{"model": "churn model", "model_version": version, "snapshot": "snap_01"}
		})
	}
	require.NoError(t, d.Deliver(ctx, judgedBy("1")))
	tagged("1")
	require.NoError(t, d.Deliver(ctx, judgedBy("v1.0")), "MLflow has no such version: the one in use is it")
	require.NoError(t, d.Deliver(ctx, judgedBy("9")))

	err = d.Deliver(ctx, event(t, model("nobody")))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "nobody")
	require.ErrorContains(t, err, "alias champion")
}

func TestNoModel(t *testing.T) {
	err := modeltags.New(nil).Deliver(context.Background(), &outbox.Entry{Payload: []byte(`{"id":"x","data":{"monitor":"m"}}`)})
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}
