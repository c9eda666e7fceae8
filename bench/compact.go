package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	compactFiles  = 1000
	compactRows   = 10_000 // of a file
	compactKeys   = 1_000_000
	compactTarget = 1_000_000 // rows a CPU-second
	compactSpine  = 100_000
)

// compactTable makes this program compact one table and say what it did: a process
// of its own, so that what the kernel counts for it is the compaction's.
const compactTable = "compact-table"

// layouts are how the rows lie in the files before.
var layouts = []struct {
	name string
	days int // each commit has rows of all of them
}{{"one day", 1}, {"ten days", 10}}

func measureCompact(ctx context.Context, r *run) error {
	for i, l := range layouts {
		if err := r.compact(ctx, filepath.Join(r.dir, fmt.Sprint("compact-", i)), l.name, l.days); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) compact(ctx context.Context, dir, layout string, days int) error {
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	view := compactView()
	store, table, err := openCompact(ctx, dir)
	if err != nil {
		return err
	}
	defer store.Close()
	defer table.Close()
	if err := fillCompact(ctx, table, view, days); err != nil {
		return err
	}
	before, err := joinCompact(ctx, table, view, days)
	if err != nil {
		return err
	}
	began := time.Now()
	rep, err := compactChild(ctx, dir, "")
	if err != nil {
		return err
	}
	took, done := time.Since(began).Seconds(), rep.Done
	after, err := joinCompact(ctx, table, view, days)
	if err != nil {
		return err
	}
	st, err := table.Load(ctx, offline.Version{})
	if err != nil {
		return err
	}
	for _, f := range st.Files {
		if !f.Sorted {
			return fmt.Errorf("%s is not sorted", f.Path)
		}
	}
	if st.Rows != compactFiles*compactRows || len(st.Files) != done.FilesAfter || before.sum != after.sum {
		return fmt.Errorf("compaction: %+v, %d rows in %d files, joins %x and %x", done, st.Rows, len(st.Files), before.sum, after.sum)
	}
	cpu := rep.CPU
	line := Line{What: "compaction of 10M rows in 1,000 files, " + layout, Value: float64(st.Rows) / cpu, Unit: "rows/CPU-s", Target: compactTarget, AtLeast: true,
		CPU: cpu / float64(st.Rows), CPUUnit: "row",
		Note: fmt.Sprintf("%d files into %d, %s MiB read and %s MiB written in %s by the clock", done.FilesBefore, done.FilesAfter, number(float64(done.BytesGone)/(1<<20)), number(float64(done.BytesMade)/(1<<20)), duration(took))}
	if line.Value < compactTarget {
		if line.Profile, err = r.profileCompact(ctx, dir+"-profiled", days); err != nil {
			return err
		}
	}
	r.add(line)
	r.add(Line{What: "the same: peak memory", Value: float64(rep.Peak) / (1 << 20), Unit: "MiB", Target: memoryTarget, Note: "resident set of its process, as the kernel counts it"})
	r.add(Line{What: "a join of 100,000 rows to that, after and before", Value: after.cpu / before.cpu, Unit: "x", CPU: after.cpu, CPUUnit: "join",
		Note: fmt.Sprintf("%s of CPU before; the same features, sorted files both times", duration(before.cpu))})
	return nil
}

// profileCompact does it once more on the same rows, with a profile.
func (r *run) profileCompact(ctx context.Context, dir string, days int) ([]string, error) {
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	store, table, err := openCompact(ctx, dir)
	if err != nil {
		return nil, err
	}
	err = fillCompact(ctx, table, compactView(), days)
	_, _ = table.Close(), store.Close()
	if err != nil {
		return nil, err
	}
	profile := filepath.Join(r.dir, fmt.Sprintf("compact-%d.prof", days))
	if _, err := compactChild(ctx, dir, profile); err != nil {
		return nil, err
	}
	return top(ctx, profile), nil
}

func compactView() *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "default", Name: "small_files"}, Source: "stats", Entities: []string{"customer"}, Version: 1,
		Keys: []feature.Field{{Name: "customer_id", Type: feature.Int64}}}
	for i := range 8 {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("amount_%d", i), Type: feature.Float64})
	}
	v.Features = append(v.Features, feature.Field{Name: "plan", Type: feature.String}, feature.Field{Name: "active", Type: feature.Bool})
	return v
}

func openCompact(ctx context.Context, dir string) (*iceberg.Store, offline.Table, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "tables"), log)
	if err != nil {
		return nil, nil, err
	}
	table, err := store.Table(ctx, compactView())
	if err != nil {
		_ = store.Close()
	}
	return store, table, err
}

