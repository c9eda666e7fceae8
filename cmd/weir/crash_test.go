package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testserver/native"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/sqlstore"
)

// childEnv makes the test binary be weir itself, so that a test can kill it.
const childEnv = "WEIR_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		go endWithParent(os.Getppid())
		main()
	}
	os.Exit(m.Run())
}

// endWithParent keeps a weir from outliving a test that was killed.
func endWithParent(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

// process is a weir in a process of its own.
type process struct {
	cmd  *exec.Cmd
	logs *lockedBuffer
	done chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	p := &process{cmd: exec.Command(exe, args...), logs: &lockedBuffer{}, done: make(chan error, 1)}
	p.cmd.Dir = t.TempDir() // no weir.yaml of anybody's
	p.cmd.Env = append(os.Environ(), childEnv+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.logs, p.logs
	require.NoError(t, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.kill() })
	return p
}

// kill is kill -9; it returns once the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	p.done <- nil
}

// freePorts returns addresses that were free a moment ago.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports, err := native.FreePorts(n)
	require.NoError(t, err)
	var out []string
	for _, p := range ports {
		out = append(out, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return out
}

// at is an event's coordinates in the topic.
type at struct {
	part   int32
	offset int64
}

// logged is what the topic holds in the end.
type logged struct {
	id  string
	age int64
	at  time.Time
	bad bool
}

// TestKilled publishes to a weir up with everything embedded and kills it with
// SIGKILL again and again. Whatever its log holds in the end is in the table
// once or in quarantine once, and the newest of each key is online.
func TestKilled(t *testing.T) {
	kills, seed := killsAndSeed(t, 5)
	rng := rand.New(rand.NewPCG(seed, 7))
	dir, ports := t.TempDir(), freePorts(t, 4)
	args := []string{"up", "--data", dir, "--set", "http.addr=" + ports[0], "--set", "serving.addr=" + ports[1],
		"--set", "kafka.embedded_addr=" + ports[2], "--set", "redis.embedded_addr=" + ports[3], "--set", "ingest.flush_interval=100ms"}
	up := func() *process {
		p := spawn(t, args...)
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			if r, err := http.Get("http://" + ports[0] + "/readyz"); err == nil {
				r.Body.Close()
				if r.StatusCode == http.StatusOK {
					return p
				}
			}
			select {
			case err := <-p.done:
				p.done <- err
				t.Fatalf("weir up ended: %v\n%s", err, p.logs)
			default:
			}
			require.Less(t, time.Since(began), 60*time.Second, "weir up is not ready\n%s", p.logs)
		}
	}
	command := func(args ...string) string {
		p := spawn(t, append([]string{"--server", ports[1]}, args...)...)
		err := <-p.done
		p.done <- err
		require.NoError(t, err, "weir %s\n%s", strings.Join(args, " "), p.logs)
		return p.logs.String()
	}

	p := up()
	manifest := filepath.Join(t.TempDir(), "people.yaml")
	require.NoError(t, os.WriteFile(manifest, fmt.Appendf(nil, peopleManifest, "default", "people"), 0o644))
	command("apply", "-f", manifest)

	// The publisher goes on whatever happens to the broker.
	cl, err := kgo.NewClient(kgo.SeedBrokers(ports[2]), kgo.UnknownTopicRetries(-1), kgo.RequestRetries(1000), kgo.ConsiderMissingTopicDeletedAfter(time.Hour))
	require.NoError(t, err)
	defer cl.Close()
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	var mu sync.Mutex
	acked := map[at]bool{}
	var allowed atomic.Int64 // for each life as many, however slow the machine is
	allowed.Store(2000)
	publishing.Go(func() {
		own := rand.New(rand.NewPCG(seed, 8))
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if int64(n) >= allowed.Load() {
				n--
				continue
			}
			r := person("people", fmt.Sprintf("k%d", own.IntN(40)), time.Now(), n)
			if own.IntN(20) == 0 {
				r.Value = r.Value[:len(r.Value)-3]
			}
			cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
				if err == nil {
					mu.Lock()
					acked[at{r.Partition, r.Offset}] = true
					mu.Unlock()
				}
			})
		}
	})
	for range kills {
		time.Sleep(time.Duration(300+rng.IntN(1500)) * time.Millisecond) // any moment is right
		p.kill()
		p = up()
		allowed.Add(2000)
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	publishing.Wait()
	require.NoError(t, cl.Flush(t.Context()))

	events := readTopic(t, ports[2], "people")
	for a := range acked {
		require.Contains(t, events, a, "an acknowledged event is no longer in the log")
	}
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "people")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var all []viewStatus
		require.NoError(t, json.Unmarshal([]byte(command("status", "--view", "people", "-o", "json")), &all))
		if len(all) == 0 {
			return false
		}
		n := 0
		for _, s := range all[0].Partitions {
			if e, ok := ends.Lookup("people", s.Partition); ok && s.Position == e.Offset {
				n++
			}
		}
		return n == len(ends["people"])
	}, 60*time.Second, 200*time.Millisecond, "the table to reach the end of the log\n%s", p.logs)

	held := map[at]int{}
	res, err := quarantine.NewReader(kgo.SeedBrokers(ports[2])).Read(t.Context(), quarantine.Query{Project: "default", View: "people"})
	require.NoError(t, err)
	for _, e := range res.Entries {
		held[at{e.Partition, e.Offset}]++
	}
	newest := map[string]logged{}
	for _, e := range events {
		if n, ok := newest[e.id]; !e.bad && (!ok || e.at.After(n.at)) {
			newest[e.id] = e
		}
	}
	var online struct {
		Rows []struct {
			Features map[string]any `json:"features"`
		} `json:"rows"`
	}
	ids := slices.Sorted(maps.Keys(newest))
	lookup := []string{"lookup", "--service", "people", "-o", "json"}
	for _, id := range ids {
		lookup = append(lookup, "--entity", "id="+id)
	}
	require.NoError(t, json.Unmarshal([]byte(command(lookup...)), &online))
	require.Len(t, online.Rows, len(ids))
	for i, id := range ids {
		require.EqualValues(t, newest[id].age, online.Rows[i].Features["age"], "newest value of %s online", id)
	}

	began := time.Now()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-p.done, "a clean stop\n%s", p.logs)
	p.done <- nil
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))

	rows := readTable(t, dir, "default", "people")
	good := 0
	for a, e := range events {
		if e.bad {
			require.Equal(t, 0, rows[a], "bad event %v in the table", a)
			require.Equal(t, 1, held[a], "bad event %v in quarantine", a)
		} else {
			good++
			require.Equal(t, 1, rows[a], "good event %v in the table", a)
			require.Equal(t, 0, held[a], "good event %v in quarantine", a)
		}
	}
	require.Len(t, rows, good)
	require.Equal(t, len(events), good+len(held))
	t.Logf("%d kills, %d events acknowledged, %d in the log = %d rows + %d in quarantine", kills, len(acked), len(events), good, len(held))
}

