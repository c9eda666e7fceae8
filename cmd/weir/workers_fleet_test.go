package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-ml/weir/internal/testserver"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// fleet is a Weir of several processes: one for registry, serving and drift,
// and workers that ingest. They share their stores and one configuration file.
type fleet struct {
	t       *testing.T
	kafka   *testserver.KafkaServer
	redis   *testserver.RedisServer
	project string
	catalog string // url of the definitions' database
	tables  string // url of Iceberg's
	files   string // the warehouse
	config  string // file

	head    *process
	workers []*process
	all     []*process // every process there ever was, for the logs of a failure
	kills   int
	starts  int
	story   []string
}

// newFleet needs the stores' addresses set; it starts nothing yet.
func newFleet(t *testing.T, f fleet, workers int, more string) *fleet {
	t.Helper()
	f.t, f.workers = t, make([]*process, workers)
	f.config = filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(f.config, fmt.Appendf(nil, `
project: %s
http: {addr: "127.0.0.1:0"}
serving: {addr: "127.0.0.1:0"}
kafka: {brokers: [%q], replicas: 1}
redis: {addrs: [%q]}
registry: {url: %q, poll_interval: 200ms}
offline: {catalog: %q, warehouse: %q}
ingest: {flush_interval: 300ms, max_event_bytes: 16384, session_timeout: 3s%s}
`, f.project, f.kafka.Addr, f.redis.Addr, f.catalog, f.tables, f.files, more), 0o644))
	t.Cleanup(func() {
		if t.Failed() {
			f.logs()
		}
	})
	return &f
}

// logs keeps what every process said, for whoever looks into a failure.
func (f *fleet) logs() {
	dir, err := os.MkdirTemp("", "weir-failed-")
	if err != nil {
		f.t.Log(err)
		return
	}
	for i, p := range f.all {
		name := fmt.Sprintf("%03d-%s.log", i, strings.ReplaceAll(p.cmd.Args[5], ",", "-"))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(p.logs.String()), 0o644); err != nil {
			f.t.Log(err)
		}
	}
	f.t.Logf("what the processes said is in %s; what went wrong, and when:\n%s", dir, strings.Join(f.story, "\n"))
	for _, p := range f.all[max(0, len(f.all)-4):] {
		s := p.logs.String()
		f.t.Logf("the end of %s:\n%s", p.cmd.Args[5], s[max(0, len(s)-2000):])
	}
}

// note adds a line to the story that a failure tells.
func (f *fleet) note(what string, args ...any) {
	f.story = append(f.story, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(what, args...))
}

func (f *fleet) spawn(roles string) *process {
	f.t.Helper()
	p := spawn(f.t, "run", "--config", f.config, "--role", roles, "--set", "data_dir="+filepath.Join(f.t.TempDir(), "data"))
	f.all = append(f.all, p)
	f.starts++
	return p
}

func (f *fleet) startHead()        { f.t.Helper(); f.head = f.spawn("registry,serving,drift") }
func (f *fleet) startWorker(i int) { f.t.Helper(); f.workers[i] = f.spawn("ingest") }

// kill is kill -9 of a process that must still have been alive.
func (f *fleet) kill(p *process) {
	f.t.Helper()
	f.alive(p)
	p.kill()
	f.kills++
}

// alive fails the test when a process has ended by itself.
func (f *fleet) alive(p *process) {
	f.t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		require.Fail(f.t, "a process ended by itself", "%s: %v\n%s", strings.Join(p.cmd.Args[1:], " "), err, p.logs)
	default:
	}
}

var readyLine = regexp.MustCompile(`msg=ready .*grpc=(\S+) http=(\S+)`)

// addrs waits until a process is ready and returns where it serves.
func (f *fleet) addrs(p *process) (grpcAddr, httpAddr string) {
	f.t.Helper()
	f.eventually(func() bool {
		f.alive(p)
		m := readyLine.FindStringSubmatch(p.logs.String())
		if m != nil {
			grpcAddr, httpAddr = m[1], m[2]
		}
		return m != nil
	}, "a process to be ready")
	return grpcAddr, httpAddr
}

