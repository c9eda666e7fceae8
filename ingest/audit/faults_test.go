package audit_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// expected is what an audit has to find, and nothing else.
type expected struct {
	kind        string
	partition   int32
	first, last int64
	day         int32
	detail      []string
}

func at(kind string, r row, detail ...string) expected {
	return expected{kind, r.partition(), r.offset(), r.offset(), offline.DayOf(r.effective()), detail}
}

// finds audits and checks that exactly this is found.
func (w *world) finds(want ...expected) *audit.Report {
	w.t.Helper()
	r := w.audit(audit.Options{})
	slices.SortFunc(want, func(a, b expected) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.first, b.first))
	})
	require.Len(w.t, r.Differences, len(want), "%+v\nwanted %+v", r.Differences, want)
	var n int64
	for i, d := range r.Differences {
		e := want[i]
		n += d.Count
		require.Equal(w.t, fmt.Sprint(e.kind, e.partition, e.first, e.last), fmt.Sprint(d.Kind, d.Partition, d.First, d.Last), "%+v\nwanted %+v", r.Differences, want)
		require.True(w.t, contains(d.Detail, e.detail...), "%+v\nwanted %+v", d, e)
		if e.day != 0 {
			require.Equal(w.t, e.day, d.Day, "%+v", d)
		}
		if e.kind != audit.RolledBack || d.Topic != "" {
			require.Equal(w.t, topic, d.Topic)
		}
	}
	require.Equal(w.t, n, r.Found)
	require.False(w.t, r.Clean())
	return r
}

// fault plants one fault and says what must be found.
type fault struct {
	name  string
	plant func(w *world) []expected
}

// gaps are offsets that no event has: of an aborted transaction. Made before
// anything else is.
const gapFirst, gapNext = 0, 3

