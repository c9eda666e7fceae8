//go:build loop

package loop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/peers/platform"
)

const (
	example   = "../../examples/churn"
	model     = "churn"
	monitor   = "churn_inputs"
	retrain   = "retrain_churn"
	fromKafka = "retrain_churn_from_kafka"
)

// world is everything that runs, and how far the stream has come.
type world struct {
	t         *testing.T
	line      *timeline
	weir      *weir
	mlflow    *platform.MLflow
	airflow   *platform.Airflow
	gate      *gate
	python    string
	predicts  string    // where the model is asked
	env       []string  // what the example's scripts read
	hour      time.Time // of the stream, the next
	snapshots []string  // that models were trained on
	newcomers bool      // who comes at the moment
}

func TestLoop(t *testing.T) {
	w := start(t)
	w.train()
	w.serve()
	w.mlserver("1")
	first := w.drift(true)
	w.retrained(first, "2")
	w.resent(first)
	w.airflowDown()
	w.killedBeforeSending()
	w.killedBeforeTheAnswer()
	w.airflowsOwnWatcher("6")
	w.demo("6")
}

// start starts the platform, then Weir with the example's settings and definitions.
func start(t *testing.T) *world {
	line := newTimeline(t)
	binary := build(t)
	kafka, redis := testserver.OwnKafka(t), testserver.OwnRedis(t)
	mlflow := platform.StartMLflow(t, platform.MLflowOptions{})
	line.say(starts, "Kafka, Redis and MLflow are up", "%s, %s, %s", kafka.Addr, redis.Addr, mlflow.URL)
	dir, addrs := t.TempDir(), []string{freeAddr(t), freeAddr(t)}
	w := &world{t: t, line: line, mlflow: mlflow, python: platform.Python(t, "mlflow"), hour: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	w.env = []string{"CHURN_HTTP=http://" + addrs[0], "CHURN_GRPC=grpc://" + addrs[1], "MLFLOW_TRACKING_URI=" + mlflow.URL, "CHURN_LABELS=" + filepath.Join(dir, "labels.csv"),
		"MLFLOW_WEBHOOK_SECRET=of-the-test", "GIT_PYTHON_REFRESH=quiet"}
	data, err := filepath.Abs("../../../shared/data/telco_churn.csv")
	require.NoError(t, err)
	customers := "made up"
	if _, err := os.Stat(data); err == nil && os.Getenv("WEIR_TEST_LOOP_SYNTHETIC") == "" {
		w.env, customers = append(w.env, "CHURN_CSV="+data), "of the public Telco table"
	}
	plugins, err := filepath.Abs(filepath.Join(example, "plugins"))
	require.NoError(t, err)
	w.airflow = platform.StartAirflow(t, platform.AirflowOptions{Dags: filepath.Join(example, "dags"), Env: append([]string{
		// DAGs do not change, but are read again: only then is a watcher known of one that was paused.
		"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=30",
		"AIRFLOW__CORE__PLUGINS_FOLDER=" + plugins, "CHURN_PYTHON=" + w.python, "CHURN_WORK=" + dir,
		`AIRFLOW_CONN_KAFKA_DEFAULT={"conn_type": "kafka", "extra": {"bootstrap.servers": "` + kafka.Addr + `", "group.id": "airflow-churn", "auto.offset.reset": "earliest", "enable.auto.commit": false}}`,
	}, w.env...)})
	for _, dag := range []string{"churn_snapshot", "churn_train", retrain, fromKafka} {
		w.airflow.WaitDAG(dag)
	}
	line.say(starts, "Airflow is up and has read the DAGs", "%s", w.airflow.URL)

	w.gate = newGate(t, w.airflow.URL)
	settings, err := os.ReadFile(filepath.Join(example, "weir.yaml"))
	require.NoError(t, err)
	here := strings.NewReplacer("http://127.0.0.1:5000", mlflow.URL, "http://127.0.0.1:8080", w.gate.URL).Replace(string(settings))
	require.NotContains(t, here, "127.0.0.1:5000")
	config := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(config, []byte(here), 0o600))
	w.weir = &weir{t: t, binary: binary(), dir: dir, http: addrs[0], grpc: addrs[1], config: config, kafka: kafka.Addr, redisAt: redis.Addr,
		env: []string{"MLFLOW_WEBHOOK_SECRET=of-the-test", "AIRFLOW_PASSWORD=" + w.airflow.Password}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Weir said at the end:\n%s", w.weir.log())
		}
	})
	w.weir.start()
	t.Cleanup(w.weir.stop)
	topic(t, kafka.Addr)
	w.weir.run("apply", "-f", filepath.Join(example, "definitions.yaml"))
	w.script("webhook.py")
	line.say(starts, "Weir is up, and told of MLflow's aliases", "the customers are %s", customers)
	return w
}

// topic makes the stream's topic, as whoever owns the stream does.
func topic(t *testing.T, kafka string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, "churn.customers")
	require.NoError(t, err)
}

func (w *world) script(name string, args ...string) string {
	w.t.Helper()
	return script(w.t, w.python, w.env, name, args...)
}

// stream publishes hours of records: of customers that the campaign brought, or of those from before.
func (w *world) stream(hours int, campaign bool) {
	w.t.Helper()
	args := []string{"--start", w.hour.Format(time.RFC3339), "--hours", fmt.Sprint(hours)}
	if campaign {
		args = append(args, "--campaign")
	}
	w.script("stream.py", args...)
	w.hour = w.hour.Add(time.Duration(hours) * time.Hour)
}

