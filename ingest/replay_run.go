package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

// replayRun is one replay, or discard.
type replayRun struct {
	r        *Replayer
	req      ReplayRequest
	p        *Pipeline // never runs; lends lanes its settings
	o        *Outlets
	view     *feature.View
	res      ReplayResult
	progress func(ReplayProgress)

	table map[partKey]int64 // where the table stood after the claim
	at    feature.Position  // of the replays
	next  int64             // place of the next row among the replays
	lanes map[bool]*lane    // of imports, and of the stream
	logs  map[string]*sourceLog

	chunk []*quarantine.Entry
	bytes int64 // of the chunk

	// Not committed yet.
	rows   []*feature.Batch
	held   []*quarantine.Entry // still bad, with today's reasons
	weight int64               // of held
	since  time.Time           // of the last commit
}

type partKey struct {
	topic     [16]byte
	partition int32
}

// errLimit ends the reading of entries.
var errLimit = errors.New("as many as were asked for")

// stand claims the view's replays (but for a dry run) and notes where the table stands.
func (x *replayRun) stand(ctx context.Context) (err error) {
	for try := 0; ; try++ {
		err = x.claim(ctx)
		if err == nil || feature.KindOf(err) != feature.Conflict || try == rivals {
			return err
		}
	}
}

func (x *replayRun) claim(ctx context.Context) error {
	table, err := x.positions(ctx)
	if err != nil {
		return err
	}
	o := feature.ReplayOrigin()
	at := feature.Position{Topic: o.Topic, TopicID: o.TopicID, Partition: o.Partition}
	for _, p := range table {
		if p.Same(at) {
			at = p
		}
	}
	known := max(x.r.Now().UnixMicro(), at.Next+1)
	if known%1000 == 0 {
		known++ // record timestamps are whole milliseconds, and none is to be taken for a replay's
	}
	x.res.Known = known
	if !x.req.DryRun {
		if err := x.settleAt(ctx, at); err != nil {
			return err
		}
		if err := x.register(ctx, at); err != nil {
			return err
		}
		if table, err = x.positions(ctx); err != nil {
			return err
		}
	}
	x.table = map[partKey]int64{}
	for _, p := range table {
		x.table[partKey{p.TopicID, p.Partition}] = p.Next
	}
	x.since = time.Now()
	return nil
}

func (x *replayRun) positions(ctx context.Context) (at []feature.Position, err error) {
	err = retry(ctx, x.p.Log, "table of "+x.view.ID(), x.p.tried(x.o, "positions"), func(ctx context.Context) (err error) {
		at, err = x.o.Table.Positions(ctx)
		return err
	})
	return at, err
}

// settleAt lets the sinks bring themselves to where the replays stand.
func (x *replayRun) settleAt(ctx context.Context, at feature.Position) error {
	for _, s := range x.o.Sinks {
		if err := retry(ctx, x.p.Log, s.Name()+" of "+x.view.ID(), x.p.tried(x.o, "assign"), func(ctx context.Context) error {
			return s.Assign(ctx, []feature.Position{at})
		}); err != nil {
			return err
		}
	}
	return nil
}

// register records the request and moves the replays' position to its known time,
// from where its rows are numbered.
func (x *replayRun) register(ctx context.Context, at feature.Position) error {
	if err := x.p.held.Record(ctx, &quarantine.Replay{Project: x.view.Meta.Project, View: x.view.Meta.Name, Known: x.res.Known,
		Revision: x.res.Revision, By: x.req.By, Filter: x.req.Filter.String()}); err != nil {
		return err
	}
	if err := retry(ctx, x.p.Log, "quarantine", nil, x.p.held.Flush); err != nil {
		return err
	}
	// No row stands between the end of the last replay and here: whoever shows rows is told so.
	gap := feature.ReplayOrigin()
	gap.First, gap.Next = at.Next, x.res.Known
	none := array.NewRecordBuilder(memory.DefaultAllocator, x.view.Schema()).NewRecordBatch()
	defer none.Release()
	x.at, x.next = at, x.res.Known
	return x.commit(ctx, []*feature.Batch{{View: x.view, Rows: none, Origin: gap, Replay: &gap}})
}

