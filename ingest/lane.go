package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// lane is the views of one partition that the same schema judges: they share
// the decoding. Usually a partition has one lane.
type lane struct {
	p       *Pipeline
	source  *feature.Source
	views   []*feature.View
	judges  []*judge // nil where the view itself judges
	outlets []*Outlets
	part    *partition // nil in a replay and an import
	places  []int      // of the outlets among those of the pipeline; only with part
	shadows []*shadow  // nil where a view has none
	counted validate.Verdict
	suites  []checker // nil where a view has none
	options decode.Options
	format  *format.Format // nil where payloads are the JSON of their events
	decs    *decoders
	verdict validate.Verdict
	held    int64            // events held back so far, over all views
	broken  map[string]int64 // how many of them failed each rule; nil: not counted
	stuck   *atomic.Bool
	hand    *atomic.Int64 // of the partition; nil in a replay and an import

	// A replay takes what comes out into its own hands; nil elsewhere.
	hold func(*quarantine.Entry)
	keep func(*feature.Batch) error
}

// add makes the lane take the events of o's view; j may be nil.
func (l *lane) add(j *judge, o *Outlets) error {
	v := o.View
	if j != nil {
		v = j.view
	}
	l.views = append(l.views, v)
	l.judges = append(l.judges, j)
	l.outlets = append(l.outlets, o)
	l.shadows = append(l.shadows, l.p.Metrics.shadows.of(o.View))
	suite, err := l.p.suiteOf(o, j)
	if suite == nil {
		l.suites = append(l.suites, nil)
	} else {
		l.suites = append(l.suites, suite)
	}
	return err
}

