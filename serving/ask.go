package serving

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Catalogs gives the catalog in force.
type Catalogs interface {
	Current(ctx context.Context) (*registry.Catalog, error)
}

// Plan reads the features of a service from the online store. Keys are the join
// keys, in the order in which Read takes their values. The texts in a block that Read has
// filled are never written again, even when the block is.
type Plan interface {
	Keys() []feature.Field
	Read(ctx context.Context, keys []feature.Vector, rows int, b *feature.Block) error
}

// Compiler makes a plan of a resolved service.
type Compiler func(*feature.Service) (Plan, error)

// Question is one lookup, whatever wire it came over.
type Question struct {
	Project  string   // registry.DefaultProject where it is empty
	Service  string   // a service, or
	Features []string // features as "view:feature"
	// RequestID is the caller's own name of the inference that the values are for, as
	// long as 128 bytes; empty where it has none. It is logged with a sampled answer.
	RequestID string
	FirstRow  int // of the part of a request that this question is; for the log
	// Entities gives a vector for each join key, of its type and in this order, and
	// the number of rows, which all of them have.
	Entities func(keys []feature.Field) ([]feature.Vector, int, error)
	// Suits says what is wrong with asking this of the service, before the store is asked; nil where nothing can be.
	Suits func(*feature.Service) error
	found *found // the plan of a request whose parts this question is one of; nil: find one
}

// found is a plan, and the catalog's revision that it is of.
type found struct {
	*compiled
	revision int64
}

// Answer is what was found. Its block goes back to a pool at Release; only the texts in it may be kept.
type Answer struct {
	*feature.Block
	Service  *feature.Service // what was asked for, resolved
	Revision int64            // of the catalog
	lookups  *Lookups
	counts   *watched
	sampled  *sampled // nil where the answer is not logged
	clock    clock
}

// Release ends the use of the block. Call it once the answer is encoded and before it
// is sent: it ends the time that the lookup is said to have taken.
func (a *Answer) Release() {
	if a.lookups == nil {
		return
	}
	l := a.lookups
	a.clock.end(stageEncode)
	a.counts.answered(&a.clock, a.Block, len(a.Service.Columns))
	l.met.seen.inFlight.Dec()
	if !l.logged(a) {
		l.blocks.Put(a.Block)
	}
	a.lookups, a.Block = nil, nil
}

// Discard ends the use of a block in place of Release, where the caller gets err and nothing of the answer: the lookup counts as refused, and is
// not logged, for no model saw it.
func (a *Answer) Discard(err error) {
	if a.lookups == nil {
		return
	}
	l := a.lookups
	l.met.seen.refuse(err)
	if a.sampled != nil {
		l.log.jobs.Put(a.sampled)
	}
	l.blocks.Put(a.Block)
	a.lookups, a.Block = nil, nil
}

// logged hands the answer over to the log, where it is for it and has room.
func (l *Lookups) logged(a *Answer) bool {
	s := a.sampled
	if s == nil {
		return false
	}
	s.resolved, s.revision, s.block, s.blocks = a.Service, a.Revision, a.Block, &l.blocks
	return l.log.take(s)
}

// Lookups answers questions. Plans are compiled once for each catalog
// revision and shared by all calls; a new revision starts with none.
type Lookups struct {
	catalogs Catalogs
	compile  Compiler
	cfg      Config
	met      *metrics
	log      *Log // nil where nothing is logged
	plans    atomic.Pointer[plans]
	blocks   sync.Pool // *feature.Block
}

// plans are the compiled plans of one revision.
type plans struct {
	catalog *registry.Catalog
	byName  sync.Map // planKey -> *compiled
	lists   atomic.Int64
}

// compiled is a plan and the service it reads.
type compiled struct {
	Plan
	service *feature.Service
	counts  *watched
	logged  bool
}

// mostLists is how many lists of features keep their plans: models ask for few,
// but a list is the caller's invention, and inventions have no end.
const mostLists = 1000

const mostRequestID = 128

type planKey struct{ project, service, features string }

// NewLookups makes the lookups of a server.
func NewLookups(s *Server, c Catalogs, compile Compiler) *Lookups {
	return &Lookups{catalogs: c, compile: compile, cfg: s.cfg, met: s.met, blocks: sync.Pool{New: func() any { return &feature.Block{} }}}
}

// LogTo has answers logged. Call it before the first question.
func (l *Lookups) LogTo(g *Log) { l.log = g }

// errSmaller is what becomes of a part of a stream that is more than mostPartBytes: it is asked again in smaller parts.
var errSmaller = errors.New("too much for one part")

// Ask answers a question. A failure of the store is no error but the status of the
// rows it hit.
func (l *Lookups) Ask(ctx context.Context, q *Question) (a *Answer, err error) {
	l.met.seen.inFlight.Inc()
	defer func() {
		if err == errSmaller {
			l.met.seen.inFlight.Dec()
		} else if a == nil { // also where the call panics
			l.met.seen.refuse(err)
		}
	}()
	return l.ask(ctx, q)
}

