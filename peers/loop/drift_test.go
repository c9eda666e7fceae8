//go:build loop

package loop

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// drift lets the stream change until the monitor tells of it: by exactly one event.
func (w *world) drift(campaign bool) event {
	w.t.Helper()
	before := len(w.weir.events(detected))
	at := time.Now()
	w.stream(2, campaign)
	var all []event
	until(w.t, 3*time.Minute, "the drift", func() (bool, any) {
		all = w.weir.events(detected)
		return len(all) > before, w.monitor()
	})
	require.Len(w.t, all, before+1)
	e := all[before]
	var d struct {
		Window   struct{ Start, End time.Time }
		Features []struct {
			Name    string
			Drifted bool
		}
	}
	require.NoError(w.t, json.Unmarshal(e.Data, &d))
	var which []string
	for _, f := range d.Features {
		if f.Drifted {
			which = append(which, f.Name)
		}
	}
	require.NotContains(w.t, which, "gender")
	require.Contains(w.t, which, "tenure")
	w.newcomers = campaign
	w.line.say(verdicts, "the stream drifts: one event", "%s: %s, %.1f s after its records were sent", e.ID, strings.Join(which, " "), e.Time.Sub(at).Seconds())
	return e
}

// dagRun is a run as Airflow tells of it.
type dagRun struct {
	ID     string    `json:"dag_run_id"`
	State  string    `json:"state"`
	Queued time.Time `json:"queued_at"`
	Conf   struct {
		ID, Type string
	}
}

// runs are the runs that an event has started.
func (w *world) runs(e event) (out []dagRun) {
	w.t.Helper()
	var all struct {
		Runs []dagRun `json:"dag_runs"`
	}
	require.Equal(w.t, http.StatusOK, w.airflow.Do(http.MethodGet, "dags/"+retrain+"/dagRuns?limit=100", nil, &all))
	for _, r := range all.Runs {
		if r.Conf.ID == e.ID {
			out = append(out, r)
		}
	}
	return out
}

// retrained follows an event to the end of the loop: one run, a new version, a new reference, and the alert is over.
func (w *world) retrained(e event, version string) {
	w.t.Helper()
	var runs []dagRun
	until(w.t, 3*time.Minute, "Airflow's run", func() (bool, any) {
		runs = w.runs(e)
		return len(runs) > 0, nil
	})
	require.Equal(w.t, "weir__"+e.ID, runs[0].ID)
	w.line.say(delivers, "Airflow has accepted a run", "%s, %.2f s after the verdict was recorded", runs[0].ID, runs[0].Queued.Sub(e.Time).Seconds())
	w.finished(e, version)
	require.Len(w.t, w.runs(e), 1)
}

// finished is the part of the loop that begins with a run.
func (w *world) finished(e event, version string) {
	w.t.Helper()
	tagged := before(version)
	until(w.t, 3*time.Minute, "MLflow's tag", func() (bool, any) {
		tags := w.tags(tagged)
		return tags["retraining.requested"] == e.ID, tags
	})
	w.line.say(delivers, "MLflow knows that retraining was asked for", "version %s has the tag retraining.requested", tagged)
	w.becomes(version)
	w.resolves()
	w.servedBy(version)
}

// tags are a version's in MLflow.
func (w *world) tags(version string) map[string]string {
	w.t.Helper()
	var got struct {
		Version struct {
			Tags []struct{ Key, Value string }
		} `json:"model_version"`
	}
	w.mlflow.Do(http.MethodGet, "model-versions/get?name="+model+"&version="+version, nil, &got)
	out := map[string]string{}
	for _, t := range got.Version.Tags {
		out[t.Key] = t.Value
	}
	return out
}

// before is the version before another.
func before(version string) string {
	n, _ := strconv.Atoi(version)
	return strconv.Itoa(n - 1)
}

// resolves sends on what drifted: to the new model it is what it knows.
func (w *world) resolves() {
	w.t.Helper()
	before := len(w.weir.events(detected))
	w.stream(2, w.newcomers)
	until(w.t, 3*time.Minute, "the end of the alert", func() (bool, any) {
		return len(w.weir.events(resolved)) == before, w.monitor()
	})
	require.Len(w.t, w.weir.events(detected), before)
	w.line.say(verdicts, "the alert is over", "the same customers are no drift to the new model")
}

// resent: the same event again starts nothing.
func (w *world) resent(e event) {
	calls := len(w.gate.answers())
	w.weir.run("events", "resend", e.ID)
	until(w.t, 3*time.Minute, "the event to be sent again", func() (bool, any) {
		return len(w.gate.answers()) > calls, nil
	})
	require.Equal(w.t, http.StatusConflict, w.gate.answers()[calls])
	require.Len(w.t, w.runs(e), 1)
	w.line.say(delivers, "the same event is sent again", "Airflow answers 409; there is one run")
}

