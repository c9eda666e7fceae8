package serving

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
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

// Lookups is weir.v1.FeatureService. Plans are compiled once for each catalog
// revision and shared by all calls; a new revision starts with none.
type Lookups struct {
	weirv1.UnimplementedFeatureServiceServer
	catalogs Catalogs
	compile  Compiler
	cfg      Config
	met      *metrics
	plans    atomic.Pointer[plans]
	blocks   sync.Pool // *feature.Block
}

// plans are the compiled plans of one revision.
type plans struct {
	catalog *registry.Catalog
	byName  sync.Map // planKey -> *compiled
	lists   atomic.Int64
}

// compiled is a plan and how many features it reads.
type compiled struct {
	Plan
	columns int
}

// mostLists is how many lists of features keep their plans: models ask for few,
// but a list is the caller's invention, and inventions have no end.
const mostLists = 1000

type planKey struct{ project, service, features string }

// NewLookups makes the lookups of a server.
func NewLookups(s *Server, c Catalogs, compile Compiler) *Lookups {
	return &Lookups{catalogs: c, compile: compile, cfg: s.cfg, met: s.met, blocks: sync.Pool{New: func() any { return &feature.Block{} }}}
}

// Lookup answers one call.
func (l *Lookups) Lookup(ctx context.Context, req *weirv1.LookupRequest) (*weirv1.LookupResponse, error) {
	start := time.Now()
	project := req.Project
	if project == "" {
		project = registry.DefaultProject
	}
	cat, err := l.catalogs.Current(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := l.plan(cat, project, req)
	if err != nil {
		return nil, err
	}
	keys, rows, err := entities(plan.Keys(), req.Entities)
	if err != nil {
		return nil, err
	}
	if rows > l.cfg.MaxRows {
		return nil, feature.Errorf(feature.Exhausted, "lookup", "", "%d rows in one call; at most %d are answered", rows, l.cfg.MaxRows).WithHint("split the call, or raise serving.max_rows")
	}
	if n := rows * plan.columns; n > l.cfg.MaxValues {
		return nil, feature.Errorf(feature.Exhausted, "lookup", "", "%d values in one call; at most %d are answered", n, l.cfg.MaxValues).WithHint("split the call, or raise serving.max_values")
	}
	b := l.blocks.Get().(*feature.Block)
	defer l.blocks.Put(b)
	if err := plan.Read(ctx, keys, rows, b); err != nil {
		return nil, err
	}
	resp := encode(b, req)
	resp.CatalogRevision = cat.Revision()
	l.count(project, b)
	l.met.lookup.WithLabelValues(project, req.GetService()).Observe(time.Since(start).Seconds())
	return resp, nil
}

func (l *Lookups) count(project string, b *feature.Block) {
	for i := range b.Views {
		v := &b.Views[i]
		var n [8]int
		for _, s := range v.Status {
			n[s&7]++
		}
		for s, k := range n {
			if k > 0 {
				l.met.rows.WithLabelValues(project, v.View.Meta.Name, feature.Status(s).String()).Add(float64(k))
			}
		}
	}
}

// plan finds or compiles the plan of a request.
func (l *Lookups) plan(cat *registry.Catalog, project string, req *weirv1.LookupRequest) (*compiled, error) {
	ps := l.plans.Load()
	if ps == nil || ps.catalog != cat {
		ps = &plans{catalog: cat}
		l.plans.Store(ps) // two at once: the loser's plans are compiled again
	}
	k := planKey{project: project}
	switch w := req.What.(type) {
	case *weirv1.LookupRequest_Service:
		k.service = w.Service
	case *weirv1.LookupRequest_Features:
		k.features = strings.Join(w.Features.GetRefs(), "\n")
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
	c := &compiled{Plan: p, columns: len(s.Columns)}
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
