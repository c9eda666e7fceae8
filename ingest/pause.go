package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// A paused view stays where it is on every partition of this worker, while the
// other views of the source go on. How it goes on again is one way for all cases:
// the runner starts the source anew, and the view comes to its position as
// one does that fell behind.

// at is where a view stands on the partition, in memory: behind the others where it is paused.
func (part *partition) at(pv *partView) int64 {
	if x := pv.paused.Load(); x != nil {
		return x.Next
	}
	return part.next
}

// pausedHere pauses views on this partition at part.next: between two batches those
// that a batch elsewhere has brought above their limit, too, but where somebody has accepted
// what comes; after a batch only those that it was refused to, for the others have taken it. It reports whether a view is
// left that goes on. The caller holds part.mu.
func (part *partition) pausedHere(between bool) (goesOn bool) {
	p := part.p
	for i := range part.views {
		pv := &part.views[i]
		if pv.stopped != nil {
			continue
		}
		if pv.paused.Load() != nil {
			continue
		}
		if !pv.refused && (!between || max(pv.from, pv.acceptTo) > part.next || !p.guards[i].isPaused()) {
			goesOn = true
			continue
		}
		pv.refused = false
		pv.paused.Store(part.pauseOf(i))
		part.lanes = nil
	}
	if !goesOn && !part.idle {
		part.idle = true
		p.cl.PauseFetchPartitions(map[string][]int32{p.Source.Topic: {part.id}})
		p.gaugePaused(part.id, true)
	}
	return goesOn
}

