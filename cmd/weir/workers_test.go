package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
)

// killsAndSeed are WEIR_TEST_KILLS, or so many, and the test's seed.
func killsAndSeed(t *testing.T, kills int) (int, uint64) {
	t.Helper()
	if s := os.Getenv("WEIR_TEST_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		kills = n
	}
	return kills, testseed.For(t)
}

// TestWorkersKilled runs three workers on a real Kafka, Redis and PostgreSQL and
// kills everything that can be killed, again and again, while events of all
// kinds come in: workers at any moment of their lives, the process that serves,
// Kafka, Redis (which then lost some of what it had acknowledged, or all of it); the disk is full for
// a while, and a suite changes. In the end every event is in each view's table
// once or in its quarantine once, and the newest row of each key is online.
//
// WEIR_TEST_KILLS=100 is the long run, some ten minutes.
func TestWorkersKilled(t *testing.T) {
	t.Parallel()
	kills, seed := killsAndSeed(t, 5)
	pg := testserver.OwnPostgres(t)
	f := fleet{
		project: "shop",
		kafka:   testserver.OwnKafka(t, "group.min.session.timeout.ms=1000"),
		redis:   testserver.OwnRedis(t, "--appendonly", "yes", "--appendfsync", "everysec"),
		catalog: pg.Database(t, "weir"), tables: pg.Database(t, "iceberg"),
	}
	trial(t, f, newDisk(t, "512m", true), 3, kills, seed)
}

// TestWorkersKilledOnSQLite is the same on one machine's SQLite files.
func TestWorkersKilledOnSQLite(t *testing.T) {
	t.Parallel()
	kills, seed := killsAndSeed(t, 2)
	dir := t.TempDir()
	f := fleet{
		project: "shop",
		kafka:   testserver.OwnKafka(t, "group.min.session.timeout.ms=1000"),
		redis:   testserver.OwnRedis(t, "--appendonly", "yes", "--appendfsync", "everysec"),
		catalog: "sqlite:" + filepath.Join(dir, "catalog.db"), tables: "sqlite:" + filepath.Join(dir, "tables.db"),
	}
	trial(t, f, newDisk(t, "", false), 3, kills, seed)
}

