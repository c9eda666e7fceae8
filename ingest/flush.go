package ingest

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

// flushLoop commits every interval, and earlier when the sinks hold enough.
func (p *Pipeline) flushLoop(ctx, flushing context.Context) {
	t := time.NewTicker(p.FlushInterval)
	defer t.Stop()
	looked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-p.kick:
		}
		if ctx.Err() != nil {
			return
		}
		p.refreshEnds(ctx)
		var gone error // the rows in hand are committed before they are all that is left of a topic
		look := time.Since(looked) >= min(lookAtTopic, 100*p.FlushInterval)
		if look {
			looked = time.Now()
			if err := p.sameTopic(ctx); err != nil && feature.KindOf(err) != feature.Unavailable && ctx.Err() == nil {
				gone = err
			}
		}
		p.flushMu.lock()
		err := p.flush(flushing, nil, 0)
		if err == nil {
			p.notePauses(flushing)
		}
		if err == nil && gone == nil && look {
			gone = p.wentBack(flushing)
		}
		p.flushMu.unlock()
		if gone != nil {
			p.fail(gone)
		}
		if err != nil || gone != nil {
			return
		}
	}
}

// lookAtTopic is how often a pipeline looks whether its topic is still there and
// the same, and its tables where it left them.
const lookAtTopic = 10 * time.Second

// finish is the end of Run: what was processed is committed, and nothing after it.
func (p *Pipeline) finish(ctx context.Context, clean bool, next func() int64) {
	parts := p.owned()
	stopAll(parts, clean)
	p.flushMu.lock()
	defer p.flushMu.unlock()
	if clean {
		revision := int64(0)
		if next != nil {
			revision = next()
		}
		if err := p.flush(ctx, parts, revision); err != nil {
			p.Log.Warn("stopped before the last rows were committed; they are read again at the next start", "err", err)
		} else {
			p.notePauses(ctx)
		}
	}
	p.over = true
	for _, part := range parts {
		part.cancel()
	}
}

// refreshEnds learns the end of the log, for the lag and for drained partitions.
func (p *Pipeline) refreshEnds(ctx context.Context) {
	lctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ends, err := p.listEnds(lctx)
	if err != nil {
		return // the lag keeps its last value; polling reports the outage
	}
	p.mu.Lock()
	for id := range p.parts {
		p.ends[id] = ends[id]
	}
	p.mu.Unlock()
}

// round is one flush: a commit for each view that has something to say.
type round struct {
	outlet *Outlets
	index  int
	commit *feature.Commit
	cut    time.Time
}

