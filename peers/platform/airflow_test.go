//go:build loop

package platform_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox/airflow"
	"github.com/weir-ml/weir/peers/platform"
)

// TestAirflowOnceEach: each event is one run, whether it is sent twice, Airflow is away for a while, the
// password is wrong at first, or the DAG comes later.
func TestAirflowOnceEach(t *testing.T) {
	dags := t.TempDir()
	deploy := func(name string) {
		require.NoError(t, os.WriteFile(filepath.Join(dags, name+".py"), []byte(`from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("`+name+`", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    EmptyOperator(task_id="train")
`), 0o644))
	}
	deploy("retrain_churn")
	air := platform.StartAirflow(t, platform.AirflowOptions{Dags: dags, Programs: []string{platform.APIServer, platform.DagProcessor}})
	air.WaitDAG("retrain_churn")

	t.Setenv("WEIR_TEST_AIRFLOW_PASSWORD", "wrong")
	d, err := airflow.New(airflow.Options{URL: air.URL, User: air.User, Password: "env:WEIR_TEST_AIRFLOW_PASSWORD"})
	require.NoError(t, err)
	b := workOff(t, "airflow", d)
	ids := func(dag string) (out []string) {
		for _, r := range air.Runs(dag) {
			require.Equal(t, "weir__"+r.Conf["id"].(string), r.ID)
			out = append(out, r.ID)
		}
		return out
	}

	b.tell("first", "churn", "retrain_churn")
	e := b.await("first", "the password is wrong", failing)
	require.Contains(t, e.LastError, "user and password")
	require.Empty(t, ids("retrain_churn"))
	require.NoError(t, os.Setenv("WEIR_TEST_AIRFLOW_PASSWORD", air.Password))
	b.await("first", "the password is right", delivered)
	require.Equal(t, []string{"weir__first"}, ids("retrain_churn"))

	start := time.Now()
	b.tell("second", "churn", "retrain_churn")
	b.await("second", "Airflow is there", delivered)
	t.Logf("recorded to accepted: %.0f ms", 1000*time.Since(start).Seconds())
	b.again("second")
	require.Equal(t, []string{"weir__first", "weir__second"}, ids("retrain_churn"), "the same event twice is one run")

	air.Stop()
	b.tell("third", "churn", "retrain_churn")
	b.await("third", "Airflow is away", failing)
	air.Start()
	b.await("third", "Airflow is back", delivered)
	require.Equal(t, []string{"weir__first", "weir__second", "weir__third"}, ids("retrain_churn"))

	b.tell("fourth", "prices", "retrain_prices")
	e = b.await("fourth", "there is no such DAG", failing)
	require.Contains(t, e.LastError, "has no such DAG")
	deploy("retrain_prices")
	b.await("fourth", "it is deployed", delivered)
	require.Equal(t, []string{"weir__fourth"}, ids("retrain_prices"))
}