// suiteOf gives the suite of a view as j judges it, or as it is now; all partitions share it.
func (p *Pipeline) suiteOf(o *Outlets, j *judge) (*expect.Suite, error) {
	if j != nil {
		j.compile.Do(func() { j.suite, j.err = compileSuite(j.view) })
		return j.suite, j.err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.suites[o]; ok {
		return s, nil
	}
	s, err := compileSuite(o.View)
	if err == nil {
		p.suites[o] = s
	}
	return s, err
}

func compileSuite(v *feature.View) (*expect.Suite, error) {
	if v.SuiteOf == nil {
		return nil, nil
	}
	s, faults := expect.CompileView(v.SuiteOf, v)
	if len(faults) > 0 {
		return nil, &feature.Error{Kind: feature.Invalid, Op: "ingest.suite", What: "suite " + v.Suite + " of view " + v.ID(), Err: feature.JoinFaults(faults)}
	}
	return s, nil
}

func (l *lane) compile() (err error) {
	if err := l.findFormat(); err != nil {
		return err
	}
	l.decs, err = l.p.decodersFor(l)
	return err
}

// findFormat learns how payloads are read. The rows of a file are JSON, whatever the stream's events are.
func (l *lane) findFormat() (err error) {
	if l.options.Import {
		return nil
	}
	if l.format, err = l.p.Formats.Of(l.source); l.format != nil {
		l.options.Format = l.format
	}
	return err
}

// schemasOf fetches the schemas that a chunk's payloads name. A registry that does not
// answer is waited for: without it nobody can tell a good event from a bad one.
func (l *lane) schemasOf(ctx context.Context, recs []*kgo.Record) error {
	if l.format == nil {
		return nil
	}
	waits := func(v bool) {
		if l.stuck != nil {
			l.stuck.Store(v)
		}
	}
	defer waits(false)
	for _, r := range recs {
		if r.Attrs.IsControl() {
			continue
		}
		id, missing := l.format.Missing(r.Value)
		if !missing {
			continue
		}
		if err := retry(ctx, l.p.Log, "schema registry", func() { waits(true) }, func(ctx context.Context) error { return l.format.Load(ctx, id) }); err != nil {
			return err
		}
	}
	return nil
}

// schemas are the compiled schemas of a pipeline, shared by its partitions: one,
// and those of older revisions while they judge.
type schemas struct {
	mu     sync.Mutex
	byText map[string]*jsonschema.Schema
}

func (s *schemas) of(src *feature.Source) (*jsonschema.Schema, error) {
	if len(src.Schema) == 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byText[string(src.Schema)]; c != nil {
		return c, nil
	}
	c, err := decode.CompileSchema(src)
	if err != nil {
		return nil, err
	}
	if s.byText == nil {
		s.byText = map[string]*jsonschema.Schema{}
	}
	s.byText[string(src.Schema)] = c
	return c, nil
}

// process decodes and checks a chunk, quarantines what is bad and writes the
// rest to the sinks of each view.
func (l *lane) process(ctx context.Context, origin feature.Origin, recs []*kgo.Record) error {
	results, err := l.decode(ctx, origin, recs)
	if err != nil {
		return err
	}
	return l.pass(ctx, origin, results, func(offset int64) *kgo.Record {
		return recs[sort.Search(len(recs), func(i int) bool { return recs[i].Offset >= offset })]
	})
}

// pass brings what was decoded on its way, view by view. event gives an event
// again, for quarantine.
func (l *lane) pass(ctx context.Context, origin feature.Origin, results []decode.Result, event func(offset int64) *kgo.Record) error {
	var columns int64
	for _, res := range results {
		columns += batchSize(res.Batch)
	}
	l.countColumns(columns)
	defer func() {
		l.countColumns(-columns)
		for _, res := range results {
			if res.Batch != nil {
				res.Batch.Rows.Release()
			}
		}
	}()
	for i := range results {
		if err := l.deliver(ctx, i, origin, event, results[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) countColumns(n int64) {
	l.p.mem.columns.Add(n)
	if l.hand != nil {
		l.hand.Add(n)
	}
}

// batchSize is the memory of a batch.
func batchSize(b *feature.Batch) int64 {
	if b == nil {
		return 0
	}
	n := int64(24*b.Len() + len(b.Tombstone))
	for _, c := range b.Rows.Columns() {
		for _, buf := range c.Data().Buffers() {
			if buf != nil {
				n += int64(cap(buf.Bytes()))
			}
		}
	}
	return n
}

// decode runs a decoder over the chunk. An event that makes it panic must not
// block its partition: the chunk is decoded again without that event, which
// goes to quarantine.
func (l *lane) decode(ctx context.Context, origin feature.Origin, recs []*kgo.Record) (res []decode.Result, err error) {
	if err := l.schemasOf(ctx, recs); err != nil {
		return nil, err
	}
	done, err := l.p.mayDecode(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	bad := map[int64]string{}
	for range len(recs) + 1 {
		dec, err := l.decs.get()
		if err != nil {
			return nil, err
		}
		at, fault := tryDecode(dec, recs, bad)
		if fault == "" {
			res = dec.Cut(origin)
			l.decs.put(dec)
			for i := range res {
				for off, why := range bad {
					res[i].Rejected = append(res[i].Rejected, decode.Rejected{Offset: off,
						Reasons: []feature.Reason{{Rule: feature.RuleDecode, Expected: "an event that Weir can decode; an internal fault stopped it: " + why}}})
				}
				rej := res[i].Rejected
				sort.Slice(rej, func(a, b int) bool { return rej[a].Offset < rej[b].Offset })
			}
			return res, nil
		}
		l.p.Log.Error("decoding an event failed inside Weir; it goes to quarantine", "partition", origin.Partition, "offset", at, "fault", fault)
		bad[at] = fault
	}
	return nil, feature.Errorf(feature.Internal, "ingest.decode", fmt.Sprintf("%s/%d@%d", origin.Topic, origin.Partition, origin.First), "every attempt failed")
}

func tryDecode(dec *decode.Decoder, recs []*kgo.Record, without map[int64]string) (at int64, fault string) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprint(r)
		}
	}()
	dec.Expect(len(recs))
	for _, r := range recs {
		if r.Attrs.IsControl() {
			continue
		}
		if _, skip := without[r.Offset]; skip {
			continue
		}
		at = r.Offset
		dec.Decode(decode.Record{Key: r.Key, Value: r.Value, Offset: r.Offset, Timestamp: r.Timestamp.UnixMicro()})
	}
	return 0, ""
}

// deliver takes one view's part of a chunk through its suite to quarantine and
// sinks; nowhere where that would bring it above its limit of bad events.
func (l *lane) deliver(ctx context.Context, i int, origin feature.Origin, event func(offset int64) *kgo.Record, res decode.Result) error {
	p, o, b := l.p, l.outlets[i], res.Batch
	var bad []heldEvent
	for _, rej := range res.Rejected {
		bad = append(bad, heldEvent{rej.Offset, rej.Reasons})
	}
	var good *feature.Batch
	if b != nil && b.Len() > 0 {
		var err error
		good, err = check(l.suites[i], b, &l.verdict, p, l.hold == nil && o.takesHeld(), func(offset int64, reasons []feature.Reason) error {
			bad = append(bad, heldEvent{offset, reasons})
			return nil
		})
		if err != nil {
			return err
		}
		if good != b {
			defer releaseBatch(good)
		}
	}
	slices.SortStableFunc(bad, func(x, y heldEvent) int { return cmp.Compare(x.offset, y.offset) })
	if pass, err := l.mayPass(ctx, i, res, bad); err != nil || !pass {
		return err
	}
	for _, h := range bad {
		if err := l.holdBack(ctx, i, origin, event(h.offset), h); err != nil {
			return err
		}
	}
	if good == nil {
		return nil
	}
	j := l.judges[i]
	projected := j != nil && j.pick != nil
	if l.shadows[i] != nil && l.hold == nil && l.keep == nil {
		all := b
		if projected {
			all = j.project(b, o.View)
			defer releaseBatch(all)
		}
		l.shadows[i].judge(all, &l.counted)
	}
	if projected {
		good = j.project(good, o.View)
		defer releaseBatch(good)
	}
	return l.write(ctx, o, good)
}

// mayPass reports whether what was judged of a view may go on its way; else the view pauses.
func (l *lane) mayPass(ctx context.Context, i int, res decode.Result, bad []heldEvent) (bool, error) {
	if l.part == nil {
		return true, nil
	}
	at := l.places[i]
	pv := &l.part.views[at]
	if g := l.p.guards[at]; g != nil && l.part.next >= pv.acceptTo &&
		!g.pass(ordered(res.Rejected, res.Batch, bad), func() map[string]int64 { return rulesOf(bad) }, time.Now().UnixMicro()) {
		pv.refused = true
		if g.crossed() {
			l.p.tellPaused(at, l.part.id, l.part.next)
		}
		return false, nil
	}
	return true, l.p.goesBeyond(ctx, at, pv)
}

// holdBack sends an event to quarantine.
func (l *lane) holdBack(ctx context.Context, i int, origin feature.Origin, r *kgo.Record, h heldEvent) error {
	p, v, revision := l.p, l.views[i], l.p.Revision
	if j := l.judges[i]; j != nil {
		revision = j.revision
	}
	l.held++
	l.count(h.reasons)
	h.reasons = v.Mask().Reasons(h.reasons) // what may not be shown is written down nowhere but in the payload
	e := &quarantine.Entry{
		Project: v.Meta.Project, View: v.Meta.Name, Topic: origin.Topic, TopicID: origin.TopicID, Partition: origin.Partition,
		Offset: h.offset, Timestamp: r.Timestamp.UnixMicro(), Revision: revision, Key: r.Key, Payload: r.Value, Reasons: h.reasons,
	}
	if l.hold != nil {
		l.hold(e)
		return nil
	}
	if p.Witness != nil && witnessed(r) {
		p.Witness.Held(l.outlets[i].View, r, h.reasons)
	}
	return holdBack(ctx, p.held, p.Metrics, e)
}

// count notes the rules that an event failed, each once.
func (l *lane) count(reasons []feature.Reason) {
	if l.broken == nil {
		return
	}
	for i, r := range reasons {
		if !slices.ContainsFunc(reasons[:i], func(o feature.Reason) bool { return o.Rule == r.Rule }) {
			l.broken[r.Rule]++
		}
	}
}

func holdBack(ctx context.Context, q *quarantine.Session, met *Metrics, e *quarantine.Entry) error {
	met.heldBack(e.Project, e.View, e.Reasons)
	return q.Write(ctx, e)
}

// write hands a good batch to every sink of the view, waiting for those that do not answer.
func (l *lane) write(ctx context.Context, o *Outlets, b *feature.Batch) error {
	if b.Len() == 0 && b.Held.Len() == 0 {
		return nil
	}
	if l.keep != nil {
		return l.keep(b)
	}
	p, tried := l.p, l.p.tried(o, "write")
	defer l.stuck.Store(false)
	for _, s := range o.Sinks {
		if b.Len() == 0 && !takesHeld(s) {
			continue
		}
		if err := retry(ctx, p.Log, s.Name()+" of "+o.View.ID(), func() { l.stuck.Store(true); tried() }, func(ctx context.Context) error { return s.Write(ctx, b) }); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		return nil
	}
	newest := b.Stamp(0).Effective()
	for i := range b.Len() {
		newest = max(newest, b.Stamp(i).Effective())
	}
	p.Metrics.rows.WithLabelValues(o.View.Meta.Project, o.View.Meta.Name).Add(float64(b.Len()))
	p.Metrics.seen(o.View, newest)
	return nil
}
