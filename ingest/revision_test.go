package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// between is a suite of one rule.
func between(version int, column string, low, high int) *feature.Suite {
	return &feature.Suite{Meta: feature.Meta{Project: "p", Name: "s"}, Version: version, Expectations: []feature.Expectation{{
		Type: "expect_column_values_to_be_between",
		Kwargs: map[string]json.RawMessage{"column": json.RawMessage(fmt.Sprintf("%q", column)),
			"min_value": json.RawMessage(fmt.Sprint(low)), "max_value": json.RawMessage(fmt.Sprint(high))}}}}
}

// TestRevisionAcrossCrash: events that a worker has judged, but not committed
// when it died, are judged the same way again, whatever the suite and even the
// columns have become since; those after the next commit by the new suite.
func TestRevisionAcrossCrash(t *testing.T) {
	t.Parallel()
	score := feature.Field{Name: "score", Type: feature.Int64}
	age := feature.Field{Name: "age", Type: feature.Int64}
	for _, tc := range []struct {
		name         string
		first, later func(v *feature.View)
		values       []string // of the column that stays
	}{
		{"suite", func(v *feature.View) { v.SuiteOf = between(1, "age", 0, 100) },
			func(v *feature.View) { v.SuiteOf = between(2, "age", 0, 10) }, []string{"5", "50"}},
		{"suite of the same version, made anew", func(v *feature.View) { v.SuiteOf = between(1, "age", 0, 100) },
			func(v *feature.View) { v.SuiteOf = between(1, "age", 0, 10) }, []string{"5", "50"}},
		{"the suite's column is gone", func(v *feature.View) {
			v.Features, v.SuiteOf = []feature.Field{score, age}, between(1, "score", 0, 100)
		}, func(v *feature.View) { v.SuiteOf = nil }, []string{"5", "50"}},
		{"the suite's column has another type", func(v *feature.View) {
			v.Features, v.SuiteOf = []feature.Field{score, age}, between(1, "score", 0, 100)
		}, func(v *feature.View) {
			v.Features = []feature.Field{age, {Name: "score", Type: feature.Float64}}
			v.SuiteOf = between(2, "score", 0, 10)
		}, []string{"5,5", "50,50"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := setup(t, 1)
			old, now := *f.view, *f.view
			tc.first(&old)
			tc.later(&now)
			at := base
			send := func(n int, score int) {
				at = at.Add(time.Second)
				f.produce(event{rec: f.record(fmt.Sprintf(`{"id":"k%d","at":%d,"age":%d,"score":%d}`, n, at.UnixMicro(), score, score))})
			}
			judge := func(_ context.Context, revision int64, _, _ string) (*feature.View, error) {
				return map[int64]*feature.View{1: &old, 2: &now}[revision], nil
			}
			with := func(v *feature.View, revision int64) func(*ingest.PipelineConfig) {
				return func(c *ingest.PipelineConfig) { c.Outlets[0].View, c.Revision, c.Judge = v, revision, judge }
			}
			// The first worker registers, and dies before it has committed a row.
			o := newOutage(f.table.Open())
			stop := f.run(o, f.config(), with(&old, 1))
			f.committed(map[int32]int64{0: 0})
			o.write.Store(true)
			send(0, 5)
			send(1, 50)
			send(2, 500)
			<-o.tried
			require.NoError(t, stop())
			require.Empty(t, f.table.Rows())

			stop = f.run(f.table.Open(), f.config(), with(&now, 2))
			f.committed(map[int32]int64{0: 3})
			require.Equal(t, int64(2), f.table.Positions()[0].Revision)
			var got []string
			for _, r := range f.table.Rows() {
				s := r.Values[1]
				for _, v := range r.Values[2:] {
					s += "," + v
				}
				got = append(got, s)
			}
			require.Equal(t, tc.values, got)
			res, err := quarantine.NewReader(f.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "person"})
			require.NoError(t, err)
			require.Len(t, res.Entries, 1)
			require.Equal(t, int64(2), res.Entries[0].Offset)
			require.Equal(t, int64(1), res.Entries[0].Revision, "the revision that judged it")

			send(3, 50) // from here on the new suite judges
			f.committed(map[int32]int64{0: 4})
			require.NoError(t, stop())
			want := 3
			if now.SuiteOf != nil {
				want = 2
			}
			require.Len(t, f.table.Rows(), want)
		})
	}
}