// pauseOf describes the pause of view i on this partition.
func (part *partition) pauseOf(i int) *Pause {
	p, pv, g := part.p, &part.views[i], part.p.guards[i]
	v := p.Outlets[i].View
	judges := v
	if pv.judge != nil {
		judges = pv.judge.view
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return &Pause{
		Project: v.Meta.Project, View: v.Meta.Name, Topic: p.Source.Topic, TopicID: p.topicID, Partition: part.id, State: PauseStanding,
		Next: part.next, Clean: part.next >= pv.replay, Since: g.since, Rejected: g.over.Bad, Limit: g.limit, Events: g.n, Rules: g.over.Rules,
		JudgedBy: judgedBy(judges, v), Seen: g.over.seen,
	}
}

// tellPaused says that view i waits from now on.
func (p *Pipeline) tellPaused(i int, part int32, next int64) {
	o, g := p.Outlets[i], p.guards[i]
	g.mu.Lock()
	bad, rules, again := g.over.Bad, g.over.Rules, g.told || g.again
	g.mu.Unlock()
	p.gaugeRejects(i)
	if again {
		p.Log.Warn("view is still paused: its events are as bad as before", "view", o.View.ID(), "partition", part, "offset", next, "rules", rules)
		return
	}
	p.Log.Error("view paused: too many of its events would be held back", "view", o.View.ID(), "partition", part, "offset", next,
		"bad", bad, "of", g.n, "max_reject_rate", g.limit, "rules", rules,
		"hint", pauseHint(o.View.Meta.Project, o.View.Meta.Name))
}

func pauseHint(project, view string) string {
	at := "--view " + view
	if project != "default" {
		at += " --project " + project
	}
	return fmt.Sprintf("correct the suite, the schema or max_reject_rate and apply, or let it go on: weir resume %s, with --accept to take the bad events into quarantine", at)
}

// Text says why a view waits, with the ways out.
func (p *Pause) Text() string {
	if p.State == PauseAccepted {
		return fmt.Sprintf("bad events are accepted up to offset %d of partition %d, which is what there was when somebody resumed it", p.Until, p.Partition)
	}
	return fmt.Sprintf("paused since %s: more than %g of the last %d events would be held back; %s",
		feature.Time(p.Since).Format("2006-01-02 15:04:05Z"), p.Limit, p.Events, pauseHint(p.Project, p.View))
}

func (p *Pipeline) gaugeRejects(i int) {
	g, v := p.guards[i], p.Outlets[i].View
	if g == nil {
		return
	}
	paused := 0.0
	if g.isPaused() {
		paused = 1
	}
	p.Metrics.rejectPaused.WithLabelValues(v.Meta.Project, v.Meta.Name).Set(paused)
	p.Metrics.rejectRate.WithLabelValues(v.Meta.Project, v.Meta.Name).Set(g.share())
}

// recall finds out which pauses of view i stand on partitions that this worker has
// now, and prepares its guard for them. The caller holds flushMu; fresh are not running yet.
func (p *Pipeline) recall(ctx context.Context, i int, o *Outlets, fresh map[int32]*partition) error {
	var all []Pause
	var last Resumption
	g := p.guards[i]
	err := retry(ctx, p.Log, "pauses of "+o.View.ID(), p.tried(o, "pauses"), func(ctx context.Context) (err error) {
		if g != nil { // before the pauses: one that is resumed in between is resumed once more, and not missed
			if last, err = p.Pauses.Resumed(ctx, o.View.Meta.Project, o.View.Meta.Name); err != nil {
				return err
			}
		}
		all, err = p.Pauses.Of(ctx, o.View.Meta.Project, o.View.Meta.Name)
		return err
	})
	if err != nil {
		return err
	}
	if g != nil {
		g.knows(last.Number)
	}
	if g.isPaused() && !p.holdsPaused(i) {
		g.reset() // what paused it has gone to another worker
	}
	clean := map[int32]bool{}
	for _, x := range all {
		part := fresh[x.Partition]
		if part != nil && part.views[i].stopped != nil {
			continue
		}
		if x.TopicID != p.topicID { // of a topic that was made anew, or that the view no longer reads: nothing waits there
			p.bygone = append(slices.DeleteFunc(p.bygone, func(o Pause) bool { return o.same(&x) }), x)
			continue
		}
		if part == nil {
			continue
		}
		pv := &part.views[i]
		pv.recalled.Store(&x)
		if x.Clean = x.Clean && x.Next == pv.at.Next; x.Clean {
			pv.replay = x.Next
		}
		clean[x.Partition] = x.Clean
		if x.State == PauseStanding && g != nil && !g.isPaused() && x.JudgedBy == judgedBy(p.judges(i, pv, x.Clean), o.View) {
			g.seed(x.Since) // another one judges anew
		}
	}
	for id, part := range fresh {
		if pv := &part.views[i]; last.State == PauseAccepted && pv.stopped == nil && pv.at.Next < last.Ends[id] {
			at := Pause{Project: o.View.Meta.Project, View: o.View.Meta.Name, TopicID: p.topicID, Partition: id, Next: pv.at.Next,
				JudgedBy: judgedBy(p.judges(i, pv, clean[id]), o.View)}
			if last.Covers(&at) {
				pv.acceptTo = last.Ends[id]
			}
		}
	}
	p.gaugeRejects(i)
	return nil
}

// judges is the view as it judges on a partition that is fresh, where nothing has been
// judged beyond a pause that is clean.
func (p *Pipeline) judges(i int, pv *partView, clean bool) *feature.View {
	if pv.judge != nil && !(clean && pv.at.Revision < p.Revision) { // else fence hands over
		return pv.judge.view
	}
	return p.Outlets[i].View
}

// holdsPaused reports whether view i waits on a partition of this worker.
func (p *Pipeline) holdsPaused(i int) bool {
	for _, part := range p.owned() {
		if part.views[i].paused.Load() != nil {
			return true
		}
	}
	return false
}

// goesBeyond notes, before anything from a recalled pause on is judged for good,
// that this is so: from now on a worker that comes after this one has to judge
// those events as this one does.
func (p *Pipeline) goesBeyond(ctx context.Context, i int, pv *partView) error {
	x := pv.recalled.Load()
	if x == nil || !x.Clean {
		return nil
	}
	now := *x
	now.Clean = false
	err := retry(ctx, p.Log, "pauses of "+p.Outlets[i].View.ID(), p.tried(p.Outlets[i], "pauses"), func(ctx context.Context) (err error) {
		now, err = p.Pauses.Put(ctx, now)
		return err
	})
	if err == nil {
		pv.recalled.Store(&now)
	}
	return err
}

// notePauses brings what is remembered of pauses to where the views stand, and
// alerts. What fails is tried again at the next flush. The caller holds flushMu.
func (p *Pipeline) notePauses(ctx context.Context) {
	p.bygone = slices.DeleteFunc(p.bygone, func(x Pause) bool {
		err := p.goesOn(ctx, &x)
		if err != nil {
			p.Log.Warn("ending a pause of a topic that is gone; it is tried again", "view", x.Project+"/"+x.View, "partition", x.Partition, "err", err)
		}
		return err == nil
	})
	for i, o := range p.Outlets {
		g := p.guards[i]
		p.gaugeRejects(i)
		for _, part := range p.owned() {
			pv := &part.views[i]
			if pv.stopped != nil {
				continue
			}
			if err := p.notePause(ctx, pv, g); err != nil {
				p.Log.Warn("noting that a view pauses or goes on; it is tried again", "view", o.View.ID(), "partition", part.id, "err", err)
			}
		}
	}
}

func (p *Pipeline) notePause(ctx context.Context, pv *partView, g *guard) error {
	if x := pv.paused.Load(); x != nil {
		if pv.at.Next < x.Next {
			return nil // not before the table stands there
		}
		if !pv.noted.Load() {
			stored, err := p.Pauses.Put(ctx, *x)
			if err != nil {
				return err
			}
			x = &stored
			pv.paused.Store(x)
			pv.noted.Store(true)
		}
		if x.State != PauseStanding { // resumed before it was noted: mayGoOn finds out
			return nil
		}
		return p.alert(ctx, g, *x)
	}
	x := pv.recalled.Load()
	if x == nil || pv.at.Next <= x.Next || pv.at.Next < x.Until || x.State == PauseStanding && !g.calm() {
		return nil
	}
	if err := p.goesOn(ctx, x); err != nil {
		return err
	}
	pv.recalled.Store(nil)
	g.forget()
	return nil
}

// goesOn forgets a pause that is over; somebody hears of it when the view waits nowhere else.
func (p *Pipeline) goesOn(ctx context.Context, x *Pause) error {
	if x.State != PauseResumed { // first, so that of two workers one sees that it is the last
		over := *x
		over.State = PauseResumed
		if _, err := p.Pauses.Put(ctx, over); err != nil {
			return err
		}
	}
	all, err := p.Pauses.Of(ctx, x.Project, x.View)
	if err != nil {
		return err
	}
	others := slices.ContainsFunc(all, func(o Pause) bool { return o.State != PauseResumed && !o.same(x) })
	if p.Alert != nil && !others {
		e := Event{ID: fmt.Sprintf("resumed/%s/%s/%d", x.Project, x.View, x.Since), Type: EventResumed, Project: x.Project, View: x.View,
			Topic: x.Topic, At: time.Now().UnixMicro(), Events: x.Events, Limit: x.Limit, Partition: x.Partition, Accepted: x.State == PauseAccepted}
		if err := p.Alert.Alert(ctx, e); err != nil {
			return err
		}
	}
	if err := p.Pauses.Forget(ctx, *x); err != nil {
		return err
	}
	p.Log.Info("view goes on", "view", x.Project+"/"+x.View, "partition", x.Partition, "offset", x.Next)
	return nil
}

// alert tells of a pause, once for all partitions; what an earlier worker paused once more, for it may not have come to it.
func (p *Pipeline) alert(ctx context.Context, g *guard, x Pause) error {
	g.mu.Lock()
	told := g.told
	g.mu.Unlock()
	if told {
		return nil
	}
	if p.Alert != nil {
		if err := p.Alert.Alert(ctx, Event{ID: fmt.Sprintf("paused/%s/%s/%d", x.Project, x.View, x.Since), Type: EventPaused, Project: x.Project, View: x.View,
			Topic: x.Topic, At: x.Since, Rejected: x.Rejected, Events: x.Events, Limit: x.Limit, Rules: x.Rules, Partition: x.Partition}); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = true
	return nil
}

// mayGoOn reports whether somebody has resumed a view that waits here, or whether
// another judge has come to it.
func (p *Pipeline) mayGoOn(ctx context.Context) bool {
	if p.rejudge.Load() {
		return true
	}
	for i, o := range p.Outlets {
		if !p.guards[i].isPaused() {
			continue
		}
		all, err := p.Pauses.Of(ctx, o.View.Meta.Project, o.View.Meta.Name)
		if err != nil {
			continue
		}
		standing := map[int32]bool{}
		for _, x := range all {
			standing[x.Partition] = standing[x.Partition] || x.TopicID == p.topicID && x.State == PauseStanding
		}
		for _, part := range p.owned() {
			if x := part.views[i].paused.Load(); x != nil && part.views[i].noted.Load() && !standing[part.id] {
				return true
			}
		}
	}
	return false
}
