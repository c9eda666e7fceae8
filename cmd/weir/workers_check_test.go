package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/sqlstore"
)

// viewCheck is what the test knows of a view.
type viewCheck struct {
	name       string
	online     bool
	age, score bool // its features
	// suites are the rules that were in force, one after the other: whether an
	// event passes. At least one, which may pass everything.
	suites []func(*event) bool
}

func everything(*event) bool { return true }

// ageFrom passes ages from least to 120, and nulls.
func ageFrom(least int64) func(*event) bool {
	return func(e *event) bool { return e.age < 0 || e.age >= least && e.age <= 120 }
}

func scoreTo(most float64) func(*event) bool {
	return func(e *event) bool { return e.score <= most }
}

func workersViews() []viewCheck {
	return []viewCheck{
		{name: "people", online: true, age: true, score: true, suites: []func(*event) bool{ageFrom(0)}},
		{name: "scores", score: true, suites: []func(*event) bool{scoreTo(0.95)}},
		{name: "plain", online: true, age: true, suites: []func(*event) bool{everything}},
	}
}

// workersManifest is one source with three views: a suite on ages that changes,
// a suite on scores on a view that is not online, and none.
func workersManifest(project, topic string) string {
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: Entity
metadata: {name: person, project: %[1]s}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: people, project: %[1]s}
spec:
  topic: %[2]s
  event_time: {field: at}
  schema: {type: object, properties: {age: {type: [integer, "null"]}, score: {type: number}}}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: scores, project: %[1]s}
spec:
  expectations: [{type: expect_column_values_to_be_between, kwargs: {column: score, max_value: 0.95}}]
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: people, project: %[1]s}
spec: {source: people, entities: [person], suite: ages, features: [{name: age, type: int64}, {name: score, type: float64}]}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: scores, project: %[1]s}
spec: {source: people, entities: [person], suite: scores, online: false, features: [{name: score, type: float64}]}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: plain, project: %[1]s}
spec: {source: people, entities: [person], ttl: 720h, features: [{name: age, type: int64}]}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: people, project: %[1]s}
spec: {features: ["people:*"]}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: plain, project: %[1]s}
spec: {features: ["plain:*"]}
---
%[3]s`, project, topic, agesManifest(project, 0))
}

func agesManifest(project string, least int64) string {
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: ages, project: %s}
spec:
  expectations: [{type: expect_column_values_to_be_between, kwargs: {column: age, min_value: %d, max_value: 120}}]
`, project, least)
}

// storedRow is a row of a table.
type storedRow struct {
	id        string
	age       int64 // -1: null
	score     float64
	hasScore  bool
	at, known int64
	gone      bool
}

// totals is what a check counted.
type totals struct{ events, rows, held, keys int }

func (n totals) String() string {
	return fmt.Sprintf("%d events = %d rows + %d in quarantine; %d keys online", n.events, n.rows, n.held, n.keys)
}