// commit moves the position to next, and has the sinks that show rows at once take
// batches in when that has landed.
func (x *replayRun) commit(ctx context.Context, batches []*feature.Batch) error {
	c := &feature.Commit{ID: uuid.NewString(), View: x.view}
	to := x.at
	to.Next, to.Revision, to.Commit, to.Started = x.next, x.res.Revision, c.ID, x.res.Known
	c.Advances = []feature.Advance{{From: x.at, To: to, Drained: true}}
	for _, s := range x.o.Sinks {
		s.Cut(c)
	}
	for _, s := range x.o.Sinks {
		if err := retry(ctx, x.p.Log, s.Name()+" of "+x.view.ID(), x.p.tried(x.o, "stage"), func(ctx context.Context) error { return s.Stage(ctx, c) }); err != nil {
			discard([]*round{{outlet: x.o, commit: c}})
			return err
		}
	}
	if err := x.p.commit(ctx, x.o, c); err != nil {
		if feature.KindOf(err) == feature.Conflict {
			discard([]*round{{outlet: x.o, commit: c}})
		}
		return err
	}
	x.at = to
	// It has landed. Whoever asked may go; this is done first, unless a store does not answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	for _, s := range x.o.Sinks {
		if err := retry(ctx, x.p.Log, s.Name()+" of "+x.view.ID(), x.p.tried(x.o, "settle"), func(ctx context.Context) error {
			if shows(s) {
				for _, b := range batches {
					if err := s.Write(ctx, b); err != nil {
						return err
					}
				}
			}
			return s.Settle(ctx, c)
		}); err != nil {
			return feature.Errorf(feature.Unavailable, opReplay, "view "+x.view.ID(), "%s: %w", s.Name(), err).
				WithHint("the rows are in the table, and are brought there once it answers; ask again for the rest")
		}
	}
	return nil
}

func shows(s Sink) bool {
	w, ok := s.(Shower)
	return ok && w.Shows()
}

// entries calls fn with the entries that were asked for.
func (x *replayRun) entries(ctx context.Context, fn func(*quarantine.Entry) error) error {
	f := x.req.Filter
	f.States = []quarantine.State{quarantine.Held}
	taken := int64(0)
	err := x.r.Reader.Find(ctx, x.view, &f, x.r.Rows, func(done, total int64) {
		x.res.Scanned, x.res.Total = done, total
	}, func(e *quarantine.Entry, _ quarantine.State) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if x.req.Limit > 0 && taken == x.req.Limit {
			return errLimit
		}
		taken++
		return fn(e)
	})
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// undecided reports whether ingestion may yet judge the event again.
func (x *replayRun) undecided(e *quarantine.Entry) bool {
	next, known := x.table[partKey{e.TopicID, e.Partition}]
	return !known || e.Offset >= next
}

func (x *replayRun) replay(ctx context.Context) error {
	err := x.stand(ctx)
	if err == nil {
		err = x.compile()
	}
	if err != nil {
		return err
	}
	err = x.entries(ctx, func(e *quarantine.Entry) error {
		if x.undecided(e) {
			x.res.Undecided++
			return nil
		}
		if e.Omitted > 0 {
			found, err := x.fetch(ctx, e)
			if err != nil {
				return err
			}
			if !found {
				x.res.Lost++
				return nil
			}
		}
		x.chunk = append(x.chunk, e)
		if x.bytes += int64(len(e.Key) + len(e.Payload) + 256); len(x.chunk) < x.p.BatchRows && x.bytes < x.p.BatchBytes {
			return nil
		}
		return x.judge(ctx)
	})
	if err == nil {
		err = x.judge(ctx)
	}
	if err == nil {
		err = x.flush(ctx)
	}
	if err != nil && feature.KindOf(err) == feature.Conflict && ctx.Err() == nil {
		return movedOn(x.view, err)
	}
	return err
}

// compile makes the lanes: the view as it is today, and the known time of the replay.
func (x *replayRun) compile() error {
	x.lanes = map[bool]*lane{}
	for _, file := range []bool{false, true} {
		l := &lane{p: x.p, source: x.view.SourceOf, broken: x.res.Rules, stuck: new(atomic.Bool),
			options: decode.Options{Import: file, MaxEventBytes: x.p.MaxEventBytes, Known: x.res.Known}}
		if err := l.add(nil, x.o); err != nil {
			return err
		}
		if err := l.findFormat(); err != nil {
			return err
		}
		// Not from the pipeline's pool, which goes by source and view alone.
		o := l.options
		var err error
		if o.Schema, err = x.p.schemas.of(l.source); err != nil {
			return err
		}
		l.decs = &decoders{source: l.source, views: l.views, options: o}
		x.lanes[file] = l
	}
	return nil
}