// readTopic reads a topic of events made by person to its end.
func readTopic(t *testing.T, broker, topic string) map[at]logged {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	out := map[at]logged{}
	for left > 0 {
		fs := cl.PollFetches(t.Context())
		require.NoError(t, fs.Err())
		fs.EachRecord(func(r *kgo.Record) {
			left--
			var v struct {
				ID  string
				Age int64
				At  time.Time
			}
			bad := json.Unmarshal(r.Value, &v) != nil
			out[at{r.Partition, r.Offset}] = logged{v.ID, v.Age, v.At, bad}
		})
	}
	return out
}

// readTable counts the rows of a stopped weir's table by their coordinates.
func readTable(t *testing.T, dir, project, view string) map[at]int {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(dir, "catalog.db"))
	require.NoError(t, err)
	reg, err := registry.Open(t.Context(), store, registry.DefaultConfig(), registry.Checks{}, log, prometheus.NewRegistry())
	require.NoError(t, err)
	defer reg.Close()
	cat, err := reg.Current(t.Context())
	require.NoError(t, err)
	v, err := cat.View(project, view)
	require.NoError(t, err)
	tables, err := iceberg.Open(t.Context(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "tables"), log)
	require.NoError(t, err)
	defer tables.Close()
	table, err := tables.Table(t.Context(), v)
	require.NoError(t, err)
	defer table.Close()
	rows := map[at]int{}
	require.NoError(t, offline.Scan(t.Context(), table, offline.ScanOptions{}, func(b *feature.Batch) error {
		for _, off := range b.Offsets {
			rows[at{b.Origin.Partition, off}]++
		}
		return nil
	}))
	return rows
}