func (w *world) gap() {
	w.t.Helper()
	tx := w.client(kgo.TransactionalID("gap"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range w.partitions() {
		w.t1(tx.BeginTransaction())
		for range gapNext - gapFirst - 1 {
			w.t1(tx.ProduceSync(w.t.Context(), w.event(p)).FirstErr())
		}
		w.t1(tx.EndTransaction(w.t.Context(), kgo.TryAbort))
	}
}

// faults are those that one event is enough for.
var faults = []fault{
	{"a row removed", func(w *world) []expected {
		r := w.picked()
		w.rewrite(r.file, func(o row) (bool, map[string]string) { return o.String() != r.String(), nil })
		return []expected{at(audit.Missing, r, "neither in the table nor in quarantine")}
	}},
	{"a row doubled", func(w *world) []expected {
		r := w.picked()
		w.add(copyOf(w.view(), []row{r}, nil))
		return []expected{at(audit.Doubled, r, "more than once")}
	}},
	{"a value changed", func(w *world) []expected {
		r := w.picked()
		w.rewrite(r.file, func(o row) (bool, map[string]string) {
			if o.String() == r.String() {
				return true, map[string]string{"age": "123456"}
			}
			return true, nil
		})
		return []expected{at(audit.Changed, r, "age is ", " in the log and 123456 in the table")}
	}},
	{"a value made null", func(w *world) []expected {
		for {
			r := w.picked()
			if r.b.Rows.Column(3).IsNull(r.i) {
				continue
			}
			w.rewrite(r.file, func(o row) (bool, map[string]string) {
				if o.String() == r.String() {
					return true, map[string]string{"score": "null"}
				}
				return true, nil
			})
			return []expected{at(audit.Changed, r, "score is ", "null in the table")}
		}
	}},
	{"an array's element changed", func(w *world) []expected {
		r := w.picked()
		w.rewrite(r.file, func(o row) (bool, map[string]string) {
			if o.String() == r.String() {
				return true, map[string]string{"tags": base64.StdEncoding.EncodeToString([]byte("\x01a\x02\"x"))}
			}
			return true, nil
		})
		return []expected{at(audit.Changed, r, "tags is ", ` in the log and ["a", "\"x"] in the table`)}
	}},
	{"a key changed", func(w *world) []expected {
		r := w.picked()
		w.rewrite(r.file, func(o row) (bool, map[string]string) {
			if o.String() == r.String() {
				return true, map[string]string{"id": "nobody"}
			}
			return true, nil
		})
		return []expected{at(audit.Changed, r, "id is k", "nobody in the table")}
	}},
	{"a row doubled, with another value", func(w *world) []expected {
		r := w.picked()
		w.add(copyOf(w.view(), []row{r}, map[string]string{"age": "123456"}))
		return []expected{at(audit.Doubled, r), at(audit.Changed, r, "123456 in the table")}
	}},
	{"in both places", func(w *world) []expected {
		r := w.picked()
		w.hold(&quarantine.Entry{Topic: topic, TopicID: w.topicID(), Partition: r.partition(), Offset: r.offset(), Key: []byte("x"), Payload: []byte("x")})
		return []expected{at(audit.InBoth, r, "in the table and in quarantine"), {audit.Changed, r.partition(), r.offset(), r.offset(), 0, []string{"entry"}}}
	}},
	{"an entry discarded", func(w *world) []expected {
		es := w.entries()
		e := es[w.rng.IntN(len(es))]
		w.discard(e)
		return []expected{{audit.Missing, e.Partition, e.Offset, e.Offset, offline.DayOf(e.Timestamp), nil}}
	}},
	{"an entry changed", func(w *world) []expected {
		es := w.entries()
		e := es[w.rng.IntN(len(es))]
		switch w.rng.IntN(3) {
		case 0:
			e.Payload = append([]byte("x"), e.Payload...)
		case 1:
			e.Key = []byte("another")
		case 2:
			e.Timestamp++
		}
		w.hold(e)
		return []expected{{audit.Changed, e.Partition, e.Offset, e.Offset, offline.DayOf(e.Timestamp), []string{"entry in quarantine"}}}
	}},
	{"an entry of an aborted event", func(w *world) []expected {
		w.hold(&quarantine.Entry{Topic: topic, TopicID: w.topicID(), Partition: 1, Offset: 1, Payload: []byte("x")})
		return []expected{{audit.Stranger, 1, 1, 1, 0, []string{"in quarantine, not in the log"}}}
	}},
	{"an entry of no topic", func(w *world) []expected {
		w.hold(&quarantine.Entry{Topic: topic, TopicID: [16]byte{1, 2}, Partition: 1, Offset: 7, Payload: []byte("x")})
		return []expected{{audit.Stranger, 1, 7, 7, 0, []string{"no position"}}}
	}},
	{"a row of an aborted event", func(w *world) []expected {
		b := copyOf(w.view(), []row{w.picked()}, nil)
		b.Origin.Partition, b.Offsets[0] = 1, gapNext-1
		w.add(b)
		return []expected{{audit.Stranger, 1, gapNext - 1, gapNext - 1, offline.DayOf(b.Stamp(0).Effective()), []string{"in the table, not in the log"}}}
	}},
	{"a row above the position", func(w *world) []expected {
		b := copyOf(w.view(), []row{w.picked()}, nil)
		b.Offsets[0] += 1_000_000
		w.add(b)
		return []expected{{audit.Stranger, b.Origin.Partition, b.Offsets[0], b.Offsets[0], 0, []string{"above its position"}}}
	}},
	{"a row of an import that never was", func(w *world) []expected {
		b := copyOf(w.view(), []row{w.picked()}, nil)
		b.Origin.Partition, b.Origin.TopicID = feature.ImportPartition, [16]byte{7}
		w.add(b)
		e := expected{audit.Stranger, -1, b.Offsets[0], b.Offsets[0], 0, []string{"no position"}}
		return []expected{e}
	}},
}

// TestFaults plants each fault alone.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testseed.For(t), 2)
			w.gap()
			w.ingested(120)
			w.planted(f)
		})
	}
}

func (w *world) planted(f fault) {
	w.t.Helper()
	w.clean()
	want := f.plant(w)
	if want[0].partition == feature.ImportPartition || want[0].kind == audit.Stranger && want[0].detail[0] == "no position" {
		r := w.audit(audit.Options{})
		require.EqualValues(w.t, 1, r.Found)
		require.Equal(w.t, want[0].kind, r.Differences[0].Kind)
		require.Equal(w.t, want[0].first, r.Differences[0].First)
		require.Contains(w.t, r.Differences[0].Detail, "no position")
		return
	}
	w.finds(want...)
}

// TestRandomFaults plants one fault in random streams, with several commits,
// imports and definitions that changed. WEIR_AUDIT_SEEDS sets how many,
// WEIR_TEST_SEED=N repeats one.
func TestRandomFaults(t *testing.T) {
	seeds := 12
	if s := os.Getenv("WEIR_AUDIT_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	for seed := range testseed.Each(t, seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			t.Logf("seed: WEIR_TEST_SEED=%d", seed) // it ends after the last case has begun
			w := newWorld(t, seed, 2+int32(seed%3))
			w.gap()
			w.cfg.BatchRows = 1 + w.rng.IntN(60)
			stop := w.worker()
			for n := range 1 + w.rng.IntN(4) {
				w.produce(20 + w.rng.IntN(150))
				w.drained()
				switch w.rng.IntN(4) {
				case 0:
					w.imported(10 + w.rng.IntN(100))
				case 1:
					v := view()
					v.Features = append(v.Features, feature.Field{Name: fmt.Sprint("extra", n), Type: feature.Int64, Path: "extra"})
					w.apply(v)
				}
			}
			stop()
			f := faults[w.rng.IntN(len(faults))]
			t.Log(f.name)
			w.planted(f)
		})
	}
}

