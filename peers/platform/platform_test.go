//go:build loop

package platform_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-ml/weir/peers/platform"
)

// TestAirflowRuns: a DAG runs with what its run was given, and a stopped Airflow comes back with what it knew.
func TestAirflowRuns(t *testing.T) {
	dags := t.TempDir()
	dag := `from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False)
def retrain():
    @task
    def train(dag_run=None):
        assert dag_run.conf["id"] == "one"
    train()

retrain()
`
	if err := os.WriteFile(filepath.Join(dags, "retrain.py"), []byte(dag), 0o644); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	air := platform.StartAirflow(t, platform.AirflowOptions{Dags: dags})
	t.Logf("Airflow is healthy after %.1f s", time.Since(start).Seconds())
	air.WaitDAG("retrain")
	for i, id := range []string{"one", "two"} {
		if status := air.Do(http.MethodPost, "dags/retrain/dagRuns", map[string]any{"dag_run_id": id, "logical_date": nil, "conf": map[string]string{"id": id}}, nil); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		if r := air.WaitRun("retrain", id, 5*time.Minute); (r.State == "success") != (i == 0) {
			t.Fatalf("%+v", r)
		}
		t.Logf("run %s has ended after %.1f s", id, time.Since(start).Seconds())
		if i == 0 {
			air.Stop()
			air.Start()
			t.Logf("Airflow is back after %.1f s", time.Since(start).Seconds())
		}
	}
	if runs := air.Runs("retrain"); len(runs) != 2 || runs[0].ID != "one" {
		t.Fatalf("%+v", runs)
	}
}

// TestMLflowStays: what MLflow was told is there after a restart.
func TestMLflowStays(t *testing.T) {
	m := platform.StartMLflow(t, platform.MLflowOptions{})
	m.Do(http.MethodPost, "registered-models/create", map[string]string{"name": "churn"}, nil)
	m.Stop()
	m.Start()
	var got struct {
		Model struct{ Name string } `json:"registered_model"`
	}
	m.Do(http.MethodGet, "registered-models/get?name=churn", nil, &got)
	if got.Model.Name != "churn" {
		t.Fatalf("%+v", got)
	}
}