// unstaged is a table that stages nothing while it is down.
type unstaged struct {
	*sinktest.Writer
	down   atomic.Bool
	broken atomic.Bool   // for good
	tried  chan struct{} // a token once a stage was refused
}

func (u *unstaged) Stage(ctx context.Context, c *feature.Commit) error {
	if u.broken.Load() {
		return feature.Errorf(feature.Internal, "stage", "", "broken")
	}
	if u.down.Load() {
		select {
		case u.tried <- struct{}{}:
		default:
		}
		return feature.Errorf(feature.Unavailable, "stage", "", "connection refused")
	}
	return u.Writer.Stage(ctx, c)
}

// TestNewJudgeWaits: a new suite judges nothing before the commit that names it
// has landed. An event that it held back earlier would, after a crash, be judged
// by the old one once more and come into the table as well.
func TestNewJudgeWaits(t *testing.T) {
	t.Parallel()
	f := setup(t, 1)
	old, now := *f.view, *f.view
	old.SuiteOf, now.SuiteOf = between(1, "age", 0, 100), between(2, "age", 0, 10)
	with := func(v *feature.View, revision int64) func(*ingest.PipelineConfig) {
		return func(c *ingest.PipelineConfig) {
			c.Outlets[0].View, c.Revision = v, revision
			c.Judge = func(_ context.Context, revision int64, _, _ string) (*feature.View, error) {
				return map[int64]*feature.View{1: &old, 2: &now}[revision], nil
			}
		}
	}
	held := func() []*quarantine.Entry {
		res, err := quarantine.NewReader(f.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "person"})
		require.NoError(t, err)
		return res.Entries
	}
	stop := f.run(f.table.Open(), f.config(), with(&old, 1))
	f.committed(map[int32]int64{0: 0})
	require.NoError(t, stop())

	u := &unstaged{Writer: f.table.Open(), tried: make(chan struct{}, 1)}
	u.down.Store(true)
	stop = f.run(u, f.config(), with(&now, 2))
	<-u.tried // the commit that hands over to the new suite is under way
	f.produce(event{rec: f.record(`{"id":"k","at":1,"age":50}`)})
	require.Never(t, func() bool { return len(held()) > 0 }, 500*time.Millisecond, 20*time.Millisecond,
		"the new suite has judged, and the table says that the old one does")
	require.Equal(t, int64(1), f.table.Positions()[0].Revision)
	u.down.Store(false)
	f.committed(map[int32]int64{0: 1})
	require.NoError(t, stop())
	require.Equal(t, int64(2), f.table.Positions()[0].Revision)
	require.Empty(t, f.table.Rows())
	require.Len(t, held(), 1)
}

// TestRevisionNeverGoesBack: a worker that has not heard of the revision a
// position names keeps to it, commit after commit.
func TestRevisionNeverGoesBack(t *testing.T) {
	t.Parallel()
	f := setup(t, 1)
	old, now := *f.view, *f.view
	old.SuiteOf, now.SuiteOf = between(1, "age", 0, 100), between(2, "age", 0, 10)
	with := func(v *feature.View, revision int64) func(*ingest.PipelineConfig) {
		return func(c *ingest.PipelineConfig) {
			c.Outlets[0].View, c.Revision = v, revision
			c.Judge = func(_ context.Context, revision int64, _, _ string) (*feature.View, error) {
				return map[int64]*feature.View{1: &old, 2: &now}[revision], nil
			}
		}
	}
	stop := f.run(f.table.Open(), f.config(), with(&now, 2))
	f.committed(map[int32]int64{0: 0})
	require.NoError(t, stop())
	stop = f.run(f.table.Open(), f.config(), with(&old, 1))
	for n := range int64(4) {
		f.produce(event{rec: f.record(fmt.Sprintf(`{"id":"k","at":1,"age":%d}`, 5+45*(n%2)))})
		f.committed(map[int32]int64{0: n + 1})
		require.Equal(t, int64(2), f.table.Positions()[0].Revision)
	}
	require.NoError(t, stop())
	require.Len(t, f.table.Rows(), 2)
}

