package offline

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

// Writer takes the rows of one view and puts them into its table: it is a sink
// of ingestion and, as the table's side of a flush, its committer.
//
// Rows are kept as the batches they came in, nothing is copied. Cut moves them
// aside, Stage sorts them by day and writes one file a day, Commit names the
// files and moves the positions. After Stage the rows are in files and their
// memory is given back; after Discard the files are left to orphan removal,
// because a commit whose outcome is in doubt may yet name them.
type Writer struct {
	table Table
	cfg   Config
	log   *slog.Logger
	met   *viewMetrics
	bytes atomic.Int64
	files chan *dayWriter // idle; as many exist as files are written at once

	mu   sync.Mutex
	open map[partKey]*openPart // rows since the last cut
	next map[partKey]int64     // rows below are in the table or were written here; absent: not known
	cuts map[string]*cut       // by commit id, until settled or discarded
}

type partKey struct {
	topic     [16]byte
	partition int32
}

func keyOf(p feature.Position) partKey { return partKey{p.TopicID, p.Partition} }

// openPart is written by the partition's goroutine, under Writer.mu.
type openPart struct {
	batches []*feature.Batch
	bytes   int64
}

// cut is the rows of one commit. stage serialises Stage; the rest is under Writer.mu.
type cut struct {
	stage   sync.Mutex
	parts   map[partKey]bool
	batches []*feature.Batch // nil once staged
	bytes   int64
	days    map[int32]File // written so far
	staged  bool
}

// NewWriter makes the writer of one table. reg may be shared by the writers of many views.
func NewWriter(t Table, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: "offline.writer", What: "view " + t.View().ID(), Err: err}
	}
	w := &Writer{
		table: t, cfg: cfg, log: log.With("view", t.View().ID()), met: newViewMetrics(reg, t.View()),
		files: make(chan *dayWriter, cfg.Writers),
		open:  map[partKey]*openPart{}, next: map[partKey]int64{}, cuts: map[string]*cut{},
	}
	for range cfg.Writers {
		w.files <- nil // made when first needed
	}
	return w, nil
}

// Name is for logs and metrics.
func (w *Writer) Name() string { return "offline" }

// Buffered is the memory of rows written and not yet in files.
func (w *Writer) Buffered() int64 { return w.bytes.Load() }

// Positions is where the table stands.
func (w *Writer) Positions(ctx context.Context) ([]feature.Position, error) {
	return w.table.Positions(ctx)
}

// Assign drops what is left of partitions that are now owned anew. A cut that
// the table does not name as landed will never be committed by this writer.
func (w *Writer) Assign(_ context.Context, at []feature.Position) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range at {
		w.dropOpen(keyOf(p))
		w.next[keyOf(p)] = p.Next
		for id, c := range w.cuts {
			if c.parts[keyOf(p)] {
				// Landed or not, its rows are no longer ours: those that are missing come again.
				w.drop(id, c)
			}
		}
	}
	return nil
}

// Revoke drops rows of partitions that this worker no longer owns and that were not cut.
func (w *Writer) Revoke(parts []feature.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range parts {
		w.dropOpen(keyOf(p))
	}
}

// Write keeps the batch until it is in a file. Rows that it has taken before, or
// that the table had when the partition was assigned, are left out.
func (w *Writer) Write(_ context.Context, b *feature.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	if err := w.check(b); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	covered := b.Covered()
	k := partKey{covered.TopicID, covered.Partition}
	next, known := w.next[k]
	kept := *b
	if known && b.Place(0) < next {
		from := b.From(next)
		if from == b.Len() {
			return nil
		}
		kept = tail(b, from)
	} else {
		kept.Rows.Retain()
	}
	w.next[k] = max(next, b.Place(b.Len()-1)+1)
	n := batchBytes(&kept)
	o := w.open[k]
	if o == nil {
		o = &openPart{}
		w.open[k] = o
	}
	o.batches = append(o.batches, &kept)
	o.bytes += n
	w.bytes.Add(n)
	return nil
}

// tail is the rows of b from i on, in the same memory.
func tail(b *feature.Batch, i int) feature.Batch {
	t := *b
	t.Rows = b.Rows.NewSlice(int64(i), int64(b.Len()))
	t.Offsets, t.EventTime, t.KnownTime = b.Offsets[i:], b.EventTime[i:], b.KnownTime[i:]
	t.Origin.First = t.Offsets[0]
	if b.Replay != nil {
		o := *b.Replay
		o.First += int64(i)
		t.Replay = &o
	}
	if b.Tombstone != nil {
		t.Tombstone = b.Tombstone[i:]
	}
	return t
}

func (w *Writer) check(b *feature.Batch) error {
	want := w.table.View()
	if b.View.ID() != want.ID() || int(b.Rows.NumCols()) != len(want.Keys)+len(want.Features) ||
		len(b.EventTime) != b.Len() || len(b.KnownTime) != b.Len() || int(b.Rows.NumRows()) != b.Len() {
		return feature.Errorf(feature.Internal, "offline.write", "view "+want.ID(),
			"a batch of view %s with %d columns and %d rows does not fit", b.View.ID(), b.Rows.NumCols(), b.Rows.NumRows())
	}
	return nil
}

// Cut moves the rows of the commit's partitions aside.
func (w *Writer) Cut(c *feature.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := &cut{parts: make(map[partKey]bool, len(c.Advances)), days: map[int32]File{}}
	for _, a := range c.Advances {
		p := keyOf(a.To)
		k.parts[p] = true
		if o := w.open[p]; o != nil {
			k.batches = append(k.batches, o.batches...)
			k.bytes += o.bytes
			delete(w.open, p)
		}
	}
	w.cuts[c.ID] = k
}

