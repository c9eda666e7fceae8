package online

import (
	"fmt"
	"sync/atomic"

	"github.com/weir-ml/weir/registry/feature"
)

// Plan is a compiled lookup: which keys to ask for and where their cells go.
// It belongs to one resolved service and so to one catalog revision; compile
// a new one when the catalog has changed. Safe for parallel use.
type Plan struct {
	reader *Reader
	names  []string // of the columns
	types  []feature.Type
	viewOf []int // of the columns
	keys   []feature.Field
	views  []planView
}

// planView is one view of a plan.
type planView struct {
	view  *feature.View
	id    string
	keys  keyFormat
	use   []int // which of Plan.keys are its join keys
	want  []want
	first *projection // of the schema that is written now
	// older holds the projections of other schemas that values turned out to
	// have. Replaced as a whole; a lost update only means asking the store again.
	older atomic.Pointer[map[uint32]*projection]
}

// Compile makes the plan of a resolved service.
func (r *Reader) Compile(s *feature.Service) (*Plan, error) {
	p := &Plan{reader: r, views: make([]planView, len(s.Views))}
	what := "service " + s.Meta.Name
	for i, v := range s.Views {
		if !v.IsOnline() {
			return nil, feature.Errorf(feature.Invalid, "online.compile", what, "view %s is not served online", v.Meta.Name).
				WithHint("set spec.online: true on the view, or leave its features out")
		}
		pv := &p.views[i]
		pv.view, pv.id, pv.keys = v, viewID(v), newKeyFormat(v)
		for _, k := range v.Keys {
			at := -1
			for j := range p.keys {
				if p.keys[j].Name == k.Name {
					at = j
				}
			}
			if at < 0 {
				at = len(p.keys)
				p.keys = append(p.keys, feature.Field{Name: k.Name, Type: k.Type})
			} else if p.keys[at].Type != k.Type {
				return nil, feature.Errorf(feature.Invalid, "online.compile", what,
					"join key %s is %s in one view and %s in view %s", k.Name, p.keys[at].Type, k.Type, v.Meta.Name).
					WithHint("a service can only join views that agree on the types of their join keys")
			}
			pv.use = append(pv.use, at)
		}
	}
	for i, c := range s.Columns {
		pv := &p.views[c.View]
		pv.want = append(pv.want, want{feature: c.Feature, column: i})
		p.names = append(p.names, c.Name)
		p.types = append(p.types, pv.view.Features[c.Feature].Type)
		p.viewOf = append(p.viewOf, c.View)
	}
	for i := range p.views {
		pv := &p.views[i]
		pv.first = project(SchemaOf(pv.view), pv.view, pv.want)
	}
	return p, nil
}

// Keys are the join keys a lookup has to give, in the order Read takes them.
func (p *Plan) Keys() []feature.Field { return p.keys }

// projection returns how to read values of a schema, nil when it is not known yet.
func (v *planView) projection(schema uint32) *projection {
	if v.first.schema.ID == schema {
		return v.first
	}
	if m := v.older.Load(); m != nil {
		return (*m)[schema]
	}
	return nil
}

// learn adds a schema whose text came from the store.
func (v *planView) learn(id uint32, text string) (*projection, error) {
	if text == "" {
		return nil, fmt.Errorf("the store does not know schema %08x", id)
	}
	s, err := ParseSchema(id, text)
	if err != nil {
		return nil, err
	}
	p := project(s, v.view, v.want)
	next := map[uint32]*projection{id: p}
	if old := v.older.Load(); old != nil {
		for k, x := range *old {
			next[k] = x
		}
	}
	v.older.Store(&next)
	return p, nil
}

// reset makes the block fit the plan, keeping its memory.
func (p *Plan) reset(b *feature.Block, rows int) {
	b.Rows = rows
	if len(b.Views) != len(p.views) {
		b.Views = make([]feature.BlockView, len(p.views))
	}
	for i := range b.Views {
		v := &b.Views[i]
		v.View = p.views[i].view
		v.Status = zeroed(v.Status, rows)
		v.EventTime = zeroed(v.EventTime, rows)
	}
	if len(b.Columns) != len(p.names) {
		b.Columns = make([]feature.BlockColumn, len(p.names))
	}
	for i := range b.Columns {
		c := &b.Columns[i]
		c.Name, c.View = p.names[i], p.viewOf[i]
		c.Reset(p.types[i], rows)
	}
}

func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}