// check compares everything that is stored of a view with the plain record.
func (f *fleet) check(s *stream, seqs map[at]int64, v viewCheck) totals {
	t := f.t
	t.Helper()
	rows, twice := f.readRows(v)
	require.Empty(t, twice, "events twice in the table of %s", v.name)
	held := map[at]*quarantine.Entry{}
	res, err := quarantine.NewReader(kgo.SeedBrokers(f.kafka.Addr)).Read(t.Context(), quarantine.Query{Project: f.project, View: v.name})
	require.NoError(t, err)
	for _, e := range res.Entries {
		require.NotEmpty(t, e.Reasons)
		held[at{e.Partition, e.Offset}] = e
	}
	require.Len(t, held, len(res.Entries))

	newest := map[string]at{}
	for _, part := range slices.Sorted(maps.Keys(offsetsOf(seqs))) {
		judge := 0 // the first suite that can have judged from here on
		for _, off := range offsetsOf(seqs)[part] {
			a := at{part, off}
			e := s.events[seqs[a]]
			row, in := rows[a]
			entry, out := held[a]
			require.False(t, in && out, "%s: %s event %v of age %d and score %g is in the table and in quarantine: %+v", v.name, e.what, a, e.age, e.score, entry)
			require.True(t, in || out, "%s: %s event %v is neither in the table nor in quarantine", v.name, e.what, a)
			if out {
				require.Equal(t, e.size, len(entry.Payload)+int(entry.Omitted), "%s: payload of %v", v.name, a)
			}
			switch e.fate {
			case bad:
				require.True(t, out, "%s: %s event %v is in the table", v.name, e.what, a)
				continue
			case good:
				from := judge
				for judge < len(v.suites) && v.suites[judge](e) != in {
					judge++
				}
				require.Less(t, judge, len(v.suites), "%s: %s event %v of age %d and score %g: in the table is %t, which none of the suites from %d on says", v.name, e.what, a, e.age, e.score, in, from)
				if out {
					continue
				}
			case gone:
				require.True(t, in, "%s: tombstone %v is in quarantine: %v", v.name, a, res)
			}
			want := storedRow{id: e.id, age: -1, at: e.at, known: e.known, gone: e.fate == gone}
			if v.age && e.fate == good {
				want.age = e.age
			}
			if v.score && e.fate == good {
				want.score, want.hasScore = e.score, true
			}
			require.Equal(t, want, row, "%s: row of %s event %v", v.name, e.what, a)
			if n, ok := newest[e.id]; !ok || after(s.events[seqs[n]], n, e, a) < 0 {
				newest[e.id] = a
			}
		}
	}
	require.Equal(t, len(seqs), len(rows)+len(held), "%s: the table and the quarantine hold nothing else", v.name)
	if v.online {
		f.checkOnline(s, seqs, v, newest)
	}
	return totals{len(seqs), len(rows), len(held), len(newest)}
}

// after is the order of rows of one key.
func after(a *event, x at, b *event, y at) int {
	return cmp.Or(cmp.Compare(a.effective(), b.effective()), cmp.Compare(a.known, b.known), cmp.Compare(x.part, y.part), cmp.Compare(x.offset, y.offset))
}

func offsetsOf(seqs map[at]int64) map[int32][]int64 {
	out := map[int32][]int64{}
	for a := range seqs {
		out[a.part] = append(out[a.part], a.offset)
	}
	for _, o := range out {
		slices.Sort(o)
	}
	return out
}

// checkOnline looks every key up until the answers are right: a Redis that lost
// rows a moment ago is mended when a worker next looks.
func (f *fleet) checkOnline(s *stream, seqs map[at]int64, v viewCheck, newest map[string]at) {
	f.t.Helper()
	conn := f.conn()
	defer conn.Close()
	var wrong string
	defer func() {
		if f.t.Failed() {
			f.t.Log(wrong)
		}
	}()
	f.eventually(func() bool {
		wrong = f.lookedUp(conn, s, seqs, v, newest)
		return wrong == ""
	}, "%s to be right online", v.name)
}