// flush commits what has been processed. Given partitions (they have ended)
// are all cut; with none given, every owned partition that comes to the end of a
// chunk soon. revision, when not 0, is the catalog revision that will judge what
// follows. The caller holds flushMu.
func (p *Pipeline) flush(ctx context.Context, ended []*partition, revision int64) (err error) {
	if p.over {
		return nil
	}
	rounds, cut, waiting := p.cut(ended, revision)
	defer unlockAll(waiting)
	if len(rounds) == 0 {
		if p.untold && ended == nil {
			p.commitGroup(ctx, nil)
		}
		return nil
	}
	defer func() {
		if err != nil {
			p.over = true
			p.fail(err)
			for _, part := range waiting {
				part.cancel() // the judge that it waited for never comes
			}
		}
	}()
	if err := retry(ctx, p.Log, "quarantine", nil, p.held.Flush); err != nil {
		discard(rounds)
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, r := range rounds {
		g.Go(func() error {
			if err := p.commitRound(gctx, r); err != nil {
				return err
			}
			p.landed(r, cut)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	p.commitGroup(ctx, cut)
	return nil
}

// cut draws the line: it locks each partition between two chunks, notes how far
// it is, and lets the sinks close the rows written so far. Those in waiting stay
// locked until the commit has landed: from the cut on another revision judges
// there, and it must not before the table says so.
func (p *Pipeline) cut(ended []*partition, revision int64) (rounds []*round, all, waiting []*partition) {
	locked := ended
	if ended == nil {
		patience, cancel := context.WithTimeout(context.Background(), min(time.Second, p.FlushInterval/4))
		defer cancel()
		for _, part := range p.owned() {
			if part.mu.tryLock() || !part.stuck.Load() && part.mu.lockWithin(patience) {
				locked = append(locked, part)
			}
		}
	} else {
		for _, part := range ended {
			part.mu.lock()
		}
	}
	if revision == 0 {
		revision = p.Revision
	}
	var free []*partition
	for _, part := range locked {
		if part.changesJudge(revision) {
			waiting = append(waiting, part)
		} else {
			free = append(free, part)
		}
	}
	defer unlockAll(free)
	p.mu.Lock()
	ends, count := make(map[int32]int64, len(locked)), p.count
	for _, part := range locked {
		ends[part.id] = p.ends[part.id]
		p.Metrics.lag.WithLabelValues(p.Source.Meta.Project, p.Source.Meta.Name, strconv.Itoa(int(part.id))).Set(float64(max(0, ends[part.id]-part.next)))
	}
	p.mu.Unlock()
	for i, o := range p.Outlets {
		c := &feature.Commit{ID: uuid.NewString(), View: o.View, Partitions: count}
		for _, part := range locked {
			if a, ok := part.advance(i, ends[part.id], revision, c.ID); ok {
				c.Advances = append(c.Advances, a)
			}
		}
		if len(c.Advances) == 0 {
			continue
		}
		for _, s := range o.Sinks {
			s.Cut(c)
		}
		rounds = append(rounds, &round{outlet: o, index: i, commit: c, cut: time.Now()})
	}
	return rounds, locked, waiting
}

// changesJudge reports whether another revision judges after the next cut. The
// caller holds part.mu and flushMu.
func (part *partition) changesJudge(revision int64) bool {
	for i := range part.views {
		if pv := &part.views[i]; pv.judge != nil && part.mayHandOver(pv, revision) {
			return true
		}
	}
	return false
}

// mayHandOver reports whether events from where pv stands may be judged by a
// revision other than the one that pv's position names: not by an older one, of
// a worker that has not heard of the change yet; and not before everything has come
// again that an earlier owner may have judged, and held back, without a commit.
func (part *partition) mayHandOver(pv *partView, revision int64) bool {
	return pv.at.Revision < revision && part.at(pv) >= pv.replay
}

func unlockAll(parts []*partition) {
	for _, part := range parts {
		part.mu.unlock()
	}
}

// advance is what a commit has to say about view i on this partition; nothing
// when it stands where it stood. The caller holds part.mu.
func (part *partition) advance(i int, end, revision int64, id string) (feature.Advance, bool) {
	pv := &part.views[i]
	if pv.stopped != nil || part.torn != nil {
		return feature.Advance{}, false
	}
	to := pv.at
	next := part.at(pv)
	to.Next, to.Commit = max(next, pv.at.Next), id
	drained := next >= end
	handsOver := pv.judge != nil && part.mayHandOver(pv, revision)
	if handsOver || pv.judge == nil && next >= pv.replay {
		to.Revision = revision
	}
	if to.Next == pv.at.Next && drained == pv.drained && !handsOver && (to.Revision == pv.at.Revision || revision == part.p.Revision) {
		return feature.Advance{}, false
	}
	if handsOver { // what follows this cut is judged by the current revision
		pv.judge, part.lanes = nil, nil
		if pv.paused.Load() != nil {
			part.p.rejudge.Store(true)
		}
	}
	return feature.Advance{From: pv.at, To: to, Drained: drained}, true
}

func (p *Pipeline) commitRound(ctx context.Context, r *round) error {
	o, c := r.outlet, r.commit
	for _, s := range o.Sinks {
		if err := retry(ctx, p.Log, s.Name()+" of "+o.View.ID(), p.tried(o, "stage"), func(ctx context.Context) error { return s.Stage(ctx, c) }); err != nil {
			discard([]*round{r})
			return err
		}
	}
	if err := p.commit(ctx, o, c); err != nil {
		if feature.KindOf(err) == feature.Conflict {
			discard([]*round{r})
		}
		return err
	}
	for _, s := range o.Sinks {
		if err := retry(ctx, p.Log, s.Name()+" of "+o.View.ID(), p.tried(o, "settle"), func(ctx context.Context) error { return s.Settle(ctx, c) }); err != nil {
			return err // Assign settles it when the pipeline starts again
		}
	}
	p.Metrics.flush.WithLabelValues(o.View.Meta.Project, o.View.Meta.Name).Observe(time.Since(r.cut).Seconds())
	return nil
}

func (p *Pipeline) commit(ctx context.Context, o *Outlets, c *feature.Commit) error {
	err := retry(ctx, p.Log, "table of "+o.View.ID(), p.tried(o, "commit"), func(ctx context.Context) error { return o.Table.Commit(ctx, c) })
	if err == nil {
		p.Metrics.committed.WithLabelValues(o.View.Meta.Project, o.View.Meta.Name).Set(float64(time.Now().UnixMilli()) / 1000)
	}
	return err
}

func discard(rounds []*round) {
	for _, r := range rounds {
		for _, s := range r.outlet.Sinks {
			s.Discard(r.commit)
		}
	}
}

// landed notes where the table stands after a round.
func (p *Pipeline) landed(r *round, cut []*partition) {
	for _, part := range cut {
		if a := r.commit.Advance(p.topicID, part.id); a != nil {
			part.views[r.index].at, part.views[r.index].drained = a.To, a.Drained
			part.views[r.index].committed.Store(a.To.Next)
		}
	}
}

// commitGroup tells the group how far all views are. It is a hint for lag
// tools and audits only, so a failure (a rebalance, say) is made up for later: with
// the next commit, or while there is none, at the next look.
func (p *Pipeline) commitGroup(ctx context.Context, cut []*partition) {
	if p.untold {
		cut = p.owned()
	}
	m := map[int32]kgo.EpochOffset{}
	for _, part := range cut {
		low := int64(-1)
		for i := range part.views {
			if pv := &part.views[i]; pv.stopped == nil && (low < 0 || pv.at.Next < low) {
				low = pv.at.Next
			}
		}
		if low >= 0 {
			m[part.id] = kgo.EpochOffset{Epoch: -1, Offset: low}
		}
	}
	p.untold = false
	if len(m) == 0 {
		return
	}
	cctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cctx = kgo.PreCommitFnContext(cctx, p.tell(cut))
	p.cl.CommitOffsetsSync(cctx, map[string]map[int32]kgo.EpochOffset{p.Source.Topic: m},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			p.untold = err != nil
			if resp == nil {
				return
			}
			for _, t := range resp.Topics {
				for _, x := range t.Partitions {
					p.untold = p.untold || x.ErrorCode != 0
				}
			}
		})
}
