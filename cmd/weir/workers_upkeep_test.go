package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-ml/weir/internal/testserver"
)

// TestWorkersUpkeep has two workers ingest on a real Kafka, Redis and PostgreSQL while a
// third process compacts, expires and sweeps all the time, and kills any of the
// three at any moment. In the end every event is in each table once or in quarantine
// once, with the values it was made with, and weir audit finds nothing.
//
// WEIR_TEST_KILLS=60 is the long run, some five minutes.
func TestWorkersUpkeep(t *testing.T) {
	t.Parallel()
	kills, seed := killsAndSeed(t, 4)
	pg := testserver.OwnPostgres(t)
	upkeepTrial(t, fleet{project: "shop", catalog: pg.Database(t, "weir"), tables: pg.Database(t, "iceberg")}, kills, seed, false)
}

// TestWorkersRollback is the same on SQLite, and in its middle the suite becomes
// stricter and a table is rolled back to before that: what came since is read and
// judged again.
func TestWorkersRollback(t *testing.T) {
	t.Parallel()
	kills, seed := killsAndSeed(t, 2)
	dir := t.TempDir()
	upkeepTrial(t, fleet{project: "shop", catalog: "sqlite:" + filepath.Join(dir, "catalog.db"), tables: "sqlite:" + filepath.Join(dir, "tables.db")}, kills, seed, true)
}

func upkeepTrial(t *testing.T, f fleet, kills int, seed uint64, rollback bool) {
	f.kafka = testserver.OwnKafka(t, "group.min.session.timeout.ms=1000")
	f.redis = testserver.OwnRedis(t, "--appendonly", "yes", "--appendfsync", "everysec")
	f.files = filepath.Join(t.TempDir(), "warehouse")
	u := &upkept{fleet: newFleet(t, f, 2, "")}
	rng := rand.New(rand.NewPCG(seed, 30))
	const topic, partitions = "people", 6
	s := newStream(topic, partitions, seed)
	cl := s.producer(t, f.kafka.Addr)
	defer cl.Close()
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	u.startHead()
	u.apply(workersManifest(f.project, topic))
	views := workersViews()
	publish := func(every time.Duration) (end func()) {
		stop := make(chan struct{})
		var publishing sync.WaitGroup
		publishing.Go(func() { s.publish(cl, every, stop) })
		return sync.OnceFunc(func() { close(stop); publishing.Wait() })
	}
	stopPublishing := publish(4 * time.Millisecond)
	defer func() { stopPublishing() }()
	for i := range u.workers {
		u.startWorker(i)
	}
	u.startUpkeep()
	u.eventually(func() bool { return u.rows("people") > 50 }, "rows of people")
	_, out := u.ok("table", "tag", "--view", "people", "early", "-o", "json")
	var tagged struct{ Snapshot int64 }
	require.NoError(t, json.Unmarshal([]byte(out), &tagged), out)
	atTag := u.rows("people")
	pause := func(most int) { time.Sleep(time.Duration(rng.IntN(most)) * time.Millisecond) } // any moment is right
	for n := range kills {
		switch i := rng.IntN(3); i {
		case 2:
			u.note("kill upkeep")
			u.kill(u.keeper)
			u.startUpkeep()
		default:
			u.note("kill worker %d", i)
			u.kill(u.workers[i])
			pause(500)
			u.startWorker(i)
		}
		pause(2000)
		if rollback && n == kills/2 {
			u.eventually(func() bool { return u.rows("people") > atTag }, "rows that a rollback takes away")
			before := u.rows("people")
			u.apply(agesManifest(f.project, 30))
			views[0].suites = append(views[0].suites, ageFrom(30))
			plan := u.rollback("--dry-run")
			require.False(t, plan.Done)
			require.Equal(t, tagged.Snapshot, plan.ToSnapshot)
			require.NotEmpty(t, plan.Parts)
			for _, p := range plan.Parts {
				require.True(t, p.Again, "%+v", p)
				require.Greater(t, p.From, p.To)
			}
			u.note("roll back")
			done := u.rollback("--yes", "--materialize")
			require.True(t, done.Done)
			require.NotNil(t, done.Materialized)
			u.note("rolled back: %d rows before, %d when it began, back to %d", before, done.FromRows, done.ToRows)
		}
	}
	orphan := u.plantOrphan()
	// Fewer events from here on: where the machine is slow, workers make files faster than
	// upkeep merges them, and it would never come to the end of a round.
	stopPublishing()
	stopPublishing = publish(time.Second)
	u.worked(orphan)
	stopPublishing()
	seqs, ends := s.inLog(t, f.kafka.Addr)
	u.settled(topic, ends, len(views))
	if rollback { // rows that the stricter suite holds back, and that workers showed meanwhile
		u.ok("materialize", "--view", "people", "--restart")
	}
	t.Logf("%d kills (%d processes)", u.kills, u.starts)
	for _, v := range views {
		t.Logf("%s: %v", v.name, u.check(s, seqs, v))
	}
	u.auditIsClean(seqs, views)
	log := u.log("people")
	require.Equal(t, "early", strings.Join(log[len(log)-1].Tags, " "), "the oldest snapshot is there because it has a tag: %+v", log)
	code, out := u.command("table", "diff", "--view", "people", "early", "newest", "-o", "json")
	require.Equal(t, 1, code, out)
	for _, p := range append([]*process{u.head, u.keeper}, u.workers...) {
		u.stop(p)
	}
}