// airflowDown: what is told while Airflow is away, it hears when it is back.
func (w *world) airflowDown() {
	w.airflow.Stop()
	w.line.say(endsAgain, "Airflow is stopped", "")
	e := w.drift(false)
	var d delivery
	until(w.t, 3*time.Minute, "a failed attempt", func() (bool, any) {
		all := w.weir.events(detected)
		d = all[len(all)-1].to(retrain)
		return d.Attempts > 0, d
	})
	require.Equal(w.t, "pending", d.State)
	w.line.say(delivers, "Airflow is down: the event waits", "%s", d.LastError)
	w.airflow.Start()
	w.line.say(starts, "Airflow is back", "%s", w.airflow.URL)
	w.retrained(e, "3")
}

// killedBeforeSending: Weir dies with an event that is recorded and that Airflow has not seen.
func (w *world) killedBeforeSending() {
	w.gate.set(shut)
	e := w.drift(true)
	<-w.gate.held
	w.weir.kill()
	require.Empty(w.t, w.runs(e))
	w.line.say(delivers, "Weir is killed before it could send", "Airflow has seen nothing")
	w.gate.set(open)
	w.weir.start()
	w.line.say(starts, "Weir is back", "")
	w.retrained(e, "4")
}

// killedBeforeTheAnswer: Weir dies when Airflow has the event and Weir does not know.
func (w *world) killedBeforeTheAnswer() {
	for len(w.gate.held) > 0 {
		<-w.gate.held
	}
	w.gate.set(silent)
	e := w.drift(false)
	require.Equal(w.t, http.StatusOK, <-w.gate.held)
	w.weir.kill()
	require.Len(w.t, w.runs(e), 1)
	w.line.say(delivers, "Weir is killed before it heard the answer", "Airflow has the run")
	w.gate.set(open)
	calls := len(w.gate.answers())
	w.weir.start()
	until(w.t, 3*time.Minute, "the event to be sent again", func() (bool, any) {
		return len(w.gate.answers()) > calls, nil
	})
	require.Equal(w.t, http.StatusConflict, w.gate.answers()[calls])
	w.line.say(delivers, "Weir is back, and sends it again", "Airflow answers 409")
	w.retrained(e, "5")
}

// airflowsOwnWatcher: a monitor whose pipeline no setting of Weir knows, and a DAG that reads the events' topic.
func (w *world) airflowsOwnWatcher(version string) {
	b, err := os.ReadFile(filepath.Join(example, "definitions.yaml"))
	require.NoError(w.t, err)
	f := filepath.Join(w.t.TempDir(), "definitions.yaml")
	require.NoError(w.t, os.WriteFile(f, []byte(strings.ReplaceAll(string(b), "pipeline: "+retrain+"}", "pipeline: "+fromKafka+"}")), 0o600))
	w.weir.run("apply", "-f", f)
	e := w.drift(true)
	until(w.t, 3*time.Minute, "the run that Airflow starts by itself", func() (bool, any) {
		return len(w.airflow.Runs(fromKafka)) == 1, nil
	})
	w.line.say(trains, "Airflow reads the topic and starts a run", "%s", w.airflow.Runs(fromKafka)[0].ID)
	require.Empty(w.t, w.runs(e))
	w.finished(e, version)
}

// demo: what `weir demo` says of its event is what Airflow and MLflow have of it.
func (w *world) demo(version string) {
	w.unpause(retrain, true) // the run is accepted, and there is nothing to train on
	cmd := exec.Command(w.weir.binary, "demo", "--exit", "-o", "json", "--with-airflow", w.airflow.URL, "--airflow-user", w.airflow.User, "--with-mlflow", w.mlflow.URL)
	cmd.Env = append(os.Environ(), w.weir.env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(w.t, err, "%s", errs.String())
	var said struct {
		Sends []struct{ To, What, State, Error string }
	}
	require.NoError(w.t, json.Unmarshal(out, &said))
	require.Len(w.t, said.Sends, 3)
	for _, s := range said.Sends {
		require.Equal(w.t, "delivered", s.State, "%+v", s)
		w.line.say(shows, "weir demo tells "+s.To, "%s", s.What)
	}
	run := said.Sends[1].What[strings.LastIndex(said.Sends[1].What, " ")+1:]
	require.Equal(w.t, http.StatusOK, w.airflow.Do(http.MethodGet, "dags/"+retrain+"/dagRuns/"+run, nil, nil))
	require.Equal(w.t, strings.TrimPrefix(run, "weir__"), w.tags(version)["retraining.requested"])
}
