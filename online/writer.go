package online

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// History is the view's table, as far as the Writer needs it, always as it is
// now: every commit that has landed shows. Newest and Since call fn with batches whose
// rows are of one partition (Origin.TopicID and Partition); a batch may be
// reused after fn returns.
type History interface {
	// Positions returns where the table stands, on all partitions and imports it knows.
	Positions(ctx context.Context, view *feature.View) ([]feature.Position, error)
	// Newest gives the newest row of every key, each key once, tombstones included.
	Newest(ctx context.Context, view *feature.View, fn func(*feature.Batch) error) error
	// Since gives the rows of the listed partitions with offsets at or above Next.
	Since(ctx context.Context, view *feature.View, since []feature.Position, fn func(*feature.Batch) error) error
}

// Options are what a Writer is made with besides view, store and table.
type Options struct {
	Config  Config
	Clock   func() time.Time // for expiry only; time.Now when nil
	Log     *slog.Logger
	Metrics *Metrics
	// SoleWriter promises that no other process writes this view into the store
	// while this one does, and that the store began empty with it, as an embedded one does. See Assign.
	SoleWriter bool
}

// Writer puts the rows of one view into the store. It is one of ingest's sinks.
//
// A row is served as soon as Write returns, long before the table has it, so
// there is nothing to stage, and a row that is written but never committed comes
// again through Write under the same coordinates. What a Writer has to see to
// is the other direction: rows that the table has and the store has not, because
// the store restarted empty or with old data, or because the writes of its last
// second are gone. Nobody would write those again.
//
// Marks show it. Write moves the partition's mark right after the rows, and says from
// where; servers lose the newest writes first, so a mark is never ahead of
// its rows, and one that has gone back betrays the loss. The store then records
// the lost range, in the mark itself, so that it outlives this process. At the
// next Settle, when the table has those rows for certain, or at Assign, they are written
// again from the table.
//
// Watching the server's run id instead was dropped: it sees restarts, not
// failovers to a replica that lags, and not what was lost.
type Writer struct {
	id      string
	store   Store
	history History
	opt     Options
	rowMaker

	mu         sync.Mutex
	parts      map[partKey]*part // guarded by mu; the part by its one writing goroutine
	knowSchema bool              // guarded by mu: the store has the schema

	mend    sync.Mutex    // held while rows are written from the table: never two at once
	scratch sync.Pool     // *scratch
	room    chan struct{} // a token for each put under way

	stored, superseded, refilled, lost prometheus.Counter
}

type partKey struct {
	topicID [16]byte
	id      int32
}

// part is one owned partition.
type part struct {
	written int64 // every row below has been put; guarded by Writer.mu
}

// NewWriter makes the writer of a view.
func NewWriter(view *feature.View, store Store, history History, opt Options) *Writer {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Metrics == nil {
		opt.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	m, l := opt.Metrics, labels(view)
	return &Writer{
		id: viewID(view), store: store, history: history, opt: opt,
		rowMaker:   newRowMaker(view, opt.Config, opt.Clock),
		parts:      map[partKey]*part{},
		scratch:    sync.Pool{New: func() any { return newScratch() }},
		room:       make(chan struct{}, mostPuts),
		stored:     m.rows.WithLabelValues(append(l, "stored")...),
		superseded: m.rows.WithLabelValues(append(l, "superseded")...),
		refilled:   m.refilled.WithLabelValues(l...),
		lost:       m.lost.WithLabelValues(l...),
	}
}

func viewID(v *feature.View) string { return projectOf(v) + "/" + v.Meta.Name }

// Name is the sink's name.
func (w *Writer) Name() string { return "online" }

// Shows tells that rows are served as soon as Write returns.
func (w *Writer) Shows() bool { return true }

// Write puts a batch and moves the partition's mark over it.
func (w *Writer) Write(ctx context.Context, b *feature.Batch) error {
	if err := w.registerSchema(ctx); err != nil {
		return err
	}
	covered := b.Covered()
	k := partKey{covered.TopicID, covered.Partition}
	w.mu.Lock()
	p := w.parts[k]
	if p == nil {
		p = &part{written: covered.First}
		w.parts[k] = p
	}
	from := min(p.written, covered.First)
	w.mu.Unlock()
	r, err := w.put(ctx, b, &Advance{View: w.id, TopicID: k.topicID, Partition: k.id, From: from, Next: covered.Next})
	if err != nil {
		return err
	}
	if r.Lost {
		w.lost.Inc()
		w.opt.Log.Warn("the online store has lost rows that it had acknowledged; they will be written again from the table at the next commit",
			"view", w.id, "topic", b.Origin.Topic, "partition", b.Origin.Partition, "below", from)
	}
	w.mu.Lock()
	p.written = max(p.written, covered.Next)
	w.mu.Unlock()
	return nil
}

func (w *Writer) registerSchema(ctx context.Context) error {
	w.mu.Lock()
	known := w.knowSchema
	w.mu.Unlock()
	if known {
		return nil
	}
	if err := w.store.PutSchema(ctx, w.id, w.schema.ID, w.schema.Text()); err != nil {
		return err
	}
	w.mu.Lock()
	w.knowSchema = true
	w.mu.Unlock()
	return nil
}

// Cut has nothing to do: rows are shown as they are written.
func (w *Writer) Cut(*feature.Commit) {}

// Stage has nothing to do.
func (w *Writer) Stage(context.Context, *feature.Commit) error { return nil }

// Discard has nothing to do: the same rows come again and change nothing.
func (w *Writer) Discard(*feature.Commit) {}

// Buffered is zero: nothing is kept back.
func (w *Writer) Buffered() int64 { return 0 }

// Revoke forgets partitions that another worker has now.
func (w *Writer) Revoke(parts []feature.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range parts {
		delete(w.parts, partKey{p.TopicID, p.Partition})
	}
}

// mostPuts is how many batches are encoded or under way to the store at a time:
// enough to keep a store busy, and few enough that hundreds of
// partitions do not each hold an encoded batch in memory while they wait for one.
const mostPuts = 16

// borrow gives the memory of one put and what to call when it is done.
func (w *Writer) borrow(ctx context.Context) (*scratch, func(), error) {
	select {
	case w.room <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	s := w.scratch.Get().(*scratch)
	return s, func() {
		w.scratch.Put(s)
		<-w.room
	}, nil
}

// put writes the newest row of each key in b.
func (w *Writer) put(ctx context.Context, b *feature.Batch, adv *Advance) (Result, error) {
	s, done, err := w.borrow(ctx)
	if err != nil {
		return Result{}, err
	}
	defer done()
	if err := w.rows(s, b); err != nil {
		return Result{}, err
	}
	start := time.Now()
	r, err := w.store.Put(ctx, s.rows, adv)
	w.opt.Metrics.store.WithLabelValues("put").Observe(time.Since(start).Seconds())
	w.stored.Add(float64(r.Stored))
	if err == nil {
		w.superseded.Add(float64(b.Len() - r.Stored))
	}
	s.forget()
	return r, err
}

// fill is put without comparing, for keys that are absent.
func (w *Writer) fill(ctx context.Context, b *feature.Batch) error {
	s, done, err := w.borrow(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := w.rows(s, b); err != nil {
		return err
	}
	err = w.store.Fill(ctx, s.rows)
	s.forget()
	return err
}