func (l *Lookups) ask(ctx context.Context, q *Question) (*Answer, error) {
	t := clock{began: time.Now()}
	plan, err := l.find(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Suits != nil {
		if err := q.Suits(plan.service); err != nil {
			return nil, err
		}
	}
	t.end(stagePlan)
	keys, rows, err := q.Entities(plan.Keys())
	if err != nil {
		return nil, err
	}
	t.end(stageEntities)
	if rows > l.cfg.MaxRows {
		return nil, feature.Errorf(feature.Exhausted, "lookup", "", "%w", tooLarge(fmt.Sprintf("%d rows in one call; at most %d are answered", rows, l.cfg.MaxRows))).
			WithHint("split the call, use LookupStream, or raise serving.max_rows")
	}
	if n := rows * len(plan.service.Columns); n > l.cfg.MaxValues {
		return nil, feature.Errorf(feature.Exhausted, "lookup", "", "%w", tooLarge(fmt.Sprintf("%d values in one call; at most %d are answered", n, l.cfg.MaxValues))).
			WithHint("split the call, use LookupStream, or raise serving.max_values")
	}
	var s *sampled
	if plan.logged {
		if id := requestID(ctx, q.RequestID); l.log.chosen(id) {
			s = l.log.begin(q, id, plan.Keys(), keys)
		}
	}
	b := l.blocks.Get().(*feature.Block)
	if err := plan.Read(ctx, keys, rows, b); err != nil {
		l.blocks.Put(b)
		return nil, err
	}
	n := textBytes(b)
	if n > mostPartBytes && q.found != nil && rows > 1 {
		l.blocks.Put(b)
		return nil, errSmaller
	}
	if n > l.cfg.MaxMessage {
		l.blocks.Put(b)
		return nil, feature.Errorf(feature.Exhausted, "lookup", "", "%w", tooLarge(fmt.Sprintf("the texts and arrays of %d rows take %d bytes; at most %d are answered in one call", rows, n, l.cfg.MaxMessage))).
			WithHint("split the call, use LookupStream, or raise serving.max_message")
	}
	t.end(stageStore)
	if s != nil {
		s.at = t.began.Add(t.last)
	}
	return &Answer{Block: b, Service: plan.service, Revision: plan.revision, lookups: l, counts: plan.counts, sampled: s, clock: t}, nil
}

// textBytes is how much a block's texts and arrays take, of which there is no telling by the number of values.
func textBytes(b *feature.Block) (n int) {
	for i := range b.Columns {
		if c := &b.Columns[i]; c.Type.Variable() {
			for _, x := range c.Bytes {
				n += len(x)
			}
		}
	}
	return n
}

// find is the plan of a question, by the catalog of now.
func (l *Lookups) find(ctx context.Context, q *Question) (found, error) {
	if q.found != nil {
		return *q.found, nil
	}
	if q.Project == "" {
		q.Project = registry.DefaultProject
	}
	cat, err := l.catalogs.Current(ctx)
	if err != nil {
		return found{}, err
	}
	if len(q.RequestID) > mostRequestID {
		return found{}, feature.Errorf(feature.Invalid, "lookup", "request_id", "%d bytes long; at most %d are taken", len(q.RequestID), mostRequestID)
	}
	p, err := l.plan(cat, q)
	return found{p, cat.Revision()}, err
}

// plan finds or compiles the plan of a question.
func (l *Lookups) plan(cat *registry.Catalog, q *Question) (*compiled, error) {
	ps := l.plans.Load()
	if ps == nil || ps.catalog != cat {
		ps = &plans{catalog: cat}
		l.plans.Store(ps) // two at once: the loser's plans are compiled again
		l.met.seen.sweep(cat)
	}
	k := planKey{project: q.Project, service: q.Service}
	if k.service == "" {
		k.features = strings.Join(q.Features, "\n")
	}
	if k.service == "" && k.features == "" {
		return nil, feature.Errorf(feature.Invalid, "lookup", "", "the request names neither a service nor features")
	}
	if p, ok := ps.byName.Load(k); ok {
		return p.(*compiled), nil
	}
	s, err := service(cat, k)
	if err != nil {
		return nil, err
	}
	p, err := l.compile(s)
	if err != nil {
		return nil, err
	}
	c := &compiled{Plan: p, service: s, counts: l.met.seen.watch(k.project, k.service, s)}
	c.logged = l.log != nil && l.log.covers(k.project, k.service)
	if k.service != "" || ps.lists.Add(1) <= mostLists {
		ps.byName.Store(k, c)
	}
	return c, nil
}

// service finds the service of a request, or makes one of its list of features.
func service(cat *registry.Catalog, k planKey) (*feature.Service, error) {
	if k.service != "" {
		return cat.Service(k.project, k.service)
	}
	s := &feature.Service{Meta: feature.Meta{Project: k.project, Name: "request"}, Features: strings.Split(k.features, "\n")}
	faults := s.Check()
	if len(faults) == 0 {
		faults = s.Resolve(func(name string) *feature.View {
			v, err := cat.View(k.project, name)
			if err != nil {
				return nil
			}
			return v
		})
	}
	if len(faults) > 0 {
		return nil, feature.Errorf(feature.NotFound, "lookup", "features", "%s", faults[0].Msg)
	}
	return s, nil
}
