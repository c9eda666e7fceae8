package offline_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/jointest"
)

var eof = io.EOF

// TestJoinAgainstOracle compares the join with a naive search through all rows in
// random worlds (jointest): many overlapping files laid out in every way, or written by the
// Writer and compacted; ties, ttl ends, nulls, tombstones, late and future rows, composite
// keys, several views, changed definitions, times a microsecond apart. What fails is shrunk and
// printed as Go. WEIR_TEST_SEED=N repeats one, WEIR_CASES sets how many.
func TestJoinAgainstOracle(t *testing.T) {
	worlds(t, 500, jointest.Usual(), jointest.Options{}, nil)
}

// TestJoinOnIceberg is the same on Iceberg tables.
func TestJoinOnIceberg(t *testing.T) {
	dir := t.TempDir()
	n := 0
	worlds(t, 25, jointest.Usual(), jointest.Options{Store: func() (offline.Store, func(), error) {
		n++
		at := filepath.Join(dir, strconv.Itoa(n))
		if err := os.MkdirAll(at, 0o700); err != nil {
			return nil, nil, err
		}
		s, err := iceberg.Open(context.Background(), "sqlite:"+filepath.Join(at, "tables.db"), filepath.Join(at, "warehouse"), slog.New(slog.DiscardHandler))
		return s, func() {
			_ = s.Close()
			_ = os.RemoveAll(at)
		}, err
	}}, func(w *jointest.World) {
		for i := range w.Views {
			for k := range w.Views[i].Files {
				w.Views[i].Files[k].Bounds = true // a table in days takes no file without
			}
		}
	})
}

// TestJoinOfMoreRows has worlds of some thousand rows, so that files have many row
// groups and pages, merges more than one window, and spines several parts.
func TestJoinOfMoreRows(t *testing.T) {
	worlds(t, 8, jointest.Limits{Views: 2, Facts: 6000, Spine: 1500, Arrays: true}, jointest.Options{}, nil)
}

// worlds tries so many random worlds.
func worlds(t *testing.T, cases int, l jointest.Limits, o jointest.Options, change func(*jointest.World)) {
	t.Helper()
	cases = offline.Fewer(cases)
	if s := os.Getenv("WEIR_CASES"); s != "" {
		cases, _ = strconv.Atoi(s)
	}
	for seed := range testseed.Each(t, cases) {
		w := jointest.Random(rand.New(rand.NewPCG(seed, 1)), l)
		if change != nil {
			change(w)
		}
		if try(t, w, o) {
			return
		}
	}
}

// try checks a world; one that fails is shrunk and printed.
func try(t *testing.T, w *jointest.World, o jointest.Options) (failed bool) {
	t.Helper()
	ctx := context.Background()
	err := w.Check(ctx, o)
	if err == nil {
		return false
	}
	small := jointest.Shrink(w, func(w *jointest.World) bool { return w.Check(ctx, o) != nil })
	t.Errorf("%v\n\nThe smallest world that fails:\n%v\n%v", err, small, small.Check(ctx, o))
	return true
}

func TestJoinStopsAtOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		w := randomWorld(t, r)
		if len(w.spine) < 50 {
			continue
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("enough")
		seen := 0
		_, err := offline.Join(ctx, offline.JoinRequest{
			Service: w.service, Tables: w.tables(), Spine: offline.Spine{Rows: w.records(r), Time: "at"}, Memory: 1,
		}, func(rec arrow.RecordBatch) error {
			seen++
			cancel(why)
			return nil
		})
		require.ErrorIs(t, err, why)
		require.Equal(t, 1, seen)

		fault := errors.New("disk full")
		_, err = offline.Join(context.Background(), offline.JoinRequest{
			Service: w.service, Tables: w.tables(), Spine: offline.Spine{Rows: w.records(r), Time: "at"},
		}, func(arrow.RecordBatch) error { return fault })
		require.ErrorIs(t, err, fault)
	}
}
