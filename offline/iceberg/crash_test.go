package iceberg_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// A child of TestKilled is this test binary run again with these set.
const (
	envDir     = "WEIR_TEST_CRASH_DIR"
	envCatalog = "WEIR_TEST_CRASH_CATALOG"
	envPart    = "WEIR_TEST_CRASH_PARTITION"
	envSeed    = "WEIR_TEST_CRASH_SEED"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		part, _ := strconv.Atoi(os.Getenv(envPart))
		seed, _ := strconv.ParseUint(os.Getenv(envSeed), 10, 64)
		if part < 0 {
			fmt.Println("fault:", keepForever(os.Getenv(envCatalog), dir, seed))
			os.Exit(1)
		}
		fmt.Println("fault:", commitForever(os.Getenv(envCatalog), dir, int32(part), seed))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitForever goes on where the table stands, as fast as it can, until it is killed.
func commitForever(catalog, dir string, part int32, seed uint64) error {
	s, err := openCrashed(catalog, dir)
	if err != nil {
		return err
	}
	v := offlinetest.View("stats")
	tb, err := s.Table(ctx, v)
	if err != nil {
		return err
	}
	cfg := offline.DefaultConfig()
	cfg.Compression = "none"
	w, err := offline.NewWriter(tb, cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	g := &offlinetest.Gen{R: rand.New(rand.NewPCG(seed, 1)), View: v, Days: 2}
	for going := false; ; {
		all, err := w.Positions(ctx)
		if err != nil {
			return err
		}
		from, _ := offline.Find(all, offlinetest.At(part, 0, ""))
		n := 1 + g.R.IntN(5)
		c := offlinetest.Move(v, uuid.NewString(), from, offlinetest.At(part, from.Next+int64(n), ""))
		err = offlinetest.Flush(ctx, w, c, g.Batch(part, from.Next, n, false))
		if err != nil && feature.KindOf(err) == feature.Conflict {
			w.Discard(c) // a sweep was faster
			continue
		}
		if err != nil {
			return err
		}
		if !going {
			going = true
			fmt.Println("going")
		}
	}
}

// keepForever replaces, forgets and sweeps, as fast as it can, until it is killed.
func keepForever(catalog, dir string, seed uint64) error {
	s, err := iceberg.Open(ctx, catalog, filepath.Join(dir, "ware house"), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	tb, err := s.Table(ctx, offlinetest.View("stats"))
	if err != nil {
		return err
	}
	// As if the storage's clock were behind by all of the margin, so that whatever was
	// written before the cutoff goes, if nothing names it.
	tb.(*iceberg.Table).Age(time.Duration(offline.SweepMargin) * time.Microsecond)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; ; i++ {
		st, err := tb.Load(ctx, offline.Version{})
		if err != nil {
			return err
		}
		if files := offlinetest.SameDay(r, st.Files); len(files) > 0 {
			made, err := offlinetest.Copies(tb, files, "copy/"+uuid.NewString())
			if err == nil {
				err = tb.Replace(ctx, &offline.Rewrite{ID: uuid.NewString(), Gone: files, New: made})
			}
			if err != nil && feature.KindOf(err) != feature.Conflict && feature.KindOf(err) != feature.NotFound {
				return err
			}
		}
		if _, err := tb.Expire(ctx, offline.ExpireOptions{Before: time.Now().UnixMicro(), Keep: r.IntN(3)}); err != nil {
			return err
		}
		// A commit that takes longer than this is refused, and made again.
		if _, err := tb.Sweep(ctx, offline.SweepOptions{Before: time.Now().Add(-time.Second).UnixMicro()}); err != nil {
			return err
		}
		if i == 0 {
			fmt.Println("going")
		}
	}
}

// TestKilled kills workers at random moments and wants every row that the
// positions cover in the table exactly once.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 6
	}
	sqldbtest.Each(t, func(t *testing.T, newURL func(t testing.TB) string) {
		if kills > 6 && t.Name() == "TestKilled/postgres" {
			kills /= 4 // a process takes longer to start there
		}
		killed(t, newURL(t), kills)
	})
}

func killed(t *testing.T, catalog string, kills int) {
	seed := testseed.For(t)
	t.Logf("seed %d, %d kills", seed, kills)
	dir := t.TempDir()
	open := openerOn(t, catalog, dir)
	v := offlinetest.View("stats")
	tb, err := open().Table(ctx, v)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for part := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(part)))
			for range kills / 2 {
				if err := killOne(catalog, dir, part, r.Uint64(), time.Duration(r.IntN(60_000))*time.Microsecond); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, 7))
		for range kills / 2 {
			if err := killOne(catalog, dir, -1, r.Uint64(), time.Duration(r.IntN(100_000))*time.Microsecond); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	require.Len(t, st.Positions, 2)
	var want []string
	for _, p := range st.Positions {
		for o := range p.Next {
			want = append(want, fmt.Sprintf("%d/%d", p.Partition, o))
		}
	}
	offlinetest.SameRows(t, want, offlinetest.Coordinates(offlinetest.Read(t, tb, st)))
	t.Logf("%d rows in %d files, every one once", st.Rows, len(st.Files))
	// And the table is not left locked or half done; what the dead have left is found.
	p := st.Positions[0]
	require.NoError(t, offlinetest.Flush(ctx, offlinetest.NewWriter(t, tb), offlinetest.Move(v, "after", p,
		feature.Position{Topic: p.Topic, TopicID: p.TopicID, Partition: p.Partition, Next: p.Next + 1})))
	_, err = tb.Expire(ctx, offline.ExpireOptions{Before: time.Now().Add(time.Hour).UnixMicro()})
	require.NoError(t, err)
	tb.(*iceberg.Table).Age(2 * time.Hour)
	swept, err := tb.Sweep(ctx, offline.SweepOptions{Before: time.Now().UnixMicro()})
	require.NoError(t, err)
	t.Logf("%d files of the dead were swept", swept.Files)
	noLeftovers(t, tb)
	require.Len(t, rows(t, tb, offline.Version{}), len(want))
}

func killOne(catalog, dir string, part int, seed uint64, after time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envDir+"="+dir, envCatalog+"="+catalog, envPart+"="+strconv.Itoa(part), envSeed+"="+strconv.FormatUint(seed, 10))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	line := bufio.NewScanner(out)
	if !line.Scan() || line.Text() != "going" {
		return fmt.Errorf("child of partition %d: %q", part, line.Text())
	}
	time.Sleep(after) // the moment of the kill is random on purpose
	return nil
}