// TestRuns: neighbours are one difference, all are counted, and no more are
// listed than asked for.
func TestRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 2)
	w.ingested(200)
	gone := map[string]bool{}
	es := map[string]bool{}
	for _, e := range w.entries() {
		es[fmt.Sprintf("%d@%d", e.Partition, e.Offset)] = true
	}
	events := 0
	for p := range 2 {
		for o := 50; o < 90; o++ {
			k := fmt.Sprintf("%d@%d", p, o)
			if !es[k] {
				gone[k] = true
				events++
			}
		}
	}
	for o := 100; o < 110; o++ { // another run
		if k := fmt.Sprintf("1@%d", o); !es[k] {
			gone[k] = true
			events++
		}
	}
	files := map[string]offline.File{}
	for _, r := range w.rows() {
		files[r.file.Path] = r.file
	}
	for _, f := range files {
		w.rewrite(f, func(r row) (bool, map[string]string) { return !gone[r.String()], nil })
	}
	r := w.audit(audit.Options{})
	require.EqualValues(t, events, r.Found)
	require.Len(t, r.Differences, 3)
	for i, d := range r.Differences {
		require.Equal(t, audit.Missing, d.Kind)
		require.EqualValues(t, []int{0, 1, 1}[i], d.Partition)
		held := int64(0)
		for o := d.First; o <= d.Last; o++ {
			if k := fmt.Sprintf("%d@%d", d.Partition, o); es[k] {
				held++
			} else {
				require.True(t, gone[k])
			}
		}
		require.Equal(t, d.Last-d.First+1-held, d.Count, "what is in quarantine does not end a run, and is not counted")
	}
	r = w.audit(audit.Options{Most: 2})
	require.EqualValues(t, events, r.Found)
	require.Len(t, r.Differences, 2)
	require.Zero(t, w.audit(audit.Options{SkipLog: true}).Found)
	r = w.audit(audit.Options{Partitions: []int32{1}})
	for _, d := range r.Differences {
		require.EqualValues(t, 1, d.Partition)
	}
}

// TestLostFiles: files that are gone or damaged are named, and their rows too.
func TestLostFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 2)
	w.ingested(150)
	w.ingested(150)
	w.imported(100)
	w.clean()
	st, err := w.table().Load(t.Context(), offline.Version{})
	require.NoError(t, err)
	rows := w.rows()
	gone, torn := rows[0].file, rows[len(rows)-1].file
	require.NotEqual(t, gone.Path, torn.Path)
	require.NoError(t, os.Remove(pathOf(gone.Path)))
	info, err := os.Stat(pathOf(torn.Path))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(pathOf(torn.Path), info.Size()/2))
	r := w.audit(audit.Options{Most: 10_000})
	var lost []string
	var missing int64
	for _, d := range r.Differences {
		switch d.Kind {
		case audit.LostFile:
			lost = append(lost, d.Path)
			require.NotZero(t, d.Day)
			require.NotZero(t, d.Count)
		case audit.Missing:
			missing += d.Count
		default:
			require.Fail(t, "another difference", "%+v", d)
		}
	}
	require.ElementsMatch(t, []string{gone.Path, torn.Path}, lost)
	require.Equal(t, audit.LostFile, r.Differences[0].Kind)
	require.Equal(t, gone.Rows+torn.Rows, missing)
	require.Equal(t, 2*missing, r.Found)
	require.Greater(t, len(st.Files), 2)
}

// TestImportIncomplete: a row of a file that is nowhere is missing, by its number.
func TestImportIncomplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 1)
	w.ingested(0)
	w.imported(50)
	w.clean()
	var e *quarantine.Entry
	w.t1(quarantine.NewReader(w.opts...).Each(t.Context(), "p", "person", nil, func(x *quarantine.Entry) error { e = x; return nil }))
	w.discard(e)
	r := w.audit(audit.Options{SkipLog: true})
	require.EqualValues(t, 1, r.Found)
	d := r.Differences[0]
	require.Equal(t, audit.Missing, d.Kind)
	require.Equal(t, e.Offset, d.First)
	require.Equal(t, e.Topic, d.Topic)
	require.EqualValues(t, -1, d.Partition)
}

// TestRolledBack: a table that stands where it stood before is found, whether its
// catalog was pointed back, or catalog and files were restored from a copy, or
// its main branch was set back, which the table itself refuses to be read after.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"pointer", "copy", "branch"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testseed.For(t), 2)
			w.rollBack(how)
			if how != "branch" { // ingestion that goes on from there mends it
				w.ingested(10)
				w.clean()
			}
		})
	}
}

