package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/command"
	"github.com/weir-ml/weir/cmd/weir/demo"
)

// TestDemo runs the demo as a user does, and holds its story against itself.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP(short): the demo publishes for some seconds")
	}
	p := startPlatform(t)
	var out, errs bytes.Buffer
	require.Equal(t, 0, command.Main([]string{"demo", "--exit", "-o", "json", "--with-airflow", p.URL, "--with-mlflow", p.URL}, strings.NewReader(""), &out, &errs), errs.String())
	var r struct {
		Published        int64    `json:"published"`
		OfflineRows      int64    `json:"offline_rows"`
		Quarantined      int64    `json:"quarantined"`
		SnapshotRows     int64    `json:"snapshot_rows"`
		DriftedFeatures  []string `json:"drifted_features"`
		RetrainingEvents int      `json:"retraining_events"`
		SnapshotID       string   `json:"snapshot_id"`
		Sends            []demo.Sent
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), out.String())
	require.EqualValues(t, 48000, r.Published)
	require.Equal(t, r.Published, r.OfflineRows+r.Quarantined)
	require.Greater(t, r.Quarantined, r.Published/50)
	require.EqualValues(t, 1000, r.SnapshotRows)
	require.Contains(t, r.DriftedFeatures, "monthly_charges")
	require.NotContains(t, r.DriftedFeatures, "tenure")
	require.Equal(t, 1, r.RetrainingEvents)
	require.Empty(t, errs.String())

	require.Len(t, r.Sends, 3)
	for _, s := range r.Sends {
		require.Equal(t, "delivered", s.State, "%+v", s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.runs, 1)
	id := strings.TrimPrefix(p.runs[0], "weir__")
	require.Contains(t, r.Sends[1].What, p.runs[0])
	require.Equal(t, map[string]string{"weir.demo": "true", "feature_service": "churn", "feature_snapshot_id": r.SnapshotID, "retraining.requested": id,
		"retraining.monitor": "churn_inputs", "retraining.at": p.tags["retraining.at"]}, p.tags)
	require.NotEmpty(t, p.tags["retraining.at"])
}

// TestDemoNeedsThePassword: it is asked for before anything starts.
func TestDemoNeedsThePassword(t *testing.T) {
	t.Setenv("AIRFLOW_PASSWORD", "")
	var out, errs bytes.Buffer
	require.Equal(t, 2, command.Main([]string{"demo", "--exit", "--with-airflow", "http://127.0.0.1:1"}, strings.NewReader(""), &out, &errs))
	require.Contains(t, errs.String(), "AIRFLOW_PASSWORD")
	require.Empty(t, out.String())
}

// platform is as much of an Airflow and an MLflow as the demo asks; that the real ones take the same, internal/mlflow,
// internal/outbox/airflow and peers/loop say.
type platform struct {
	*httptest.Server
	mu   sync.Mutex
	runs []string
	tags map[string]string // of the only version; nil before it is made
}

func startPlatform(t *testing.T) *platform {
	t.Setenv("AIRFLOW_PASSWORD", "of-the-test")
	p := &platform{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var in struct {
		Run      string `json:"dag_run_id"`
		Password string
		Key      string
		Value    string
		Tags     []struct{ Key, Value string }
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	version := map[string]any{"model_version": map[string]any{"name": "churn", "version": "1"}}
	switch r.Method + " " + r.URL.Path {
	case "POST /auth/token":
		if in.Password != "of-the-test" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		answer(map[string]string{"access_token": "t"})
	case "POST /api/v2/dags/retrain_churn/dagRuns":
		p.runs = append(p.runs, in.Run)
		answer(map[string]string{"dag_run_id": in.Run})
	case "GET /api/v2/dags/retrain_churn":
		answer(map[string]bool{"is_paused": false})
	case "GET /api/2.0/mlflow/registered-models/alias", "GET /api/2.0/mlflow/model-versions/get":
		if p.tags == nil {
			w.WriteHeader(http.StatusNotFound)
			answer(map[string]string{"error_code": "RESOURCE_DOES_NOT_EXIST"})
			return
		}
		answer(version)
	case "POST /api/2.0/mlflow/model-versions/create":
		p.tags = map[string]string{}
		for _, t := range in.Tags {
			p.tags[t.Key] = t.Value
		}
		answer(version)
	case "POST /api/2.0/mlflow/model-versions/set-tag":
		p.tags[in.Key] = in.Value
		answer(struct{}{})
	default: // a model made, an alias set, all models: nothing to tell
		answer(struct{}{})
	}
}
