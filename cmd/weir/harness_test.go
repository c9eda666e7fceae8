package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/cmd/weir/command"
)

// weir is a running application and its command line.
type weir struct {
	t    *testing.T
	app  *app.App
	cfg  app.Config
	stop func()
}

// testConfig is everything embedded, in a folder of the test's own, on free ports.
func testConfig(t *testing.T) app.Config {
	c := app.DefaultConfig()
	c.DataDir = t.TempDir()
	c.HTTP.Addr, c.Serving.Addr, c.Kafka.EmbeddedAddr, c.Redis.EmbeddedAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Ingest.FlushInterval = 200 * time.Millisecond
	c.Redis.DialTimeout, c.Redis.ReadTimeout = 10*time.Second, 10*time.Second // a busy machine answers late
	return c
}

// start runs Weir until the test ends, or stop is called, and waits until it is ready.
func start(t *testing.T, c app.Config, roles ...string) *weir {
	t.Helper()
	var logs io.Writer = io.Discard
	if os.Getenv("WEIR_TEST_LOG") != "" {
		logs = os.Stderr
	}
	a, err := app.New(c, slog.New(slog.NewTextHandler(logs, nil)), roles...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	w := &weir{t: t, app: a, cfg: c, stop: func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
		}
	}}
	t.Cleanup(w.stop)
	select {
	case <-a.Ready():
	case err := <-done:
		stopped = true
		t.Fatalf("weir ended before it was ready: %v", err)
	}
	return w
}

// try runs a command and returns its exit code and output.
func (w *weir) try(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = command.Main(append([]string{"--server", w.app.GRPCAddr()}, args...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// run runs a command that must succeed.
func (w *weir) run(args ...string) string {
	w.t.Helper()
	code, out, errs := w.try(args...)
	require.Equal(w.t, 0, code, "weir %s\n%s%s", strings.Join(args, " "), out, errs)
	return out
}

// json runs a command with -o json, whatever it answers, and decodes it.
func (w *weir) json(into any, args ...string) {
	w.t.Helper()
	code, out, errs := w.try(append(args, "-o", "json")...)
	require.NotEqual(w.t, 2, code, "weir %s\n%s%s", strings.Join(args, " "), out, errs)
	require.NoError(w.t, json.Unmarshal([]byte(out), into), out)
}

// apply puts a manifest in force.
func (w *weir) apply(manifest string) {
	w.t.Helper()
	f := filepath.Join(w.t.TempDir(), "manifest.yaml")
	require.NoError(w.t, os.WriteFile(f, []byte(manifest), 0o644))
	w.run("apply", "-f", f)
}

// viewStatus is one view of `weir status -o json`.
type viewStatus struct {
	View       string `json:"view"`
	Rows       int64  `json:"rows"`
	Paused     string `json:"paused"`
	Partitions []struct {
		Partition int32  `json:"partition"`
		Position  int64  `json:"position"`
		EndOffset int64  `json:"end_offset"`
		Stopped   string `json:"stopped"`
	} `json:"partitions"`
}

func (w *weir) status(project, view string) viewStatus {
	w.t.Helper()
	var all []viewStatus
	w.json(&all, "status", "--project", project, "--view", view)
	if len(all) == 0 {
		return viewStatus{}
	}
	return all[0]
}

// arrived waits until the table's positions add up to n events.
func (w *weir) arrived(project, view string, n int64) viewStatus {
	w.t.Helper()
	var st viewStatus
	w.eventually(func() bool {
		st = w.status(project, view)
		var sum int64
		for _, p := range st.Partitions {
			sum += p.Position
		}
		return sum >= n
	}, "%d events of %s/%s to be in the table or in quarantine", n, project, view)
	return st
}

func (w *weir) eventually(ok func() bool, what string, args ...any) {
	w.t.Helper()
	require.Eventually(w.t, ok, 90*time.Second, 50*time.Millisecond, "waited for "+what, args)
}

// quarantined is `weir quarantine list -o json`.
type quarantined struct {
	Total   int64            `json:"total"`
	Rules   map[string]int64 `json:"rules"`
	Entries []struct {
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
		Payload   string `json:"payload"`
		Reasons   []struct {
			Rule     string `json:"rule"`
			Path     string `json:"path"`
			Value    string `json:"value"`
			Expected string `json:"expected"`
		} `json:"reasons"`
	} `json:"entries"`
}

func (w *weir) held(project, view string) (q quarantined) {
	w.t.Helper()
	w.json(&q, "quarantine", "list", "--project", project, "--view", view, "--limit", "1000")
	return q
}

// shared is the folder of data that comes with the project's workplace.
func shared(t *testing.T, parts ...string) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIP(shared absent): %s is not there", filepath.Join(parts...))
	}
	return path
}