// TestRealKafka: Kafka itself, with its own protocol of groups, is told and asked alike.
func TestRealKafka(t *testing.T) {
	t.Parallel()
	k := testserver.OwnKafka(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, topic)
	require.NoError(t, err)
	w := worldOn(t, testseed.For(t), []string{k.Addr})
	w.protocol = ingest.ProtocolConsumer
	w.dir = t.TempDir()
	w.openStore()
	t.Cleanup(func() { _ = w.store.Close() })
	w.rollBack("pointer")
}

func (w *world) rollBack(how string) {
	t := w.t
	w.ingested(100)
	w.clean()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "tables.db"))
	require.NoError(t, err)
	defer db.Close()
	var before string
	where := ` FROM iceberg_tables WHERE table_name = 'person'`
	require.NoError(t, db.QueryRow(`SELECT metadata_location`+where).Scan(&before))
	st, err := w.table().Load(t.Context(), offline.Version{})
	require.NoError(t, err)
	old := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, w.store.Close())
	require.NoError(t, copyDir(w.dir, old))
	w.openStore()
	w.ingested(60)
	w.clean()
	require.NoError(t, w.store.Close())
	switch how {
	case "pointer":
		_, err := db.Exec(`UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 'person'`, before)
		require.NoError(t, err)
	case "copy":
		require.NoError(t, db.Close())
		require.NoError(t, os.RemoveAll(w.dir))
		require.NoError(t, copyDir(old, w.dir))
	case "branch":
		var now string
		require.NoError(t, db.QueryRow(`SELECT metadata_location`+where).Scan(&now))
		setBranch(t, pathOf(now), st.Snapshot)
	}
	w.openStore()
	if how == "branch" {
		r := w.audit(audit.Options{})
		require.EqualValues(t, 1, r.Found)
		require.Equal(t, audit.RolledBack, r.Differences[0].Kind)
		require.Contains(t, r.Differences[0].Detail, "rolled back")
		return
	}
	w.finds(expected{audit.RolledBack, 0, 100, 159, 0, []string{"stands at 100", "stood at 160"}}, expected{audit.RolledBack, 1, 100, 159, 0, nil})
}

// setBranch points the main branch of a metadata file at a snapshot.
func setBranch(t testing.TB, path string, snapshot int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&m))
	m["current-snapshot-id"] = snapshot
	m["refs"].(map[string]any)["main"].(map[string]any)["snapshot-id"] = snapshot
	text, err = json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// TestOnline: the online store is compared by whoever was given to do it, and what
// that finds is in the report.
func TestOnline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 1)
	w.ingested(30)
	on := true
	v := view()
	v.Online = &on
	w.apply(v)
	a := audit.New(audit.Config{Kafka: w.opts, Catalogs: w.reg, Tables: w.store,
		Online: func(_ context.Context, v *feature.View, tb offline.Table, st *offline.State, found func(audit.Difference)) (*audit.Online, error) {
			require.Equal(t, "person", tb.View().Meta.Name)
			require.NotZero(t, st.Rows)
			found(audit.Difference{Kind: audit.OnlineStale, Key: "k1"})
			return &audit.Online{Keys: 7}, nil
		}})
	r, err := a.Run(t.Context(), w.view(), audit.Options{}, nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Found)
	require.Equal(t, "k1", r.Differences[0].Key)
	require.EqualValues(t, 7, r.Online.Keys)
	r, err = a.Run(t.Context(), w.view(), audit.Options{SkipOnline: true}, nil)
	require.NoError(t, err)
	require.True(t, r.Clean())
	require.Nil(t, r.Online)
}

// expiring is a store one of whose tables loses its version while it is read.
type expiring struct {
	offline.Store
	times int
}

type expiringTable struct {
	offline.Table
	s *expiring
}

func (s *expiring) Table(ctx context.Context, v *feature.View) (offline.Table, error) {
	t, err := s.Store.Table(ctx, v)
	return expiringTable{t, s}, err
}

func (t expiringTable) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	if v.Snapshot != 0 && t.s.times > 0 {
		t.s.times--
		return nil, offline.NoVersion(t.View(), v)
	}
	return t.Table.Load(ctx, v)
}

// TestExpired: an audit whose version is compacted away and expired under it
// begins anew, and gives up when that happens for ever.
func TestExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 1)
	w.ingested(30)
	s := &expiring{Store: w.store, times: 2}
	a := audit.New(audit.Config{Kafka: w.opts, Catalogs: w.reg, Tables: s})
	r, err := a.Run(t.Context(), w.view(), audit.Options{}, nil)
	require.NoError(t, err)
	require.True(t, r.Clean())
	require.Zero(t, s.times)
	s.times = 1000
	_, err = a.Run(t.Context(), w.view(), audit.Options{}, nil)
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err = a.Run(ctx, w.view(), audit.Options{}, nil)
	require.Error(t, err)
}