// troubles is the schedule: what goes wrong, one after the other.
func troubles(rng *rand.Rand, kills int) []string {
	var out []string
	for n := 0; n < kills; n++ {
		switch r := rng.IntN(10); {
		case r == 0:
			out = append(out, "kill the head")
		case r < 5:
			out = append(out, "kill a young worker")
		default:
			out = append(out, "kill a worker")
		}
	}
	if kills < 5 { // a short run
		out = append(out, "kill redis", "kill kafka", "change the suite")
	}
	for range (kills + 15) / 20 {
		out = append(out, "kill redis", "redis forgets", "redis loses all", "kill kafka", "change the suite", "freeze a worker")
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	at := 1 + rng.IntN(len(out)-1)
	return append(out[:at:at], append([]string{"the disk is full"}, out[at:]...)...)
}

// trial lets events come in while everything goes wrong, and then checks.
func trial(t *testing.T, stores fleet, d *disk, workers, kills int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 20))
	const topic, partitions = "people", 12
	stores.files = d.dir
	f := newFleet(t, stores, workers, "")
	s := newStream(topic, partitions, seed)
	cl := s.producer(t, f.kafka.Addr)
	defer cl.Close()
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	f.startHead()
	f.apply(workersManifest(f.project, topic))
	views := workersViews()
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	var done, undone int
	publishing.Go(func() { s.publish(cl, 4*time.Millisecond, stop) })
	publishing.Go(func() {
		done, undone = s.transact(func() *kgo.Client {
			return s.producer(t, f.kafka.Addr, kgo.TransactionalID("weir-test"), kgo.TransactionTimeout(10*time.Second))
		}, rand.New(rand.NewPCG(seed, 22)), stop)
	})
	stopPublishing := sync.OnceFunc(func() { close(stop); publishing.Wait() })
	defer stopPublishing()
	for i := range f.workers {
		f.startWorker(i)
	}
	pause := func(most int) { time.Sleep(time.Duration(rng.IntN(most)) * time.Millisecond) } // any moment is right
	counts := map[string]int{}
	began := time.Now()
	for _, what := range troubles(rng, kills) {
		counts[what]++
		i := rng.IntN(workers)
		f.note("%s (%d)", what, i)
		switch what {
		case "kill a worker":
			f.kill(f.workers[i])
			pause(1500)
			f.startWorker(i)
		case "kill a young worker": // in its start, its assignment, its first commit
			f.kill(f.workers[i])
			f.startWorker(i)
			pause(2000)
			f.kill(f.workers[i])
			f.startWorker(i)
		case "kill the head":
			f.kill(f.head)
			pause(1000)
			f.startHead()
		case "kill redis", "redis forgets", "redis loses all":
			f.redis.Kill(t)
			pause(1500)
			if what != "kill redis" {
				f.redis.Forget(t, int64(1000+rng.IntN(50_000)), what == "redis loses all")
			}
			f.redis.Start(t)
		case "kill kafka":
			s.killing(func() { f.kafka.Kill(t) })
			pause(1500)
			f.kafka.Start(t)
		case "change the suite":
			least := int64(rng.IntN(60))
			f.apply(agesManifest(f.project, least))
			f.note("ages are from %d on", least)
			views[0].suites = append(views[0].suites, ageFrom(least))
			pause(1000)
			f.kill(f.workers[i]) // while the judges change
			f.startWorker(i)
		case "freeze a worker": // for so long that others take its partitions; then it goes on
			require.NoError(t, f.workers[i].cmd.Process.Signal(syscall.SIGSTOP))
			pause(6000)
			require.NoError(t, f.workers[i].cmd.Process.Signal(syscall.SIGCONT))
		case "the disk is full":
			d.full(t, f.workers)
			marks := make([]int, workers)
			for i, p := range f.workers {
				marks[i] = len(p.logs.String())
			}
			f.eventually(func() bool {
				for i, p := range f.workers {
					said := p.logs.String()[marks[i]:]
					if slices.ContainsFunc(d.refused(), func(words string) bool { return strings.Contains(said, words) }) {
						return true
					}
				}
				return false
			}, "a worker to say that the disk is full")
			f.kill(f.workers[i])
			f.startWorker(i)
			pause(2000)
			d.free(t, f.workers)
		}
		pause(1200)
	}
	stopPublishing()
	storm := time.Since(began)
	seqs, ends := s.inLog(t, f.kafka.Addr)
	f.settled(topic, ends, len(views))
	f.eventually(func() bool { // a Redis that lost rows late is mended a little later
		_, httpAddr := f.addrs(f.head)
		ok, _ := f.ready(httpAddr)
		return ok
	}, "the head to be ready")
	t.Logf("%d kills of weir (%d processes), and %v, in %v; settled after %v more", f.kills, f.starts, counts, storm.Round(time.Second), (time.Since(began) - storm).Round(100*time.Millisecond))
	t.Logf("%d events made, %d acknowledged, %d in the log; %d transactions, %d of them aborted", len(s.events), heardOf(t, s, seqs), len(seqs), done+undone, undone)
	for _, v := range views {
		t.Logf("%s: %v", v.name, f.check(s, seqs, v))
	}
	f.auditIsClean(seqs, views)
	for _, p := range append([]*process{f.head}, f.workers...) {
		f.stop(p)
	}
}

// auditIsClean runs weir audit, which must find nothing and count what is there.
func (f *fleet) auditIsClean(seqs map[at]int64, views []viewCheck) {
	t := f.t
	t.Helper()
	a := f.audit()
	require.True(t, a.Clean, "weir audit found something: %+v", a)
	require.Len(t, a.Views, len(views))
	for _, v := range a.Views {
		var log, table, held int64
		for _, l := range v.Lines {
			require.True(t, l.Compared, "%s: %v", v.View, v.Notes)
			log, table, held = log+l.Log, table+l.Table, held+l.Quarantine
		}
		require.EqualValues(t, len(seqs), log, "%s: events that the audit saw", v.View)
		require.Equal(t, log, table+held, v.View)
		online := ""
		if v.Online != nil {
			online = fmt.Sprintf("; %d of %d keys online are equal", v.Online.Equal, v.Online.Keys)
			require.Equal(t, v.Online.Keys, v.Online.Equal, v.View)
		}
		t.Logf("weir audit: %s: %d events = %d rows + %d in quarantine%s, nothing differs", v.View, log, table, held, online)
	}
}
