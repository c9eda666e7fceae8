package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// assign is called by the group client when partitions are added, before
// anything is fetched from them. It finds where each view's table stands,
// brings the sinks there and returns where to read from: the smallest position
// of the views. Each view skips what it has already.
func (p *Pipeline) assign(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	select {
	case <-p.joined: // open has set the client
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	added := offsets[p.Source.Topic]
	if len(added) > 0 {
		if err := p.adopt(ctx, added); err != nil {
			if p.work.Err() == nil {
				p.Log.Error("cannot start partitions", "err", err)
			}
			if feature.KindOf(err) != feature.Unavailable && ctx.Err() == nil && p.work.Err() == nil {
				p.fail(err)
			}
			return nil, err
		}
	}
	if p.Ready != nil {
		p.Ready()
	}
	return offsets, nil
}

func (p *Pipeline) adopt(ctx context.Context, added map[int32]kgo.Offset) error {
	// The group's context lasts until the client is closed, which waits for this.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.work, cancel)()
	if !p.flushMu.lockWithin(ctx) { // no flush while the sinks are brought to their positions
		return ctx.Err()
	}
	defer p.flushMu.unlock()
	if p.over {
		return context.Canceled
	}
	if err := p.sameTopic(ctx); err != nil {
		return err
	}
	starts, ends, err := p.logBounds(ctx)
	if err != nil {
		return err
	}
	fresh := map[int32]*partition{}
	for id := range added {
		fresh[id] = newPartition(p, id)
	}
	for i, o := range p.Outlets {
		if err := p.adoptView(ctx, i, o, fresh, starts, ends); err != nil {
			return err
		}
	}
	var pause []int32
	for id, part := range fresh {
		from := int64(math.MaxInt64)
		for i := range part.views {
			if part.views[i].stopped == nil {
				from = min(from, part.views[i].from)
			}
		}
		if from == math.MaxInt64 { // no view can go on here
			pause = append(pause, id)
			from = ends[id]
		}
		part.next = from
		part.seen.Store(from)
		added[id] = kgo.NewOffset().At(from).WithEpoch(-1)
	}
	p.mu.Lock()
	for id, part := range fresh {
		p.parts[id] = part
		p.ends[id] = ends[id]
	}
	clear(p.pools) // those of older judges are not needed again; who uses one goes on with it
	p.mu.Unlock()
	for id, part := range fresh {
		p.gaugePaused(id, slices.Contains(pause, id))
		stopped := false
		for i := range part.views {
			stopped = stopped || part.views[i].stopped != nil
		}
		p.gaugeStopped(id, stopped)
	}
	p.forgetLags()
	p.cl.ResumeFetchPartitions(map[string][]int32{p.Source.Topic: keys(fresh)})
	if len(pause) > 0 {
		p.cl.PauseFetchPartitions(map[string][]int32{p.Source.Topic: pause})
	}
	for _, part := range fresh {
		go part.run()
	}
	p.Log.Info("reading", "topic", p.Source.Topic, "partitions", len(fresh))
	return nil
}

// adoptView finds where outlet i's table stands on the fresh partitions,
// registers those it does not know with a first commit, and tells the sinks.
func (p *Pipeline) adoptView(ctx context.Context, i int, o *Outlets, fresh map[int32]*partition, starts, ends map[int32]int64) error {
	var table []feature.Position
	err := retry(ctx, p.Log, "table of "+o.View.ID(), p.tried(o, "positions"), func(ctx context.Context) (err error) {
		table, err = o.Table.Positions(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(table, func(at feature.Position) bool {
		return fresh[at.Partition] != nil && at.TopicID == p.topicID && at.Next > ends[at.Partition]
	}) {
		// The owner before may have committed what came since the ends were listed.
		now, err := p.listEnds(ctx)
		if err != nil {
			return err
		}
		maps.Copy(ends, now)
	}
	first := &feature.Commit{ID: uuid.NewString(), View: o.View, Partitions: p.partitions()}
	for id, part := range fresh {
		pv := &part.views[i]
		at, stop := p.locate(table, id, starts[id], ends[id])
		pv.at, pv.stopped = at, stop
		if stop != nil {
			p.Log.Error("partition stopped", "view", o.View.ID(), "partition", id, "err", stop)
			continue
		}
		if at.Commit == "" {
			to := at
			to.Revision, to.Commit = p.Revision, first.ID
			first.Advances = append(first.Advances, feature.Advance{To: to, Drained: to.Next >= ends[id]})
			pv.at, pv.drained = to, to.Next >= ends[id]
		} else {
			pv.replay = ends[id]
		}
	}
	if len(first.Advances) > 0 {
		if err := p.register(ctx, o, first); err != nil {
			return err
		}
	}
	var at []feature.Position
	judges := map[int64]*judge{}
	for id, part := range fresh {
		if pv := &part.views[i]; pv.stopped == nil {
			pv.from = max(pv.at.Next, starts[id])
			pv.committed.Store(pv.at.Next)
			at = append(at, pv.at)
			j, known := judges[pv.at.Revision]
			if !known {
				if j, err = p.judgeAt(ctx, o.View, pv.at.Revision); err != nil {
					return err
				}
				judges[pv.at.Revision] = j
			}
			pv.judge = j
		}
	}
	if err := p.recall(ctx, i, o, fresh); err != nil {
		return err
	}
	for _, s := range o.Sinks {
		if err := retry(ctx, p.Log, s.Name()+" of "+o.View.ID(), p.tried(o, "assign"), func(ctx context.Context) error { return s.Assign(ctx, at) }); err != nil {
			return err
		}
	}
	return p.fence(ctx, i, o, fresh, ends)
}

// fence makes a commit without rows on partitions where an older revision judges
// what may have been judged before. An owner who died may have a commit on its way
// that hands over to another revision: landing after this worker has begun, it
// would have others judge what this one has shown. Now it finds the table moved.
func (p *Pipeline) fence(ctx context.Context, i int, o *Outlets, fresh map[int32]*partition, ends map[int32]int64) error {
	c := &feature.Commit{ID: uuid.NewString(), View: o.View, Partitions: p.partitions()}
	for id, part := range fresh {
		pv := &part.views[i]
		if pv.stopped != nil || pv.judge == nil {
			continue
		}
		to := pv.at
		to.Commit = c.ID
		if x := pv.recalled.Load(); x != nil && x.Clean && pv.at.Revision < p.Revision {
			to.Revision, pv.judge = p.Revision, nil // nothing has been judged that would have to be judged alike
		}
		c.Advances = append(c.Advances, feature.Advance{From: pv.at, To: to, Drained: to.Next >= ends[id]})
		pv.at, pv.drained = to, to.Next >= ends[id]
	}
	if len(c.Advances) == 0 {
		return nil
	}
	return p.register(ctx, o, c)
}

// register makes a commit without rows. The first of a partition names the
// revision that judges the first events, and tells the monitors of the partition.
func (p *Pipeline) register(ctx context.Context, o *Outlets, c *feature.Commit) error {
	for _, s := range o.Sinks {
		s.Cut(c)
	}
	return p.commitRound(ctx, &round{outlet: o, commit: c, cut: time.Now()})
}

// locate finds the table's position on a partition, or where a new one begins
// (a position with no Commit), or why the partition cannot go on.
func (p *Pipeline) locate(table []feature.Position, id int32, start, end int64) (feature.Position, error) {
	what := fmt.Sprintf("%s/%d", p.Source.Topic, id)
	fresh := feature.Position{Topic: p.Source.Topic, TopicID: p.topicID, Partition: id, Next: start}
	var other *feature.Position
	for i := range table {
		switch t := &table[i]; {
		case t.Partition != id || t.Topic != p.Source.Topic:
		case t.TopicID != p.topicID:
			other = t
		case t.Next < start:
			if p.TruncatedTopic == "skip" {
				p.Log.Warn("the log no longer has events that the table lacks; skipping them", "partition", id, "from", t.Next, "to", start)
				return *t, nil // the next commit moves the position over the gap
			}
			return *t, feature.Errorf(feature.Conflict, "ingest.assign", what,
				"the log begins at %d, but the table has events only below %d: those between are gone", start, t.Next).
				WithHint("set ingest.truncated_topic: skip to go on without them")
		case t.Next > end:
			return *t, feature.Errorf(feature.Conflict, "ingest.assign", what,
				"the log ends at %d, but the table has events up to %d: the log lost its end", end, t.Next).
				WithHint("restore the topic, or recreate it and set ingest.recreated_topic: start")
		default:
			return *t, nil
		}
	}
	if other != nil && p.RecreatedTopic == "stop" {
		return *other, feature.Errorf(feature.Conflict, "ingest.assign", what,
			"the topic was recreated: the table was written from topic id %s, this one is %s", hex.EncodeToString(other.TopicID[:]), hex.EncodeToString(p.topicID[:])).
			WithHint("set ingest.recreated_topic: start to read the new topic from its beginning as well")
	}
	return fresh, nil
}

func (p *Pipeline) logBounds(ctx context.Context) (starts, ends map[int32]int64, err error) {
	s, err := p.adm.ListStartOffsets(ctx, p.Source.Topic)
	if err == nil {
		err = s.Error()
	}
	if err != nil {
		return nil, nil, feature.Errorf(feature.Unavailable, "ingest.assign", "topic "+p.Source.Topic, "%w", err)
	}
	starts = map[int32]int64{}
	for _, o := range s[p.Source.Topic] {
		starts[o.Partition] = o.Offset
	}
	ends, err = p.listEnds(ctx)
	return starts, ends, err
}

func (p *Pipeline) listEnds(ctx context.Context) (map[int32]int64, error) {
	e, err := p.adm.ListCommittedOffsets(ctx, p.Source.Topic)
	if err == nil {
		err = e.Error()
	}
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "ingest.offsets", "topic "+p.Source.Topic, "%w", err)
	}
	ends := map[int32]int64{}
	for _, o := range e[p.Source.Topic] {
		ends[o.Partition] = o.Offset
	}
	return ends, nil
}

// revoke gives partitions up: finish the batch in hand, commit what is
// written (when they are only handed over, not lost), drop the rest.
func (p *Pipeline) revoke(ctx context.Context, m map[string][]int32, handover bool) {
	ids := m[p.Source.Topic]
	if len(ids) == 0 {
		return
	}
	var gone []*partition
	p.mu.Lock()
	for _, id := range ids {
		if part := p.parts[id]; part != nil {
			gone = append(gone, part)
		}
	}
	p.mu.Unlock()
	stopAll(gone, handover)
	p.flushMu.lock()
	defer p.flushMu.unlock()
	if handover {
		fctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		if err := p.flush(fctx, gone, 0); err != nil {
			p.Log.Warn("partitions given up before their last rows were committed; their next owner reads them again", "err", err)
		}
		cancel()
	}
	for _, part := range gone {
		part.mu.lock()
		part.torn = errGivenUp // a stop that waits for its last flush knows of the partition, too
		part.mu.unlock()
	}
	p.mu.Lock()
	for _, part := range gone {
		part.cancel()
		delete(p.parts, part.id)
	}
	p.mu.Unlock()
	for i, o := range p.Outlets {
		var at []feature.Position
		for _, part := range gone {
			at = append(at, part.views[i].at)
		}
		for _, s := range o.Sinks {
			s.Revoke(at)
		}
	}
	for _, part := range gone {
		p.gaugeStopped(part.id, false)
		p.gaugePaused(part.id, false)
	}
	p.forgetLags()
	p.Log.Info("gave up partitions", "partitions", len(gone), "handover", handover)
}

// errGivenUp is why a partition has nothing to commit any more.
var errGivenUp = errors.New("given up: the sinks have dropped its rows")

func keys[V any](m map[int32]V) []int32 {
	out := make([]int32, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
