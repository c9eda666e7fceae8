package ingest

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/registry/feature"
)

// partition is one partition that this worker owns, and the goroutine that
// takes its records through decoding, checks and sinks, in offset order.
type partition struct {
	p      *Pipeline
	id     int32
	q      *queue
	ctx    context.Context // ends when the partition is lost, or given up too slowly
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended

	// mu is held while a chunk is processed and while a flush cuts, so that a
	// cut falls between two chunks. A flush waits for it only a little, and not at
	// all while a sink does not answer: that partition sits out the flush.
	mu       turn
	stuck    atomic.Bool  // in a sink that does not answer
	hand     atomic.Int64 // memory of the chunk that is processed: its records, and its columns
	next     int64        // guarded by mu; the first offset not processed
	views    []partView   // guarded by mu; one for each of Pipeline.Outlets
	lanes    []*lane      // guarded by mu; how the records from next on are judged; nil: to be built
	lanesEnd int64        // guarded by mu; lanes hold for offsets below this
	seen     atomic.Int64 // next, for those who only look
	idle     bool         // guarded by mu; no view goes on here, and nothing is fetched
	torn     error        // guarded by mu; a chunk failed half way, or the partition was given up: the sinks hold other rows than those below next, and none may be committed
}

// partView is where one view stands on one partition.
type partView struct {
	at        feature.Position // guarded by Pipeline.flushMu; in the table
	drained   bool             // guarded by Pipeline.flushMu; as told to the sinks by the last commit
	from      int64            // where the table stood at assignment; records below are not the view's. Never changes.
	committed atomic.Int64     // at.Next, for those who only look
	replay    int64            // below it an earlier owner may have judged events without a commit: the log's end at assignment, or where it paused. Never changes.
	stopped   error            // the view cannot go on here and needs a person. Never changes.
	acceptTo  int64            // below it somebody has accepted the events as they are, and no limit holds. Never changes.
	judge     *judge           // guarded by partition.mu; judges until the next cut; nil: the current view does

	refused  bool                  // guarded by partition.mu; the batch in hand was kept from it
	paused   atomic.Pointer[Pause] // why and where the view waits here; nil while it goes on
	noted    atomic.Bool           // the pause is remembered
	recalled atomic.Pointer[Pause] // what was remembered when the partition came, until the view is beyond it
}

func newPartition(p *Pipeline, id int32) *partition {
	ctx, cancel := context.WithCancel(context.Background())
	return &partition{p: p, id: id, q: newQueue(&p.mem.records), ctx: ctx, cancel: cancel, done: make(chan struct{}), mu: newTurn(), views: make([]partView, len(p.Outlets))}
}

// stop ends the goroutine: after the batch in hand when it is a handover and a
// sink takes it in time, at once when not. Entries for quarantine that are on
// their way stay on it until the caller, having flushed, cancels part.ctx.
func (part *partition) stop(handover bool) {
	part.q.close()
	if !handover {
		part.cancel()
	}
	select {
	case <-part.done:
	case <-time.After(lastBatch):
		part.cancel()
		<-part.done
	}
}

// stopAll stops partitions beside each other: sinks that hang do so for each.
func stopAll(parts []*partition, handover bool) {
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() { part.stop(handover) })
	}
	wg.Wait()
}

func (part *partition) run() {
	defer close(part.done)
	p := part.p
	for {
		select {
		case <-part.ctx.Done():
			return
		case <-part.q.wake:
		}
		for !part.q.isClosed() && part.ctx.Err() == nil {
			part.mu.lock()
			if part.ctx.Err() != nil { // while it waited
				part.mu.unlock()
				return
			}
			part.passGap()
			recs, cost := part.q.take(p.BatchRows, p.BatchBytes, part.boundary())
			part.hand.Add(cost)
			var err error
			if recs != nil {
				if err = part.guarded(recs); err == nil {
					err = part.ctx.Err() // what was sent to quarantine may not have left
				}
				part.torn = err
			}
			part.hand.Add(-cost)
			p.mem.records.Add(-cost)
			part.mu.unlock()
			if err != nil {
				if part.ctx.Err() == nil {
					p.fail(err)
				}
				return
			}
			if recs == nil {
				break
			}
			if !part.idle { // of this goroutine alone
				part.resumeBelow(p.share() / 2)
			}
			if p.buffered() >= p.FlushBytes {
				p.flushSoon()
			}
		}
		if part.q.isClosed() {
			return
		}
	}
}

// guarded is process. A panic in what belongs to Weir ends the pipeline and not
// the program: whatever it was, the chunk counts as torn and comes again.
func (part *partition) guarded(recs []*kgo.Record) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = feature.Errorf(feature.Internal, "ingest.process", fmt.Sprintf("%s/%d from %d", part.p.Source.Topic, part.id, recs[0].Offset), "panic: %v\n%s", r, debug.Stack())
		}
	}()
	return part.process(recs)
}