// Stage writes the rows of c into files. After an error the days that are
// written already are kept for the next call.
func (w *Writer) Stage(ctx context.Context, c *feature.Commit) error {
	k := w.cut(c.ID)
	if k == nil {
		return w.unknown("offline.stage", c)
	}
	k.stage.Lock()
	defer k.stage.Unlock()
	w.mu.Lock()
	batches, staged := k.batches, k.staged
	// Whoever discards the cut meanwhile must not free what is being read.
	for _, b := range batches {
		b.Rows.Retain()
	}
	w.mu.Unlock()
	if staged {
		return nil
	}
	defer releaseAll(batches)
	began := time.Now()
	if err := w.writeDays(ctx, c, k, batches); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var rows, size int64
	for _, f := range k.days {
		rows, size = rows+f.Rows, size+f.Bytes
	}
	w.met.stage.Observe(time.Since(began).Seconds())
	w.met.rows.Add(float64(rows))
	w.met.bytes.Add(float64(size))
	w.met.files.Add(float64(len(k.days)))
	w.log.Debug("staged", "commit", c.ID, "rows", rows, "files", len(k.days), "bytes", size, "took", time.Since(began))
	w.free(k)
	k.staged = true
	return nil
}

func (w *Writer) writeDays(ctx context.Context, c *feature.Commit, k *cut, batches []*feature.Batch) error {
	if len(batches) == 0 {
		return nil
	}
	set := newRowSet(batches)
	var g errgroup.Group
	g.SetLimit(w.cfg.Writers)
	var failed atomic.Bool // no new files after one has failed, but those under way are finished
	for _, d := range set.days {
		w.mu.Lock()
		_, done := k.days[d.day]
		w.mu.Unlock()
		if done {
			continue
		}
		if failed.Load() {
			break
		}
		g.Go(func() error {
			dw := <-w.files
			if dw == nil {
				dw = newDayWriter(w.table.View(), w.table.Columns(), w.cfg)
			}
			defer func() { w.files <- dw }()
			// The random part: a name is never used twice, whoever stages what again.
			name := fmt.Sprintf("%s/%s-%06x.parquet", dayName(d.day), fileName(c.ID), rand.N(1<<24))
			f, err := dw.write(ctx, w.table, name, set, d)
			if err != nil {
				failed.Store(true)
				return err
			}
			w.mu.Lock()
			k.days[d.day] = f
			w.mu.Unlock()
			return nil
		})
	}
	return g.Wait()
}

// Commit names the files of c in the table.
func (w *Writer) Commit(ctx context.Context, c *feature.Commit) error {
	k := w.cut(c.ID)
	if k == nil {
		return w.unknown("offline.commit", c)
	}
	w.mu.Lock()
	staged := k.staged
	files := make([]File, 0, len(k.days))
	for _, f := range k.days {
		files = append(files, f)
	}
	w.mu.Unlock()
	if !staged {
		return feature.Errorf(feature.Internal, "offline.commit", "commit "+c.ID, "not staged yet")
	}
	began := time.Now()
	err := w.table.Append(ctx, c, files)
	w.met.commit.Observe(time.Since(began).Seconds())
	if feature.KindOf(err) == feature.Conflict && err != nil {
		w.met.conflicts.Inc()
	}
	return err
}

// Settle forgets c; its rows are in the table.
func (w *Writer) Settle(_ context.Context, c *feature.Commit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := w.cuts[c.ID]; k != nil {
		w.drop(c.ID, k)
	}
	return nil
}

// Discard forgets c; its rows will come again, and with them those that were
// written after them.
func (w *Writer) Discard(c *feature.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := w.cuts[c.ID]; k != nil {
		for p := range k.parts {
			w.dropOpen(p)
		}
		w.drop(c.ID, k)
	}
}

// Close frees everything; the writer takes no more rows.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.open {
		w.dropOpen(k)
	}
	for id, k := range w.cuts {
		w.drop(id, k)
	}
	return nil
}

func (w *Writer) cut(id string) *cut {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts[id]
}

// unknown refuses a commit whose rows this writer does not hold: naming it
// would move the positions past rows that are in no file.
func (w *Writer) unknown(op string, c *feature.Commit) error {
	return feature.Errorf(feature.Conflict, op, "commit "+c.ID, "its rows are not held here: never cut, or dropped since")
}

// The following run under w.mu.

func (w *Writer) dropOpen(k partKey) {
	delete(w.next, k)
	if o := w.open[k]; o != nil {
		releaseAll(o.batches)
		w.bytes.Add(-o.bytes)
		delete(w.open, k)
	}
}

func (w *Writer) drop(id string, k *cut) {
	w.free(k)
	delete(w.cuts, id)
}

func (w *Writer) free(k *cut) {
	releaseAll(k.batches)
	w.bytes.Add(-k.bytes)
	k.batches, k.bytes = nil, 0
}

func releaseAll(batches []*feature.Batch) {
	for _, b := range batches {
		b.Rows.Release()
	}
}

// batchBytes is the memory that keeping b costs.
func batchBytes(b *feature.Batch) int64 {
	n := int64(24*b.Len() + len(b.Tombstone))
	for _, c := range b.Rows.Columns() {
		for _, buf := range c.Data().Buffers() {
			if buf != nil {
				n += int64(cap(buf.Bytes())) // what is kept, used or not
			}
		}
	}
	return n
}

// fileName keeps of a commit id what every file system takes.
func fileName(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
}