// eventually is patient: the machine may be busy with other tests. The check
// runs on the test's goroutine and may fail it.
func (f *fleet) eventually(ok func() bool, what string, args ...any) {
	f.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		require.Lessf(f.t, time.Since(began), 3*time.Minute, "waited for "+what, args...)
	}
}

// command runs a command against the head; it returns its exit code and what it printed.
func (f *fleet) command(args ...string) (int, string) {
	f.t.Helper()
	addr, _ := f.addrs(f.head)
	p := spawn(f.t, append([]string{"--config", f.config, "--server", addr}, args...)...)
	err := <-p.done
	p.done <- err
	return p.cmd.ProcessState.ExitCode(), p.logs.String()
}

func (f *fleet) apply(manifest string) {
	f.t.Helper()
	file := filepath.Join(f.t.TempDir(), "manifest.yaml")
	require.NoError(f.t, os.WriteFile(file, []byte(manifest), 0o644))
	code, out := f.command("apply", "-f", file)
	require.Equal(f.t, 0, code, out)
}

func (f *fleet) conn() *grpc.ClientConn {
	f.t.Helper()
	addr, _ := f.addrs(f.head)
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	require.NoError(f.t, err)
	return conn
}

// rows is how many rows a view's table has; 0 when that cannot be told now.
func (f *fleet) rows(view string) int64 {
	f.t.Helper()
	conn := f.conn()
	defer conn.Close()
	st, err := weirv1.NewIngestServiceClient(conn).Status(f.t.Context(), &weirv1.IngestStatusRequest{Project: f.project, View: view})
	if err != nil || len(st.Views) == 0 {
		return 0
	}
	return st.Views[0].Rows
}

// settled waits until the tables of all views stand at the ends of the log.
func (f *fleet) settled(topic string, ends map[int32]int64, views int) {
	f.t.Helper()
	conn := f.conn()
	defer conn.Close()
	var last string
	defer func() {
		if f.t.Failed() {
			f.t.Log("the last status: ", last)
		}
	}()
	f.eventually(func() bool {
		f.alive(f.head)
		for _, p := range f.workers {
			f.alive(p)
		}
		st, err := weirv1.NewIngestServiceClient(conn).Status(f.t.Context(), &weirv1.IngestStatusRequest{Project: f.project})
		if last = fmt.Sprint(st, err); err != nil {
			return false
		}
		done := 0
		for _, v := range st.Views {
			for _, p := range v.Partitions {
				if p.Topic == topic && p.Position == ends[p.Partition] {
					done++
				}
			}
		}
		return done == views*len(ends)
	}, "the tables to reach the ends of the log")
}

// ready asks a process' /readyz.
func (f *fleet) ready(httpAddr string) (bool, time.Duration) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+httpAddr+"/readyz", nil)
	require.NoError(f.t, err)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, time.Since(began)
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK, time.Since(began)
}

// audited is `weir audit -o json`.
type audited struct {
	Clean bool  `json:"clean"`
	Found int64 `json:"found"`
	Views []struct {
		View  string `json:"view"`
		Found int64  `json:"found"`
		Lines []struct {
			Log        int64 `json:"log"`
			Table      int64 `json:"table"`
			Quarantine int64 `json:"quarantine"`
			Compared   bool  `json:"compared"`
		} `json:"lines"`
		Online *struct {
			Keys  int64 `json:"keys"`
			Equal int64 `json:"equal"`
		} `json:"online"`
		Differences []difference `json:"differences"`
		Notes       []string     `json:"notes"`
	} `json:"views"`
}

type difference struct {
	Kind      string `json:"kind"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	Count     int64  `json:"count"`
	Key       string `json:"key"`
	Path      string `json:"path"`
	Detail    string `json:"detail"`
}

// audit runs weir audit; the exit code must say what the report does.
func (f *fleet) audit(args ...string) (a audited) {
	f.t.Helper()
	code, out := f.command(append([]string{"audit", "-o", "json"}, args...)...)
	at := strings.Index(out, "{\n")
	require.GreaterOrEqual(f.t, at, 0, out)
	require.NoError(f.t, json.NewDecoder(strings.NewReader(out[at:])).Decode(&a), out)
	require.Equal(f.t, a.Clean, a.Found == 0)
	if a.Clean {
		require.Equal(f.t, 0, code, out)
	} else {
		require.Equal(f.t, 1, code, out)
	}
	return a
}