// pauseAbove stops fetching of this partition if more than limit bytes of it
// wait, resumeBelow goes on if no more do.
func (part *partition) pauseAbove(limit int64) {
	part.q.pauseAbove(limit, func() {
		part.p.cl.PauseFetchPartitions(map[string][]int32{part.p.Source.Topic: {part.id}})
		part.p.gaugePaused(part.id, true)
	})
}

func (part *partition) resumeBelow(limit int64) {
	part.q.resumeBelow(limit, func() {
		part.p.cl.ResumeFetchPartitions(map[string][]int32{part.p.Source.Topic: {part.id}})
		part.p.gaugePaused(part.id, false)
	})
}

// boundary is the smallest offset above next where another view joins in, or a limit
// holds again; a chunk never crosses it, so that all its records concern the same views.
func (part *partition) boundary() int64 {
	b := int64(math.MaxInt64)
	for i := range part.views {
		v := &part.views[i]
		if v.stopped != nil {
			continue
		}
		for _, at := range []int64{v.from, v.acceptTo} {
			if at > part.next {
				b = min(b, at)
			}
		}
	}
	return b
}

// passGap moves next over offsets that the log does not have, where a view joins
// among them: nothing is taken beyond that, and no record would ever bring next there.
func (part *partition) passGap() {
	head, ok := part.q.head()
	for b := part.boundary(); ok && b <= head; b = part.boundary() {
		part.next = b
		part.seen.Store(b)
	}
}

// process takes a chunk of records, in offset order, to the sinks.
func (part *partition) process(recs []*kgo.Record) error {
	p := part.p
	skip := 0
	for skip < len(recs) && recs[skip].Offset < part.next {
		skip++ // read again after a rebalance
	}
	if recs = recs[skip:]; len(recs) == 0 {
		return nil
	}
	if !part.pausedHere(true) {
		return nil
	}
	if part.lanes == nil || part.lanesEnd <= part.next {
		if err := part.buildLanes(); err != nil {
			return err
		}
	}
	events := 0
	for _, r := range recs {
		if !r.Attrs.IsControl() {
			events++
		}
	}
	origin := feature.Origin{Topic: p.Source.Topic, TopicID: p.topicID, Partition: part.id, First: part.next, Next: recs[len(recs)-1].Offset + 1}
	lanes := part.lanes
	if events > 0 {
		for _, l := range lanes {
			if err := l.process(part.ctx, origin, recs); err != nil {
				return err
			}
		}
	}
	goesOn := part.pausedHere(false)
	part.tellPassed(lanes, recs)
	if !goesOn {
		return nil
	}
	part.next = origin.Next
	part.seen.Store(origin.Next)
	p.Metrics.events.WithLabelValues(p.Source.Meta.Project, p.Source.Meta.Name).Add(float64(events))
	return nil
}

// buildLanes groups the views that take records from next on by who judges them.
func (part *partition) buildLanes() error {
	p := part.p
	part.lanes, part.lanesEnd = nil, part.boundary()
	type group struct {
		schema   string
		encoding string
		src      *feature.Source
	}
	groups := map[group]*lane{}
	for i := range part.views {
		pv := &part.views[i]
		if pv.stopped != nil || pv.paused.Load() != nil || pv.from > part.next {
			continue
		}
		v := p.Outlets[i].View
		k := group{string(v.SourceOf.Schema), v.SourceOf.Encoding(), nil}
		if pv.judge != nil {
			v = pv.judge.view
			k = group{string(v.SourceOf.Schema), v.SourceOf.Encoding(), v.SourceOf}
		}
		l := groups[k]
		if l == nil {
			l = &lane{p: p, part: part, source: v.SourceOf, stuck: &part.stuck, hand: &part.hand, options: decode.Options{MaxEventBytes: p.MaxEventBytes}}
			groups[k] = l
			part.lanes = append(part.lanes, l)
		}
		l.places = append(l.places, i)
		if err := l.add(pv.judge, p.Outlets[i]); err != nil {
			return err
		}
	}
	for _, l := range part.lanes {
		if err := l.compile(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) gaugeStopped(id int32, stopped bool) {
	v := 0.0
	if stopped {
		v = 1
	}
	p.Metrics.stopped.WithLabelValues(p.Source.Meta.Project, p.Source.Meta.Name, strconv.Itoa(int(id))).Set(v)
}

// forgetLags shows no lag of partitions that others have: what was last known of them would be added to
// what their owners show. They may have gone with a pipeline before this one, hence all are looked at.
func (p *Pipeline) forgetLags() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.count {
		if p.parts[int32(id)] == nil {
			p.Metrics.lag.DeleteLabelValues(p.Source.Meta.Project, p.Source.Meta.Name, strconv.Itoa(id))
		}
	}
}

func (p *Pipeline) gaugePaused(id int32, paused bool) {
	v := 0.0
	if paused {
		v = 1
	}
	p.Metrics.paused.WithLabelValues(p.Source.Meta.Project, p.Source.Meta.Name, strconv.Itoa(int(id))).Set(v)
}

func (p *Pipeline) tried(o *Outlets, step string) func() {
	return func() { p.Metrics.retries.WithLabelValues(o.View.Meta.Project, o.View.Meta.Name, step).Inc() }
}
