//go:build peers

package peers

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/objects/objectstest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

var ctx = context.Background()

// lab is a table of ours, a plain list of its rows, and the engines that look at it.
type lab struct {
	t       *testing.T
	where   warehouse
	store   *iceberg.Store
	table   offline.Table
	view    *feature.View
	writer  *offline.Writer
	gen     *offlinetest.Gen
	at      feature.Position
	want    []string // rows of the newest version
	engines []*engine
	commits int
}

func newLab(t *testing.T, where warehouse, options []iceberg.Option, engines ...string) *lab {
	l := &lab{t: t, where: where, view: offlinetest.View("stats")}
	store, err := iceberg.Open(ctx, l.where.url(), l.where.dir, slog.New(slog.DiscardHandler), options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	seed := testseed.For(t)
	l.store, l.gen = store, &offlinetest.Gen{R: rand.New(rand.NewPCG(seed, 1)), View: l.view, Days: 2}
	l.open(l.view)
	for _, e := range engines {
		l.engines = append(l.engines, l.where.start(t, e))
	}
	return l
}

// open opens the table for a version of the view.
func (l *lab) open(v *feature.View) {
	tb, err := l.store.Table(ctx, v)
	require.NoError(l.t, err)
	l.view, l.gen.View, l.table, l.writer = v, v, tb, offlinetest.NewWriter(l.t, tb)
}

// append commits random rows.
func (l *lab) append(n int) {
	l.t.Helper()
	l.commits++
	b := l.gen.Batch(0, l.at.Next, n, false)
	c := offlinetest.Move(l.view, "c"+time.Now().Format("150405.000000000"), l.at, offlinetest.At(0, l.at.Next+int64(n), ""))
	require.NoError(l.t, offlinetest.Flush(ctx, l.writer, c, b))
	l.at, l.want = c.Advances[0].To, append(l.want, lines(b)...)
}

// agree has everyone read the newest version.
func (l *lab) agree(when string) {
	l.t.Helper()
	same(l.t, l.want, read(l.t, l.table, offline.Version{}), when+": weir")
	for _, e := range l.engines {
		same(l.t, l.want, e.rows(nil), when+": "+e.name)
	}
	got, err := l.table.Positions(ctx)
	require.NoError(l.t, err, when)
	require.Equal(l.t, []feature.Position{l.at}, got, when)
}

// agreeAt has everyone read an older snapshot.
func (l *lab) agreeAt(snapshot int64, want []string, when string) {
	l.t.Helper()
	same(l.t, want, read(l.t, l.table, offline.Version{Snapshot: snapshot}), when+": weir")
	for _, e := range l.engines {
		same(l.t, want, e.rows(call{"snapshot": snapshot}), when+": "+e.name)
	}
}

func (l *lab) newest() int64 {
	st, err := l.table.Load(ctx, offline.Version{})
	require.NoError(l.t, err)
	return st.Snapshot
}

// without drops the rows of a shop, as the engines' "shop_id = N" does.
func (l *lab) without(cell string) {
	l.want = slices.DeleteFunc(slices.Clone(l.want), func(s string) bool { return strings.Contains(s, cell) })
}

// TestEngines: every engine reads our rows and an older snapshot of them, value for
// value, and what they commit themselves leaves our positions and rows whole.
func TestEngines(t *testing.T) {
	l := newLab(t, newWarehouse(t), nil, "pyiceberg", "duckdb", "spark")
	py, spark := l.engines[0], l.engines[2]
	for range 4 {
		l.append(200)
	}
	l.agree("appended")
	old, oldRows := l.newest(), slices.Clone(l.want)
	require.NoError(t, l.table.Tag(ctx, "training", old))
	l.append(100)
	l.agreeAt(old, oldRows, "an older snapshot")
	same(t, oldRows, py.rows(call{"tag": "training"}), "the tag in pyiceberg")
	same(t, oldRows, spark.rows(call{"tag": "training"}), "the tag in spark")

	py.do("delete", call{"where": "shop_id = 0"})
	l.without(" shop_id=0")
	l.agree("pyiceberg has deleted")
	l.append(50)
	l.agree("and we went on")

	spark.do("delete", call{"where": "shop_id = 1 AND f_int32 > 5"})
	l.want = slices.DeleteFunc(l.want, func(s string) bool {
		return strings.Contains(s, " shop_id=1") && above(s, "f_int32", 5)
	})
	l.agree("spark has deleted")
	l.append(50)

	require.NotZero(t, spark.do("compact", nil))
	l.agree("spark has compacted")
	l.append(50)
	l.agree("and we went on")
	spark.do("rewrite_manifests", nil)
	l.agree("spark has rewritten manifests")
	l.append(20)
	py.do("append_none", nil)
	l.append(20)
	l.agree("pyiceberg has appended nothing")
	l.agreeAt(old, oldRows, "the older snapshot after all that")

	py.do("expire", nil)
	l.agree("pyiceberg has expired snapshots")
	l.append(20)
	spark.do("expire", nil)
	l.agree("spark has expired snapshots")
	l.append(20)
	l.agree("and we went on")
	same(t, oldRows, read(t, l.table, offline.Version{Tag: "training"}), "the tagged version outlives expiry")
}

// TestBucket: the same in a bucket of S3, where pyiceberg reads and deletes.
func TestBucket(t *testing.T) {
	s := testserver.S3(t)
	where := newWarehouse(t)
	where.dir = s.URL()
	where.s3 = map[string]string{"s3.endpoint": s.Endpoint, "s3.region": s.Region, "s3.access-key-id": s.AccessKey, "s3.secret-access-key": s.Secret}
	l := newLab(t, where, []iceberg.Option{iceberg.S3(objectstest.Config(s))}, "pyiceberg")
	for range 3 {
		l.append(200)
	}
	l.agree("appended")
	old, oldRows := l.newest(), slices.Clone(l.want)
	l.engines[0].do("delete", call{"where": "shop_id = 0"})
	l.without(" shop_id=0")
	l.agree("pyiceberg has deleted")
	l.append(50)
	done, err := offline.Compact(ctx, l.table, offline.CompactOptions{Config: offline.DefaultConfig()})
	require.NoError(t, err)
	t.Logf("%+v", done)
	l.agree("compacted")
	l.agreeAt(old, oldRows, "an older snapshot")
}

func above(line, column string, n int) bool {
	for cell := range strings.SplitSeq(line, " ") {
		if v, ok := strings.CutPrefix(cell, column+"="); ok {
			return v != "null" && len(v) < 10 && atoi(v) > n
		}
	}
	return false
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}
