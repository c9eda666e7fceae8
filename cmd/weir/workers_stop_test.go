package main

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-ml/weir/internal/testserver"
)

// stop is SIGTERM: a clean end, in less than the 30 s after which supervisors kill.
func (f *fleet) stop(p *process) time.Duration {
	f.t.Helper()
	f.alive(p)
	began := time.Now()
	require.NoError(f.t, p.cmd.Process.Signal(syscall.SIGTERM))
	err := <-p.done
	p.done <- nil
	took := time.Since(began)
	require.NoError(f.t, err, "a clean stop of %v\n%s", p.cmd.Args[1:], p.logs)
	require.Less(f.t, took, 28*time.Second)
	return took
}

// server is what an outage takes away.
type server interface {
	Stop(testing.TB)
	Start(testing.TB)
}

// mostLines is what one process may log in an outage of some seconds: what began, for each view and
// store, and not every attempt.
const mostLines = 9

// TestWorkersInOutages takes one server after the other away from running
// workers: they live on, say so without a flood, are ready or not as lookups
// can be answered or not, stop in time, and have lost nothing when it is back.
func TestWorkersInOutages(t *testing.T) {
	t.Parallel()
	long, seed := killsAndSeed(t, 0)
	away := 3 * time.Second
	if long > 0 {
		away = 10 * time.Second
	}
	pg := testserver.OwnPostgres(t)
	f := newFleet(t, fleet{
		project: "shop", kafka: testserver.OwnKafka(t, "group.min.session.timeout.ms=1000"), redis: testserver.OwnRedis(t, "--appendonly", "yes"),
		catalog: pg.Database(t, "weir"), tables: pg.Database(t, "iceberg"), files: t.TempDir(),
	}, 2, "")
	const topic, partitions = "people", 4
	s := newStream(topic, partitions, seed)
	cl := s.producer(t, f.kafka.Addr)
	defer cl.Close()
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	f.startHead()
	f.apply(workersManifest(f.project, topic))
	var publishing sync.WaitGroup
	stop := make(chan struct{})
	publishing.Go(func() { s.publish(cl, 10*time.Millisecond, stop) })
	stopPublishing := sync.OnceFunc(func() { close(stop); publishing.Wait() })
	defer stopPublishing()
	for i := range f.workers {
		f.startWorker(i)
	}
	for _, o := range []struct {
		name   string
		server server
		ready  bool // lookups go on
	}{{"redis", f.redis, false}, {"kafka", f.kafka, true}, {"postgres", pg, true}} {
		f.eventually(func() bool { return f.rows("people") > 0 }, "rows in the table")
		_, worker := f.addrs(f.workers[1])
		_, head := f.addrs(f.head)
		live := []*process{f.head, f.workers[0], f.workers[1]}
		said := make([]int, len(live))
		for i, p := range live {
			said[i] = len(p.logs.String())
		}
		o.server.Stop(t)
		time.Sleep(away) // what is said in that time is bounded; nothing else follows from it
		for i, p := range live {
			f.alive(p)
			lines := strings.FieldsFunc(p.logs.String()[said[i]:], func(r rune) bool { return r == '\n' })
			t.Logf("%s is away: %d lines by %s in %v", o.name, len(lines), p.cmd.Args[5], away)
			require.LessOrEqual(t, len(lines), mostLines, "%s is away, and %s floods the log:\n%s", o.name, p.cmd.Args[5], strings.Join(lines, "\n"))
			for _, l := range lines {
				require.NotContains(t, l, "goroutine ", "%s is away", o.name)
			}
		}
		for _, addr := range []string{head, worker} {
			f.eventually(func() bool { ok, _ := f.ready(addr); return ok == o.ready }, "readiness to be %t while %s is away", o.ready, o.name)
			r, err := http.Get("http://" + addr + "/healthz")
			require.NoError(t, err)
			r.Body.Close()
			require.Equal(t, http.StatusOK, r.StatusCode, "a process that waits is healthy")
		}
		if o.name == "postgres" || long > 0 { // the others are TestStopsWhileServersAreDown's as well
			t.Logf("%s is away: a worker stopped in %v", o.name, f.stop(f.workers[0]).Round(10*time.Millisecond))
			f.startWorker(0)
		}
		o.server.Start(t)
		f.addrs(f.workers[0])
		before := f.rows("people")
		f.eventually(func() bool { return f.rows("people") > before }, "the table to grow again after %s was away", o.name)
	}
	stopPublishing()
	seqs, ends := s.inLog(t, f.kafka.Addr)
	f.settled(topic, ends, len(workersViews()))
	for _, v := range workersViews() {
		t.Logf("%s: %v", v.name, f.check(s, seqs, v))
	}
	for _, p := range append(slices.Clone(f.workers), f.head) {
		f.stop(p)
	}
}