// upkept is a fleet with a process that keeps the tables.
type upkept struct {
	*fleet
	keeper *process
}

func (u *upkept) startUpkeep() {
	u.t.Helper()
	u.keeper = spawn(u.t, "run", "--config", u.config, "--role", "upkeep", "--set", "data_dir="+filepath.Join(u.t.TempDir(), "data"),
		"--set", "offline.upkeep.interval=200ms", "--set", "offline.upkeep.pause=0s", "--set", "offline.upkeep.sweep_interval=500ms",
		// Longer than a refill, a materialization or an audit of these few rows takes.
		"--set", "offline.upkeep.snapshot_age=4s", "--set", "offline.upkeep.snapshots_kept=0", "--set", "offline.upkeep.orphan_age=2h", "--set", "offline.compact.min_files=2")
	u.all = append(u.all, u.keeper)
	u.starts++
}

// ok runs a command that must succeed.
func (u *upkept) ok(args ...string) (int, string) {
	u.t.Helper()
	code, out := u.command(args...)
	require.Equal(u.t, 0, code, out)
	return code, out
}

type rolledBack struct {
	Done       bool
	ToSnapshot int64 `json:"to_snapshot"`
	FromRows   int64 `json:"from_rows"`
	ToRows     int64 `json:"to_rows"`
	Parts      []struct {
		Partition int32
		From, To  int64
		Again     bool
		Why       string
	}
	Materialized *struct{ Rows, Removed int64 }
}

func (u *upkept) rollback(args ...string) (r rolledBack) {
	u.t.Helper()
	_, out := u.ok(append([]string{"table", "rollback", "--view", "people", "early", "-o", "json"}, args...)...)
	require.NoError(u.t, json.Unmarshal([]byte(out), &r), out)
	return r
}

type pastState struct {
	ID        int64
	Operation string
	Tags      []string
	Current   bool
}

func (u *upkept) log(view string) (all []pastState) {
	u.t.Helper()
	_, out := u.ok("table", "log", "--view", view, "--limit", "0", "-o", "json")
	require.NoError(u.t, json.Unmarshal([]byte(out), &all), out)
	require.NotEmpty(u.t, all)
	return all
}

// plantOrphan leaves an old file beside the data files of people.
func (u *upkept) plantOrphan() string {
	u.t.Helper()
	var path string
	require.NoError(u.t, filepath.WalkDir(u.files, func(p string, _ fs.DirEntry, err error) error {
		if err == nil && strings.Contains(p, "people-") && strings.HasSuffix(p, ".parquet") {
			path = filepath.Join(filepath.Dir(p), "orphan.parquet")
		}
		return nil // files come and go
	}))
	require.NotEmpty(u.t, path)
	require.NoError(u.t, os.WriteFile(path, []byte("nobody names me"), 0o644))
	old := time.Now().Add(-100 * time.Hour)
	require.NoError(u.t, os.Chtimes(path, old, old))
	return path
}

// worked waits until the present upkeep process has merged files, let snapshots
// expire and removed the orphan, of tables that workers write to.
func (u *upkept) worked(orphan string) {
	u.t.Helper()
	_, httpAddr := u.addrs(u.keeper)
	var seen string
	defer func() {
		if u.t.Failed() {
			u.t.Log("what upkeep had done: ", seen)
		}
	}()
	u.eventually(func() bool {
		u.alive(u.keeper)
		m := u.metrics(httpAddr)
		seen = fmt.Sprint(m)
		_, err := os.Stat(orphan)
		return m["weir_upkeep_files_compacted_total"] > 0 && m["weir_upkeep_snapshots_expired_total"] > 0 &&
			m["weir_upkeep_files_removed_total"] > 0 && m["weir_upkeep_orphans_removed_total"] > 0 && os.IsNotExist(err)
	}, "upkeep to do all it can")
	u.t.Log("upkeep, since it was last killed: ", seen)
}

// metrics are the sums of the counters of upkeep over all views.
func (u *upkept) metrics(httpAddr string) map[string]float64 {
	u.t.Helper()
	resp, err := http.Get("http://" + httpAddr + "/metrics")
	require.NoError(u.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(u.t, err)
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, "{")
		if !ok || !strings.HasPrefix(name, "weir_upkeep_") || !strings.HasSuffix(name, "_total") {
			continue
		}
		_, value, _ := strings.Cut(rest, "} ")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		require.NoError(u.t, err, line)
		out[name] += n
	}
	return out
}