// judge takes the chunk through schema and suite, a partition of the source at a time.
func (x *replayRun) judge(ctx context.Context) error {
	chunk := x.chunk
	x.chunk, x.bytes = nil, 0
	slices.SortFunc(chunk, func(a, b *quarantine.Entry) int {
		return cmp.Or(slices.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	for len(chunk) > 0 {
		n := 1
		for n < len(chunk) && chunk[n].TopicID == chunk[0].TopicID && chunk[n].Partition == chunk[0].Partition {
			n++
		}
		if err := x.judgeOf(ctx, chunk[:n]); err != nil {
			return err
		}
		chunk = chunk[n:]
	}
	if x.progress != nil {
		x.progress(x.res.ReplayProgress)
	}
	if x.p.buffered() < x.p.FlushBytes && x.weight < x.p.BatchBytes && time.Since(x.since) < x.p.FlushInterval {
		return nil
	}
	return x.flush(ctx)
}

// judgeOf judges entries of one partition, by ascending offsets.
func (x *replayRun) judgeOf(ctx context.Context, entries []*quarantine.Entry) error {
	first, last := entries[0], entries[len(entries)-1]
	origin := feature.Origin{Topic: first.Topic, TopicID: first.TopicID, Partition: first.Partition, First: first.Offset, Next: last.Offset + 1}
	recs := make([]*kgo.Record, len(entries))
	byOffset := make(map[int64]*quarantine.Entry, len(entries))
	for i, e := range entries {
		recs[i] = &kgo.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Timestamp: time.UnixMicro(e.Timestamp), Key: e.Key, Value: e.Payload}
		byOffset[e.Offset] = e
	}
	l := x.lanes[first.Partition == feature.ImportPartition]
	l.hold = func(now *quarantine.Entry) {
		e := *byOffset[now.Offset]
		e.Reasons, e.Revision = now.Reasons, now.Revision
		if e.Omitted > 0 {
			e.Payload = nil // it was read from the source for this once
		}
		if e.KeyOmitted > 0 {
			e.Key = nil
		}
		x.res.Held++
		x.held, x.weight = append(x.held, &e), x.weight+int64(len(e.Payload)+len(e.Key))
	}
	l.keep = func(b *feature.Batch) error { return x.take(ctx, b) }
	return l.process(ctx, origin, recs)
}

// take hands good rows to the sinks that wait for the commit, and keeps them for the others.
func (x *replayRun) take(ctx context.Context, b *feature.Batch) error {
	if x.req.DryRun {
		x.res.Replayed += int64(b.Len())
		return nil
	}
	o := feature.ReplayOrigin()
	o.First, o.Next = x.next, x.next+int64(b.Len())
	kept := *b
	kept.Replay = &o
	kept.Rows.Retain()
	x.rows, x.next = append(x.rows, &kept), o.Next
	for _, s := range x.o.Sinks {
		if shows(s) {
			continue
		}
		if err := retry(ctx, x.p.Log, s.Name()+" of "+x.view.ID(), x.p.tried(x.o, "write"), func(ctx context.Context) error { return s.Write(ctx, &kept) }); err != nil {
			return err
		}
	}
	return nil
}

// flush commits what was judged.
func (x *replayRun) flush(ctx context.Context) error {
	defer func() { x.since = time.Now() }()
	if x.req.DryRun {
		x.held, x.weight = nil, 0
		return nil
	}
	if len(x.rows) > 0 {
		if err := x.commit(ctx, x.rows); err != nil {
			return err
		}
		n := int64(0)
		for _, b := range x.rows {
			n += int64(b.Len())
		}
		x.res.Replayed += n
		x.p.Metrics.rows.WithLabelValues(x.view.Meta.Project, x.view.Meta.Name).Add(float64(n))
		x.drop()
	}
	if len(x.held) > 0 {
		if err := x.holdAgain(ctx); err != nil {
			return err
		}
	}
	if x.progress != nil {
		x.progress(x.res.ReplayProgress)
	}
	return nil
}

// holdAgain writes the entries that are still bad. One that somebody else has
// claimed meanwhile may be discarded by now.
func (x *replayRun) holdAgain(ctx context.Context) error {
	table, err := x.positions(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(table, func(p feature.Position) bool { return p.Same(x.at) && p.Commit == x.at.Commit }) {
		return feature.Errorf(feature.Conflict, opReplay, "", "the table stands elsewhere")
	}
	for _, e := range x.held {
		if err := x.p.held.Write(ctx, e); err != nil {
			return err
		}
	}
	if err := retry(ctx, x.p.Log, "quarantine", nil, x.p.held.Flush); err != nil {
		if feature.KindOf(err) == feature.Conflict {
			return feature.Errorf(feature.Invalid, opReplay, fmt.Sprintf("view %s", x.view.ID()), "%w", err)
		}
		return err
	}
	x.held, x.weight = nil, 0
	return nil
}

// drop lets the rows go that are kept.
func (x *replayRun) drop() {
	for _, b := range x.rows {
		b.Rows.Release()
	}
	x.rows = nil
}
