package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/online"
	onlinememory "github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// tableHistory is what the online writer asks of a table.
type tableHistory struct{ t *sinktest.Table }

func (h tableHistory) Positions(context.Context, *feature.View) ([]feature.Position, error) {
	return h.t.Positions(), nil
}

func (h tableHistory) Newest(context.Context, *feature.View, func(*feature.Batch) error) error {
	return nil
}

func (h tableHistory) Since(context.Context, *feature.View, []feature.Position, func(*feature.Batch) error) error {
	return nil
}

// onlineToo puts an online store before the table, whose writer may be down.
func (w *works) onlineToo(store online.Store, down bool, tried chan struct{}) func(*ingest.SupervisorConfig) {
	return func(c *ingest.SupervisorConfig) {
		c.Open = func(_ context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			table := w.table(v.Meta.Name)
			o := newOutage(table.Open())
			o.tried = tried
			o.write.Store(down)
			return &ingest.Outlets{View: v, Table: o, Sinks: []ingest.Sink{
				online.NewWriter(v, store, tableHistory{table}, online.Options{Config: online.DefaultConfig(), Log: w.log}), o}}, nil
		}
	}
}

// TestJudgedOnceOnlineToo: events that one worker has judged and shown online,
// but not committed when it died, are judged alike by the next, whatever has
// become of the suite, the schema or the features: what is online is in the table. Those
// after the next commit are judged by what holds then.
func TestJudgedOnceOnlineToo(t *testing.T) {
	suited := func(high, version int) func(*works) {
		return func(w *works) {
			v := personView("first")
			v.Suite = "s"
			w.apply(between(version, "age", 0, high), v)
		}
	}
	schema := func(maximum int) func(*works) {
		return func(w *works) {
			s := *w.source
			s.Schema = fmt.Appendf(nil, `{"type":"object","properties":{"age":{"type":"integer","maximum":%d}}}`, maximum)
			w.apply(&s, personView("first"))
		}
	}
	for _, tc := range []struct {
		name        string
		first, then func(*works)
		after       int // of the two events after the change
	}{
		{"suite", suited(100, 1), suited(10, 2), 1},
		{"suite is looser", suited(100, 1), suited(1000, 2), 2},
		{"suite is gone", suited(100, 1), func(w *works) { w.apply(personView("first")) }, 2},
		{"schema", schema(100), schema(10), 1},
		{"features", suited(100, 1), func(w *works) {
			v := personView("first")
			v.Features = []feature.Field{{Name: "score", Type: feature.Int64}}
			w.apply(v)
		}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorks(t, 1)
			tc.first(w)
			n := 0
			send := func(ages ...int) {
				for _, age := range ages {
					at := base.Add(time.Duration(n) * time.Second)
					w.produce(event{rec: w.record(fmt.Sprintf(`{"id":"k%d","at":%d,"age":%d,"score":%d}`, n, at.UnixMicro(), age, age))})
					n++
				}
			}
			store, tried := onlinememory.New(nil), make(chan struct{}, 1)
			_, stop := w.worker(w.config(), w.onlineToo(store, true, tried))
			require.Eventually(t, func() bool { return len(w.table("first").Positions()) == 1 }, 3*time.Minute, time.Millisecond)
			send(5, 50, 500)
			<-tried
			require.Eventually(t, func() bool { return store.Len() > 0 }, 3*time.Minute, time.Millisecond)
			stop() // nothing was committed: to the table it is as if it had been killed
			require.Empty(t, w.table("first").Rows())
			tc.then(w)
			_, stop = w.worker(w.config(), w.onlineToo(store, false, make(chan struct{}, 1)))
			at := func(next int64) {
				require.Eventually(t, func() bool { return w.table("first").Positions()[0].Next == next }, 3*time.Minute, time.Millisecond)
			}
			at(3)
			w.holds("first", 2)
			require.Equal(t, 2, store.Len(), "what was shown online is what the table has")
			send(5, 50)
			at(5)
			w.holds("first", 2+tc.after)
			require.Equal(t, 2+tc.after, store.Len())
			stop()
			res, err := quarantine.NewReader(w.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "first"})
			require.NoError(t, err)
			require.Len(t, res.Entries, 5-2-tc.after)
		})
	}
}

// TestSourceChangesTopic: the view goes on with the new topic from its
// beginning, keeps what it has of the old one, and finds its place when it comes back.
func TestSourceChangesTopic(t *testing.T) {
	w := newWorks(t, 2)
	w.apply(personView("first"))
	_, err := kadm.NewClient(w.cl).CreateTopic(t.Context(), 3, 1, nil, "others")
	require.NoError(t, err)
	s, stop := w.worker(w.config())
	good := w.some(51, 200, 2)
	w.holds("first", good)
	old := *w.source
	to := func(topic string) {
		src := old
		src.Topic = topic
		w.source.Topic = topic // of the events that follow
		w.apply(&src, personView("first"))
	}
	to("others")
	good += w.some(52, 300, 3)
	w.rows("first", good)
	require.Len(t, w.table("first").Positions(), 5)
	to("people")
	good += w.some(53, 100, 2)
	w.rows("first", good)
	require.Len(t, w.table("first").Positions(), 5)
	require.Equal(t, ingest.StateRunning, s.Status()[0].State)
	stop()
	w.rows("first", good)
}

// rows is holds for a table of several topics.
func (w *works) rows(view string, n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return len(w.table(view).Rows()) >= n }, 3*time.Minute, 5*time.Millisecond)
	seen := map[string]bool{}
	for _, r := range w.table(view).Rows() {
		seen[fmt.Sprint(r.TopicID, r.Partition, "/", r.Offset)] = true
	}
	require.Len(w.t, w.table(view).Rows(), n)
	require.Len(w.t, seen, n)
}

// TestRivalsWithoutGroup: the same topic under two source names, by mistake, is
// two groups that write one table. They take each other's commits away, start again
// without a hot loop, and the table is right all the same.
func TestRivalsWithoutGroup(t *testing.T) {
	t.Parallel()
	f := setup(t, 2)
	shared := newWorksOf(t, f, "people")
	shared.apply(personView("first"))
	var stops []func()
	for i := range 3 {
		w := newWorksOf(t, f, fmt.Sprint("people", i))
		v := personView("first")
		v.Source = w.source.Meta.Name
		w.apply(v)
		w.tables["first"] = shared.table("first")
		_, stop := w.worker(w.config())
		stops = append(stops, stop)
	}
	good := 0
	began := time.Now()
	for i := range 40 {
		good += shared.some(uint64(60+i), 200, 2)
		shared.holds("first", good)
	}
	took := time.Since(began)
	for _, stop := range stops {
		stop()
	}
	shared.holds("first", good)
	restarts := gauge(t, f.reg, "weir_ingest_restarts_total")
	t.Logf("%v restarts in %v", restarts, took.Round(time.Millisecond))
	// Three that wait 50 ms at first and twice as long each time.
	require.Less(t, restarts, 3*(10+took.Seconds()/2))
}

func newWorksOf(t *testing.T, f *fixture, source string) *works {
	src := *f.source
	src.Meta.Name = source
	g := *f
	g.source = &src
	return worksOn(t, &g)
}
