package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Airflow's programs. Runs are accepted with the first two alone, and executed with the scheduler;
// the triggerer is what Kafka's asset watchers need.
const (
	APIServer    = "api-server"
	DagProcessor = "dag-processor"
	Scheduler    = "scheduler"
	Triggerer    = "triggerer"
)

// AirflowOptions are what an Airflow is started with.
type AirflowOptions struct {
	Dags     string   // folder of the DAGs
	Dir      string   // of its database and logs; of the test when empty
	Env      []string // beside the test's own: what tasks need, AIRFLOW_CONN_KAFKA_DEFAULT, ...
	Programs []string // all four when empty
}

// Airflow is one on SQLite with the simple auth manager. Its providers are standard, apache-kafka and common-messaging.
type Airflow struct {
	URL, User, Password string
	Dir                 string

	t     testing.TB
	opt   AirflowOptions
	port  int
	procs []*process
	token string
}

// StartAirflow starts one that ends with the test, and waits until all of its programs are healthy: 20 to 60 s.
func StartAirflow(t testing.TB, o AirflowOptions) *Airflow {
	t.Helper()
	if len(o.Programs) == 0 {
		o.Programs = []string{APIServer, DagProcessor, Scheduler, Triggerer}
	}
	a := &Airflow{t: t, opt: o, Dir: folder(t, o.Dir), port: freePort(t), User: "weir", Password: "of-the-test"}
	a.URL = fmt.Sprintf("http://127.0.0.1:%d", a.port)
	if err := os.WriteFile(filepath.Join(a.Dir, "passwords.json"), fmt.Appendf(nil, `{%q: %q}`, a.User, a.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	migrate := run(t, "airflow db migrate", filepath.Join(a.Dir, "migrate.log"), a.Dir, a.env(), a.program(), "db", "migrate")
	<-migrate.done
	if !migrate.cmd.ProcessState.Success() {
		t.Fatal(migrate.tail())
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range a.procs {
				t.Log(p.tail())
			}
		}
		a.Stop()
	})
	a.Start()
	return a
}

func (a *Airflow) program() string { return filepath.Join(bin(a.t, "airflow"), "airflow") }

func (a *Airflow) env() []string {
	dags, err := filepath.Abs(a.opt.Dags)
	if err != nil {
		a.t.Fatal(err)
	}
	return append([]string{
		"PATH=" + bin(a.t, "airflow") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"AIRFLOW_HOME=" + a.Dir,
		"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///" + filepath.Join(a.Dir, "airflow.db"),
		"AIRFLOW__CORE__DAGS_FOLDER=" + dags,
		"AIRFLOW__CORE__LOAD_EXAMPLES=False",
		"AIRFLOW__CORE__PARALLELISM=4",
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=" + a.User + ":admin",
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=" + filepath.Join(a.Dir, "passwords.json"),
		// A busy machine is slow to answer tasks, and one that is not answered fails.
		"AIRFLOW__CORE__EXECUTION_API_SERVER_URL=" + a.URL + "/execution/", "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=120",
		"AIRFLOW__API__HOST=127.0.0.1", fmt.Sprintf("AIRFLOW__API__PORT=%d", a.port), "AIRFLOW__API__WORKERS=1", "AIRFLOW__API__BASE_URL=" + a.URL,
		// The same for all programs, or they do not believe each other.
		"AIRFLOW__API_AUTH__JWT_SECRET=of-the-test-and-of-nobody-else-0123456789abcdef0123456789abcdef",
		"AIRFLOW__API__SECRET_KEY=of-the-test",
		"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=2", "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=2",
		"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=0.5",
		"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1,localhost",
	}, a.opt.Env...)
}

// Start has it again after Stop, with what it knew.
func (a *Airflow) Start() {
	a.t.Helper()
	if len(a.procs) > 0 {
		return
	}
	healthy := []string{"metadatabase"}
	for _, name := range a.opt.Programs {
		args := []string{a.program(), name}
		switch name {
		case DagProcessor:
			healthy = append(healthy, "dag_processor")
		case Scheduler:
			args, healthy = append(args, "--skip-serve-logs"), append(healthy, "scheduler")
		case Triggerer:
			args, healthy = append(args, "--skip-serve-logs"), append(healthy, "triggerer")
		}
		a.procs = append(a.procs, run(a.t, "airflow "+name, filepath.Join(a.Dir, name+".log"), a.Dir, a.env(), args...))
	}
	await(a.t, 5*time.Minute, a.procs, "Airflow", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+"/api/v2/monitor/health", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		is := map[string]struct{ Status string }{}
		if err := json.NewDecoder(resp.Body).Decode(&is); err != nil {
			return err
		}
		for _, what := range healthy {
			if is[what].Status != "healthy" {
				return fmt.Errorf("%s: %q", what, is[what].Status)
			}
		}
		return nil
	})
}

// Stop ends all of its programs.
func (a *Airflow) Stop() {
	var all sync.WaitGroup
	for _, p := range a.procs {
		all.Go(p.stop)
	}
	all.Wait()
	a.procs = nil
}

// Do asks its REST API: path is what comes after /api/v2/. out may be nil.
func (a *Airflow) Do(method, path string, body, out any) (status int) {
	a.t.Helper()
	if a.token == "" {
		var got struct {
			Token string `json:"access_token"`
		}
		status, said := ask(a.t, http.MethodPost, a.URL+"/auth/token", "", map[string]string{"username": a.User, "password": a.Password})
		if err := json.Unmarshal(said, &got); err != nil || got.Token == "" {
			a.t.Fatalf("Airflow: no token: %d %s", status, said)
		}
		a.token = got.Token
	}
	status, said := ask(a.t, method, a.URL+"/api/v2/"+path, a.token, body)
	if out != nil && status/100 == 2 {
		if err := json.Unmarshal(said, out); err != nil {
			a.t.Fatalf("Airflow: %s %s: %v in %s", method, path, err, said)
		}
	}
	return status
}

// WaitDAG waits until the DAG processor has read a DAG.
func (a *Airflow) WaitDAG(id string) {
	a.t.Helper()
	await(a.t, 3*time.Minute, a.procs, "DAG "+id, func(context.Context) error {
		if status := a.Do(http.MethodGet, "dags/"+id, nil, nil); status != http.StatusOK {
			return fmt.Errorf("answered %d", status)
		}
		return nil
	})
}

// Run is a run of a DAG.
type Run struct {
	ID    string         `json:"dag_run_id"`
	State string         `json:"state"` // queued, running, success, failed
	Conf  map[string]any `json:"conf"`
}

// Runs lists the runs of a DAG, the oldest first.
func (a *Airflow) Runs(dag string) []Run {
	a.t.Helper()
	var out struct {
		Runs []Run `json:"dag_runs"`
	}
	if status := a.Do(http.MethodGet, "dags/"+dag+"/dagRuns?order_by=id&limit=100", nil, &out); status != http.StatusOK {
		a.t.Fatalf("Airflow: runs of %s: answered %d", dag, status)
	}
	return out.Runs
}

// WaitRun waits until a run has ended and gives it.
func (a *Airflow) WaitRun(dag, id string, within time.Duration) (r Run) {
	a.t.Helper()
	await(a.t, within, a.procs, "run "+id+" of "+dag, func(context.Context) error {
		if status := a.Do(http.MethodGet, "dags/"+dag+"/dagRuns/"+id, nil, &r); status != http.StatusOK {
			return fmt.Errorf("answered %d", status)
		}
		if r.State != "success" && r.State != "failed" {
			return fmt.Errorf("it is %s", r.State)
		}
		return nil
	})
	return r
}
