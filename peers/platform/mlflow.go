package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// MLflowOptions are what an MLflow is started with.
type MLflowOptions struct {
	Dir string   // of its database and artifacts; of the test when empty
	Env []string // beside the test's own
}

// MLflow is a tracking server on SQLite, whose webhooks may go to 127.0.0.1 over HTTP.
type MLflow struct {
	URL string
	Dir string

	t    testing.TB
	opt  MLflowOptions
	port int
	proc *process
}

// StartMLflow starts one that ends with the test, and waits until it answers: some 10 s.
func StartMLflow(t testing.TB, o MLflowOptions) *MLflow {
	t.Helper()
	m := &MLflow{t: t, opt: o, Dir: folder(t, o.Dir), port: freePort(t)}
	m.URL = fmt.Sprintf("http://127.0.0.1:%d", m.port)
	t.Cleanup(func() {
		if m.proc != nil && t.Failed() {
			t.Log(m.proc.tail())
		}
		m.Stop()
	})
	m.Start()
	return m
}

// Start has it again after Stop, with what it knew.
func (m *MLflow) Start() {
	m.t.Helper()
	if m.proc != nil {
		return
	}
	env := append([]string{"MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https", "MLFLOW_DISABLE_TELEMETRY=true",
		"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "PYTHONUNBUFFERED=1", "DO_NOT_TRACK=1"}, m.opt.Env...)
	m.proc = run(m.t, "MLflow", filepath.Join(m.Dir, "mlflow.log"), m.Dir, env, Python(m.t, "mlflow"), "-m", "mlflow", "server",
		"--backend-store-uri", "sqlite:///"+filepath.Join(m.Dir, "mlflow.db"), "--artifacts-destination", filepath.Join(m.Dir, "artifacts"),
		"--host", "127.0.0.1", "--port", fmt.Sprint(m.port), "--workers", "1")
	await(m.t, 5*time.Minute, []*process{m.proc}, "MLflow", func(ctx context.Context) error {
		return get(ctx, m.URL+"/health")
	})
}

// Stop ends it.
func (m *MLflow) Stop() {
	if m.proc != nil {
		m.proc.stop()
		m.proc = nil
	}
}

// Do asks its REST API: path is what comes after /api/2.0/mlflow/. out may be nil. Any answer but 200 ends the test.
func (m *MLflow) Do(method, path string, body, out any) {
	m.t.Helper()
	status, said := ask(m.t, method, m.URL+"/api/2.0/mlflow/"+path, "", body)
	if status != http.StatusOK {
		m.t.Fatalf("MLflow: %s %s: %d %s", method, path, status, said)
	}
	if out != nil {
		if err := json.Unmarshal(said, out); err != nil {
			m.t.Fatalf("MLflow: %s %s: %v in %s", method, path, err, said)
		}
	}
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", url, resp.StatusCode)
	}
	return nil
}

// ask sends JSON and gives the answer. A server that is not there ends the test.
func ask(t testing.TB, method, url, token string, body any) (int, []byte) {
	t.Helper()
	var in []byte
	if body != nil {
		var err error
		if in, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, said
}