// lookedUp says what is wrong online; empty when nothing is.
func (f *fleet) lookedUp(conn *grpc.ClientConn, s *stream, seqs map[at]int64, v viewCheck, newest map[string]at) string {
	ids := slices.Sorted(maps.Keys(newest))
	res, err := weirv1.NewFeatureServiceClient(conn).Lookup(f.t.Context(), &weirv1.LookupRequest{
		Project: f.project, What: &weirv1.LookupRequest_Service{Service: v.name}, IncludeStatuses: true, IncludeEventTimes: true,
		Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: ids}}}}},
	})
	if err != nil || res.Partial {
		return fmt.Sprint("the lookup failed: ", res, err)
	}
	features := 0
	for _, c := range res.Columns {
		if v.age && strings.HasSuffix(c.Name, "age") || v.score && strings.HasSuffix(c.Name, "score") {
			features++
		}
	}
	require.Equal(f.t, len(res.Columns), features, "%v", res.Columns)
	for i, id := range ids {
		e := s.events[seqs[newest[id]]]
		want := fmt.Sprint(weirv1.Status_STATUS_PRESENT, " ", e.at)
		if e.fate == gone {
			want = fmt.Sprint(weirv1.Status_STATUS_NOT_FOUND, " 0")
		}
		got := fmt.Sprint(res.Views[0].Statuses[i], " ", res.Views[0].EventTimes[i])
		for _, c := range res.Columns {
			valid := len(c.Validity) == 0 || c.Validity[i>>3]&(1<<(i&7)) != 0
			switch age := strings.HasSuffix(c.Name, "age"); {
			case !valid:
				got += " null"
			case age:
				got += fmt.Sprint(" ", c.Values.GetInt64S().Values[i])
			default:
				got += fmt.Sprint(" ", c.Values.GetDoubles().Values[i])
			}
			switch age := strings.HasSuffix(c.Name, "age"); {
			case e.fate == gone || age && e.age < 0:
				want += " null"
			case age:
				want += fmt.Sprint(" ", e.age)
			default:
				want += fmt.Sprint(" ", e.score)
			}
		}
		if got != want {
			return fmt.Sprintf("%s online: %s is %s, and its newest row, of the %s event %v, is %s", v.name, id, got, e.what, newest[id], want)
		}
	}
	return ""
}

// readRows reads a table as another program would: with the catalogs' addresses alone.
func (f *fleet) readRows(v viewCheck) (rows map[at]storedRow, twice []at) {
	t := f.t
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := sqlstore.Open(t.Context(), f.catalog)
	require.NoError(t, err)
	reg, err := registry.Open(t.Context(), store, registry.DefaultConfig(), registry.Checks{}, log, prometheus.NewRegistry())
	require.NoError(t, err)
	defer reg.Close()
	cat, err := reg.Current(t.Context())
	require.NoError(t, err)
	view, err := cat.View(f.project, v.name)
	require.NoError(t, err)
	tables, err := iceberg.Open(t.Context(), f.tables, f.files, log)
	require.NoError(t, err)
	defer tables.Close()
	table, err := tables.Table(t.Context(), view)
	require.NoError(t, err)
	defer table.Close()
	rows = map[at]storedRow{}
	require.NoError(t, offline.Scan(t.Context(), table, offline.ScanOptions{}, func(b *feature.Batch) error {
		for i, off := range b.Offsets {
			r := storedRow{at: b.EventTime[i], known: b.KnownTime[i], gone: b.Deleted(i), age: -1}
			for c, field := range b.Rows.Schema().Fields() {
				col := b.Rows.Column(c)
				if col.IsNull(i) {
					continue
				}
				switch field.Name {
				case "id":
					r.id = col.(*array.String).Value(i)
				case "age":
					r.age = col.(*array.Int64).Value(i)
				case "score":
					r.score, r.hasScore = col.(*array.Float64).Value(i), true
				}
			}
			a := at{b.Origin.Partition, off}
			if _, ok := rows[a]; ok {
				twice = append(twice, a)
			}
			rows[a] = r
		}
		return nil
	}))
	return rows, twice
}

// heardOf compares what producers were told with what the log holds.
func heardOf(t *testing.T, s *stream, seqs map[at]int64) (acked int) {
	t.Helper()
	for n, o := range s.outcome {
		a, ok := s.where[int64(n)]
		if !ok {
			continue
		}
		got, in := seqs[a]
		switch o {
		case committed:
			require.True(t, in, "an acknowledged event is no longer in the log: %v", a)
			require.EqualValues(t, n, got, "another event stands where this one was acknowledged: %v", a)
			acked++
		case aborted:
			// A broker that was killed may have given the offset to another event since.
			require.False(t, in && got == int64(n), "an event of an aborted transaction can be read: %v (number %d)", a, n)
		}
	}
	return acked
}