// unpause lets a DAG run.
func (w *world) unpause(dag string, paused bool) {
	w.t.Helper()
	require.Equal(w.t, http.StatusOK, w.airflow.Do(http.MethodPatch, "dags/"+dag, map[string]any{"is_paused": paused}, nil))
}

// train: history comes, Airflow's own schedule makes a training set of it and a model, whose alias makes the set the reference.
func (w *world) train() {
	w.stream(4, false)
	until(w.t, time.Minute, "all events", func() (bool, any) { return rows(w) == 6000, rows(w) })
	w.line.say(verdicts, "four hours of customers have come", "%d events in the table", rows(w))
	for _, dag := range []string{"churn_train", "churn_snapshot", retrain, fromKafka} {
		w.unpause(dag, false)
	}
	w.becomes("1")
	w.unpause("churn_snapshot", true)
	require.Len(w.t, w.airflow.Runs("churn_snapshot"), 1)
	w.stream(2, false)
	until(w.t, time.Minute, "a steady window", func() (bool, any) {
		s := w.monitor()
		return slices.ContainsFunc(s.Windows, func(x window) bool { return !x.Drifted && x.judged() }), s
	})
	require.Empty(w.t, w.weir.events(detected))
	w.line.say(verdicts, "steady hours", "no event")
}

// becomes waits until a version is the champion in MLflow, and its snapshot the reference here.
func (w *world) becomes(version string) {
	w.t.Helper()
	var snapshot string
	until(w.t, 10*time.Minute, "version "+version+" to become the champion", func() (bool, any) {
		v, s := w.weir.champion()
		snapshot = s
		return v == version && w.idle(), v
	})
	var got struct {
		Version struct{ Version string } `json:"model_version"`
	}
	w.mlflow.Do(http.MethodGet, "registered-models/alias?name="+model+"&alias=champion", nil, &got)
	require.Equal(w.t, version, got.Version.Version)
	require.Equal(w.t, snapshot, w.tags(version)["feature_snapshot_id"])
	require.NotContains(w.t, w.snapshots, snapshot)
	w.snapshots = append(w.snapshots, snapshot)
	w.line.say(trains, "version "+version+" is the champion", "trained on snapshot %s, which is the reference now", snapshot)
}

// idle is whether no DAG runs; none may have failed.
func (w *world) idle() bool {
	w.t.Helper()
	for _, dag := range []string{"churn_snapshot", "churn_train", retrain, fromKafka} {
		for _, r := range w.airflow.Runs(dag) {
			require.NotEqual(w.t, "failed", r.State, "run %s of %s", r.ID, dag)
			if r.State != "success" {
				return false
			}
		}
	}
	return true
}

// rows is how many events the view's table has.
func rows(w *world) int {
	var all []struct{ Rows int }
	w.weir.json(&all, "status", "--view", "customer_profile")
	return all[0].Rows
}

// monitorState is what `weir monitor show -o json` tells.
type monitorState struct {
	State, Reference string
	Windows          []window `json:"results"`
}

type window struct {
	Start    string
	Drifted  bool
	Features []struct {
		Feature string
		Skipped string
		Drifted bool
	}
}

// judged is whether the window was compared with something.
func (x window) judged() bool {
	return slices.ContainsFunc(x.Features, func(f struct {
		Feature string
		Skipped string
		Drifted bool
	}) bool {
		return f.Skipped == ""
	})
}

func (w *world) monitor() (s monitorState) {
	w.t.Helper()
	w.weir.json(&s, "monitor", "show", monitor)
	return s
}

// serve: the model answers for a customer of whom it is told nothing but the id.
func (w *world) serve() {
	cmd := exec.Command(w.python, filepath.Join(example, "predict.py"), "--port", "0", "--every", "1")
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), w.env...)
	platform.DieWithParent(cmd)
	out, err := cmd.StdoutPipe()
	require.NoError(w.t, err)
	require.NoError(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(w.t, err)
	var at struct{ Port int }
	require.NoError(w.t, json.Unmarshal(line, &at))
	w.predicts = fmt.Sprintf("http://127.0.0.1:%d/predict", at.Port)
	w.servedBy("1")
}

// labels is the file of who left.
func (w *world) labels() string {
	w.t.Helper()
	b, err := os.ReadFile(strings.TrimPrefix(w.env[3], "CHURN_LABELS="))
	require.NoError(w.t, err)
	return string(b)
}

// servedBy waits until predictions are a version's.
func (w *world) servedBy(version string) {
	w.t.Helper()
	known := w.known()
	body, err := json.Marshal(map[string]any{"customer_id": []string{known, "nobody"}})
	require.NoError(w.t, err)
	until(w.t, 3*time.Minute, "predictions of version "+version, func() (bool, any) {
		r, err := http.Post(w.predicts, "application/json", bytes.NewReader(body))
		if err != nil {
			return false, err
		}
		defer r.Body.Close()
		var a struct {
			Model string
			Churn []*float64
		}
		require.NoError(w.t, json.NewDecoder(r.Body).Decode(&a))
		if a.Model != model+"@"+version {
			return false, a
		}
		require.Len(w.t, a.Churn, 2)
		require.NotNil(w.t, a.Churn[0])
		require.Nil(w.t, a.Churn[1])
		w.line.say(predicts, "predictions look features up", "%s says %.2f of customer %s, and nothing of nobody", a.Model, *a.Churn[0], known)
		return true, nil
	})
}