// TestNewJudgeNeverComes: nor does it when that commit fails for good.
func TestNewJudgeNeverComes(t *testing.T) {
	t.Parallel()
	f := setup(t, 1)
	old, now := *f.view, *f.view
	old.SuiteOf, now.SuiteOf = between(1, "age", 0, 100), between(2, "age", 0, 10)
	with := func(v *feature.View, revision int64) func(*ingest.PipelineConfig) {
		return func(c *ingest.PipelineConfig) {
			c.Outlets[0].View, c.Revision = v, revision
			c.Judge = func(_ context.Context, revision int64, _, _ string) (*feature.View, error) {
				return map[int64]*feature.View{1: &old, 2: &now}[revision], nil
			}
		}
	}
	stop := f.run(f.table.Open(), f.config(), with(&old, 1))
	f.committed(map[int32]int64{0: 0})
	require.NoError(t, stop())

	u := &unstaged{Writer: f.table.Open(), tried: make(chan struct{}, 1)}
	u.down.Store(true)
	stop, ended := f.start(u, f.config(), with(&now, 2))
	<-u.tried
	f.produce(event{rec: f.record(`{"id":"k","at":1,"age":50}`)})
	time.Sleep(200 * time.Millisecond) // time for it to come to the partition, which must wait
	u.broken.Store(true)
	require.Error(t, f.ended(ended))
	require.Error(t, stop())
	res, err := quarantine.NewReader(f.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "person"})
	require.NoError(t, err)
	require.Empty(t, res.Entries, "the new suite has judged, and the table says that the old one does")
}

// TestReplayKeepsItsJudge: what a worker judged before it died is judged by the
// same suite again all the way, not only until the first commit of the next one.
func TestReplayKeepsItsJudge(t *testing.T) {
	t.Parallel()
	f := setup(t, 1)
	old, now := *f.view, *f.view
	old.SuiteOf, now.SuiteOf = between(1, "age", 0, 100), between(2, "age", 0, 900)
	with := func(v *feature.View, revision int64) func(*ingest.PipelineConfig) {
		return func(c *ingest.PipelineConfig) {
			c.Outlets[0].View, c.Revision = v, revision
			c.Judge = func(_ context.Context, revision int64, _, _ string) (*feature.View, error) {
				return map[int64]*feature.View{1: &old, 2: &now}[revision], nil
			}
		}
	}
	held := func() int {
		res, err := quarantine.NewReader(f.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "person"})
		require.NoError(t, err)
		return len(res.Entries)
	}
	stop := f.run(f.table.Open(), f.config(), with(&old, 1))
	f.committed(map[int32]int64{0: 0})
	require.NoError(t, stop())
	const n = 3000
	var events []event
	for range n {
		events = append(events, event{rec: f.record(`{"id":"k","at":1,"age":500}`)})
	}

	// All of it is held back, and none of it committed.
	u := &unstaged{Writer: f.table.Open(), tried: make(chan struct{}, 1)}
	u.down.Store(true)
	stop, ended := f.start(u, f.config(), with(&old, 1))
	f.produce(events...)
	require.Eventually(t, func() bool { return held() == n }, time.Minute, 10*time.Millisecond)
	u.broken.Store(true)
	require.Error(t, f.ended(ended))
	require.Error(t, stop())
	require.Equal(t, int64(0), f.table.Positions()[0].Next)

	c := f.config()
	c.FlushInterval, c.BatchRows = time.Millisecond, 1
	stop = f.run(f.table.Open(), c, with(&now, 2))
	f.committed(map[int32]int64{0: n})
	require.Zero(t, len(f.table.Rows()), "rows that are in quarantine")
	f.produce(event{rec: f.record(`{"id":"k","at":1,"age":500}`)})
	f.committed(map[int32]int64{0: n + 1})
	require.NoError(t, stop())
	require.Equal(t, n, held())
	require.Len(t, f.table.Rows(), 1, "the new suite judges what came since")
}
