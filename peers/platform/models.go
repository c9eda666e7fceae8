package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// ModelServer is a server of models over the Open Inference Protocol v2, until the test ends.
type ModelServer struct {
	URL  string
	proc *process
}

// StartMLServer serves the models of a folder, each in a folder of its own with its model-settings.json, and waits until
// all of them can be asked: some 10 s.
func StartMLServer(t testing.TB, models string) *ModelServer {
	t.Helper()
	port := freePort(t)
	settings, err := json.Marshal(map[string]any{"host": "127.0.0.1", "http_port": port, "grpc_port": freePort(t), "metrics_port": freePort(t), "parallel_workers": 0, "debug": false})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(models, "settings.json"), settings, 0o644); err != nil {
		t.Fatal(err)
	}
	s := &ModelServer{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	s.serve(t, "MLServer", "/v2/health/ready", filepath.Join(bin(t, "mlserver"), "mlserver"), "start", models)
	return s
}

// StartTransformer runs a KServe transformer in front of a predictor, with its log in dir; path is where Python finds what the script imports.
func StartTransformer(t testing.TB, script, path string, predictor *ModelServer, args ...string) *ModelServer {
	t.Helper()
	port := freePort(t)
	_, here, _, _ := runtime.Caller(0)
	s := &ModelServer{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	all := append([]string{filepath.Join(filepath.Dir(here), "kserve", "local.py"), script, "--http_port", fmt.Sprint(port), "--enable_grpc", "false",
		"--predictor_protocol", "v2", "--predictor_host", predictor.URL[len("http://"):]}, args...)
	s.serve(t, "the transformer", "/v2/health/ready", append([]string{"PYTHONPATH=" + path, Python(t, "kserve")}, all...)...)
	return s
}

// serve starts a program: settings of its environment, then its name and arguments.
func (s *ModelServer) serve(t testing.TB, name, ready string, args ...string) {
	t.Helper()
	env := []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"}
	for len(args[0]) > 0 && args[0][0] != '/' {
		env, args = append(env, args[0]), args[1:]
	}
	dir := t.TempDir()
	s.proc = run(t, name, filepath.Join(dir, "log"), dir, env, args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.proc.tail())
		}
		s.proc.stop()
	})
	await(t, 5*time.Minute, []*process{s.proc}, name, func(ctx context.Context) error { return get(ctx, s.URL+ready) })
}

// Infer sends an inference request, and returns the status and the answer.
func (s *ModelServer) Infer(t testing.TB, model string, request []byte) (int, []byte) {
	t.Helper()
	return ask(t, "POST", s.URL+"/v2/models/"+model+"/infer", "", json.RawMessage(request))
}