// fillCompact writes the rows as ingestion does: each commit has so many files as
// there are days.
func fillCompact(ctx context.Context, table offline.Table, view *feature.View, days int) error {
	w, err := offline.NewWriter(table, offline.DefaultConfig(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	defer w.Close()
	rng := rand.New(rand.NewPCG(7, 8))
	rb := array.NewRecordBuilder(memory.DefaultAllocator, view.Schema())
	defer rb.Release()
	at := feature.Position{Topic: "stats", TopicID: [16]byte{1}}
	all := int64(compactFiles * compactRows)
	for n := range compactFiles / days {
		rows := int64(compactRows * days)
		b := &feature.Batch{View: view, Origin: feature.Origin{Topic: at.Topic, TopicID: at.TopicID, First: at.Next, Next: at.Next + rows}}
		for i := range rows {
			day, place := i%int64(days), (at.Next+i)*offline.Day/all // of the day
			b.Offsets = append(b.Offsets, at.Next+i)
			b.EventTime = append(b.EventTime, compactStart+day*offline.Day+place)
			b.KnownTime = append(b.KnownTime, compactStart+day*offline.Day+place+rng.Int64N(5_000_000))
			rb.Field(0).(*array.Int64Builder).Append(rng.Int64N(compactKeys))
			for f := range 8 {
				switch to := rb.Field(1 + f).(*array.Float64Builder); {
				case rng.IntN(20) == 0:
					to.AppendNull()
				case f < 4: // money
					to.Append(math.Round(100*math.Exp(rng.NormFloat64()+4)) / 100)
				default:
					to.Append(rng.NormFloat64())
				}
			}
			rb.Field(9).(*array.StringBuilder).Append(plan(rng.Int64N(3)))
			rb.Field(10).(*array.BooleanBuilder).Append(rng.IntN(2) == 0)
		}
		b.Rows = rb.NewRecordBatch()
		c := &feature.Commit{ID: fmt.Sprintf("bench-%04d", n), View: view, Partitions: 1, Advances: []feature.Advance{{From: at, To: at}}}
		to := &c.Advances[0].To
		to.Next, to.Revision, to.Commit = b.Origin.Next, 1, c.ID
		err := w.Write(ctx, b)
		b.Rows.Release()
		if err != nil {
			return err
		}
		w.Cut(c)
		if err := w.Stage(ctx, c); err != nil {
			return err
		}
		if err := w.Commit(ctx, c); err != nil {
			return err
		}
		if err := w.Settle(ctx, c); err != nil {
			return err
		}
		at = *to
	}
	return nil
}

// compactStart is the first day's midnight.
const compactStart = 20_000 * offline.Day

// joined is what a join took, and the sum of what it gave.
type joined struct {
	cpu float64
	sum uint64
}

var joinSeed = maphash.MakeSeed()

func joinCompact(ctx context.Context, table offline.Table, view *feature.View, days int) (joined, error) {
	svc := &feature.Service{Meta: feature.Meta{Project: "default", Name: "small_files"}, Version: 1, Features: []string{view.Meta.Name + ":*"}}
	if faults := svc.Resolve(func(string) *feature.View { return view }); len(faults) > 0 {
		return joined{}, feature.JoinFaults(faults)
	}
	rng := rand.New(rand.NewPCG(9, 10))
	schema := arrow.NewSchema([]arrow.Field{{Name: "customer_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "at", Type: feature.Timestamp.Arrow()}}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rb.Release()
	for range compactSpine {
		rb.Field(0).(*array.Int64Builder).Append(rng.Int64N(compactKeys))
		rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(compactStart + rng.Int64N(int64(days)*offline.Day)))
	}
	rows := &oneBatch{rec: rb.NewRecordBatch()}
	var j joined
	from := ownCPU()
	_, err := offline.Join(ctx, offline.JoinRequest{Service: svc, Tables: []offline.TableAt{{Table: table}}, Spine: offline.Spine{Rows: rows, Time: "at"}},
		func(rec arrow.RecordBatch) error {
			for _, c := range rec.Columns() {
				for i := range c.Len() {
					j.sum = j.sum*31 + maphash.String(joinSeed, c.ValueStr(i))
				}
			}
			return nil
		})
	j.cpu = ownCPU() - from
	return j, err
}

// oneBatch is a spine of one batch.
type oneBatch struct {
	rec  arrow.RecordBatch
	read bool
}

func (o *oneBatch) Schema() *arrow.Schema { return o.rec.Schema() }

func (o *oneBatch) Read() (arrow.RecordBatch, error) {
	if o.read {
		return nil, io.EOF
	}
	o.read = true
	return o.rec, nil
}

// compactReport is what the process that compacts says of itself. Its peak memory is
// its own word, for what the system tells of a child begins with its parent's.
type compactReport struct {
	Done offline.Compacted
	Peak int64   // bytes
	CPU  float64 // seconds
}

// compactChild compacts the table in a folder in a process of its own.
func compactChild(ctx context.Context, dir, profile string) (compactReport, error) {
	var rep compactReport
	self, err := os.Executable()
	if err != nil {
		return rep, err
	}
	cmd := exec.CommandContext(ctx, self, compactTable, dir, profile)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return rep, fmt.Errorf("the process that compacts: %w", err)
	}
	if err := json.Unmarshal(out, &rep); err != nil {
		return rep, err
	}
	rep.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return rep, nil
}

// compactMain is that process.
func compactMain(dir, profile string) int {
	err := func() error {
		if profile != "" {
			f, err := os.Create(profile)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		ctx := context.Background()
		store, table, err := openCompact(ctx, dir)
		if err != nil {
			return err
		}
		defer store.Close()
		defer table.Close()
		done, err := offline.Compact(ctx, table, offline.CompactOptions{Config: offline.DefaultConfig()})
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(compactReport{Done: done, Peak: peakOf(os.Getpid())})
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	return 0
}
