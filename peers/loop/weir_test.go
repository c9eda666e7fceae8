//go:build loop

package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/peers/platform"
)

// weir is the product's binary, on addresses that it keeps.
type weir struct {
	t              *testing.T
	binary, dir    string
	http, grpc     string
	config         string
	env            []string
	cmd            *exec.Cmd
	ended          chan struct{}
	kafka, redisAt string
}

// build begins to make the binary, as `make build` does, and gives what waits for it.
func build(t *testing.T) func() string {
	out := filepath.Join(t.TempDir(), "weir")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", out, "github.com/weir-ml/weir/cmd/weir")
	done := make(chan struct{})
	var said []byte
	var err error
	go func() {
		defer close(done)
		said, err = cmd.CombinedOutput()
	}()
	t.Cleanup(func() { <-done })
	return func() string {
		<-done
		require.NoError(t, err, "%s", said)
		return out
	}
}

// freeAddr is an address of 127.0.0.1 that nothing listens on at the moment.
func freeAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// start runs it until it is stopped or killed, and waits until it is ready.
func (w *weir) start() {
	w.t.Helper()
	log, err := os.OpenFile(filepath.Join(w.dir, "weir.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(w.t, err)
	defer log.Close()
	w.cmd = exec.Command(w.binary, "up", "--data", filepath.Join(w.dir, "data"), "--config", w.config,
		"--set", "http.addr="+w.http, "--set", "serving.addr="+w.grpc, "--set", "kafka.brokers="+w.kafka, "--set", "redis.addrs="+w.redisAt,
		"--set", "ingest.flush_interval=500ms",
		// What a Weir that was killed had begun to send, and what Airflow was away for, waits no longer than this.
		"--set", "drift.outbox.lease=20s", "--set", "drift.outbox.max_backoff=10s")
	w.cmd.Env = append(os.Environ(), w.env...)
	w.cmd.Stdout, w.cmd.Stderr = log, log
	platform.DieWithParent(w.cmd)
	require.NoError(w.t, w.cmd.Start())
	ended := make(chan struct{})
	w.ended = ended
	cmd := w.cmd
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	until(w.t, time.Minute, "Weir to be ready", func() (bool, any) {
		select {
		case <-ended:
			w.t.Fatalf("Weir ended:\n%s", w.log())
		default:
		}
		r, err := http.Get("http://" + w.http + "/readyz")
		if err != nil {
			return false, err
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK, r.Status
	})
}

// kill ends it as a power cut does.
func (w *weir) kill() {
	_ = w.cmd.Process.Kill()
	<-w.ended
}

func (w *weir) stop() {
	_ = w.cmd.Process.Signal(os.Interrupt)
	select {
	case <-w.ended:
	case <-time.After(20 * time.Second):
		w.kill()
	}
}

func (w *weir) log() string {
	b, _ := os.ReadFile(filepath.Join(w.dir, "weir.log"))
	return string(b[max(0, len(b)-12000):])
}

// run runs a command that must succeed, and gives what it says.
func (w *weir) run(args ...string) []byte {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, w.binary, append([]string{"--server", w.grpc}, args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if e, ok := err.(*exec.ExitError); ok && e.ExitCode() == 1 { // the answer is no: it drifts
		err = nil
	}
	require.NoError(w.t, err, "weir %s\n%s%s", strings.Join(args, " "), out, errs.String())
	return out
}

func (w *weir) json(into any, args ...string) {
	w.t.Helper()
	out := w.run(append(args, "-o", "json")...)
	require.NoError(w.t, json.Unmarshal(out, into), "%s", out)
}

// event is what `weir events list -o json` tells of one.
type event struct {
	ID, Type   string
	Time       time.Time
	Data       json.RawMessage
	Deliveries []delivery
}

// delivery is how an event stands with one destination.
type delivery struct {
	Destination, State string
	Attempts           int
	LastError          string `json:"last_error"`
}

// to is how the event stands with a destination.
func (e event) to(destination string) delivery {
	for _, d := range e.Deliveries {
		if d.Destination == destination {
			return d
		}
	}
	return delivery{}
}

const (
	detected = "io.weir.drift.detected.v1"
	resolved = "io.weir.drift.resolved.v1"
)

// events are the monitor's of one type, the oldest first.
func (w *weir) events(kind string) (out []event) {
	w.t.Helper()
	var all []event
	w.json(&all, "events", "list", "--monitor", monitor)
	for _, e := range all {
		if e.Type == kind {
			out = append([]event{e}, out...)
		}
	}
	return out
}

// champion is the version of the model that has the alias here, and its snapshot.
func (w *weir) champion() (version, snapshot string) {
	w.t.Helper()
	var all []struct {
		Version, Snapshot string
		Aliases           []string
	}
	w.json(&all, "model", "list", "--name", model)
	for _, m := range all {
		for _, a := range m.Aliases {
			if a == "champion" {
				return m.Version, m.Snapshot
			}
		}
	}
	return "", ""
}

// script runs a script of the example to its end.
func script(t *testing.T, python string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(python, append([]string{filepath.Join(example, name)}, args...)...)
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v\n%s%s", name, args, out, errs.String())
	return string(out)
}
