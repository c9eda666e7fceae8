package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// definition is one way in which events became rows of the view at some time.
type definition struct {
	view   *feature.View // with the source that judged
	schema *jsonschema.Schema
	format *format.Format // nil where payloads are the JSON of their events
	pick   []int          // of each column of the present view its place in view; -1: the view had none, rows have null; nil: the same
}

// definitions are the present one and, once they are asked for, all older ones.
// Rows stay in the table as the definition of their time made them, and which one
// that was is not written down for each row: any of them is right. Across a crash,
// or where workers learn of a change one after the other, a source judges that is
// not of the same revision as the columns, so every pair of the two counts. Safe
// for concurrent use.
type definitions struct {
	catalogs ingest.Catalogs
	formats  *format.Formats
	view     *feature.View
	upTo     int64 // the newest revision that the table's positions name; the catalog at hand may be older

	mu     sync.Mutex
	list   []*definition // guarded by mu; only grows, the present one first
	loaded bool          // guarded by mu
}

func newDefinitions(c ingest.Catalogs, f *format.Formats, v *feature.View) *definitions {
	return &definitions{catalogs: c, formats: f, view: v}
}

// present gives what is known without looking into the past.
func (d *definitions) present() ([]*definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.begin()
	return d.list, err
}

func (d *definitions) begin() error {
	if len(d.list) > 0 {
		return nil
	}
	schema, err := decode.CompileSchema(d.view.SourceOf)
	if err != nil {
		return feature.Errorf(feature.Invalid, op, "view "+d.view.ID(), "%w", err)
	}
	f, err := d.formats.Of(d.view.SourceOf)
	if err != nil {
		return err
	}
	d.list = []*definition{{view: d.view, schema: schema, format: f}}
	return nil
}

// all gives every definition the view ever had, newest first.
func (d *definitions) all(ctx context.Context) ([]*definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil || d.loaded || d.catalogs == nil {
		return d.list, err
	}
	views, err := d.past(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{printOf(d.view, d.view.SourceOf): true}
	schemas := map[string]*jsonschema.Schema{string(d.view.SourceOf.Schema): d.list[0].schema}
	list := d.list
	for i, now := range views {
		for _, judge := range slices.Concat(views[i:], views[:i]) {
			print := printOf(now, judge.SourceOf)
			if known[print] {
				continue
			}
			known[print] = true
			src := judge.SourceOf
			if _, ok := schemas[string(src.Schema)]; !ok {
				if schemas[string(src.Schema)], err = decode.CompileSchema(src); err != nil {
					return nil, feature.Errorf(feature.Invalid, op, "view "+d.view.ID(), "%w", err)
				}
			}
			f, err := d.formats.Of(src)
			if err != nil {
				return nil, err
			}
			v := *now
			v.SourceOf = src
			list = append(list, &definition{view: &v, schema: schemas[string(src.Schema)], format: f, pick: pickOf(d.view, &v)})
		}
	}
	d.list, d.loaded = list, true
	return list, nil
}

// pickOf finds the columns of the present view among those of another version, by
// what their values are kept under: renamed and widened ones are there, and so are
// narrower ones where the present view is not the newest.
func pickOf(now, then *feature.View) []int {
	cols := then.Columns()
	var pick []int
	for _, c := range now.Columns() {
		pick = append(pick, slices.IndexFunc(cols, func(o feature.Field) bool {
			return o.Stored() == c.Stored() && (o.Type.Widens(c.Type) || c.Type.Widens(o.Type))
		}))
	}
	return pick
}

// printOf is equal for definitions that decode every event alike.
func printOf(v *feature.View, s *feature.Source) string {
	type col struct{ Name, Type, Path string }
	var cols []col
	for _, c := range v.Columns() {
		cols = append(cols, col{c.Stored(), c.Type.String(), c.EventPath()})
	}
	b, _ := json.Marshal([]any{cols, s.Encoding(), s.EventTime, s.Created, s.Future(), string(s.Schema)}) // texts and numbers: it cannot fail
	return string(b)
}

// past finds the versions of the view and of what it is resolved from, newest
// first. Most revisions of a catalog change something else: where both ends of a
// range have the same versions, all between have.
func (d *definitions) past(ctx context.Context) ([]*feature.View, error) {
	cat, err := d.catalogs.Current(ctx)
	if err == nil && cat.Revision() < d.upTo {
		cat, err = d.catalogs.At(ctx, d.upTo)
	}
	if err != nil {
		return nil, err
	}
	type seen struct {
		view     *feature.View
		versions string
	}
	known := map[int64]seen{}
	at := func(rev int64) (seen, error) {
		if s, ok := known[rev]; ok {
			return s, nil
		}
		c := cat
		if rev != cat.Revision() {
			var err error
			if c, err = d.catalogs.At(ctx, rev); err != nil && feature.KindOf(err) != feature.NotFound {
				return seen{}, err
			}
		}
		var s seen
		if c != nil {
			if v, err := c.View(d.view.Meta.Project, d.view.Meta.Name); err == nil {
				s = seen{v, versionsOf(c, v)}
			}
		}
		known[rev] = s
		return s, nil
	}
	views, oldest, listed := []*feature.View{}, math.MaxInt, map[string]bool{}
	add := func(s seen) {
		if s.view != nil && !listed[s.versions] {
			listed[s.versions] = true
			views, oldest = append(views, s.view), min(oldest, s.view.Version)
		}
	}
	var walk func(lo, hi int64) error // revisions below hi and above lo, newest first
	walk = func(lo, hi int64) error {
		a, err := at(lo)
		if err != nil {
			return err
		}
		b, err := at(hi)
		// A view that is at neither end may have come and gone between, but not before its first version.
		if err != nil || hi-lo < 2 || a.versions == b.versions && (a.view != nil || oldest <= 1) {
			return err
		}
		mid := lo + (hi-lo)/2
		m, err := at(mid)
		if err != nil {
			return err
		}
		if err := walk(mid, hi); err != nil {
			return err
		}
		add(m)
		return walk(lo, mid)
	}
	now, err := at(cat.Revision())
	if err != nil {
		return nil, err
	}
	add(now)
	views = append(views, d.view)
	if cat.Revision() > 0 {
		if err := walk(0, cat.Revision()); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// versionsOf names the versions that a view is resolved from. They only go up,
// also for a definition that was deleted and made again.
func versionsOf(c *registry.Catalog, v *feature.View) string {
	p := v.Meta.Project
	s := fmt.Sprint(v.Version, " ", v.Source, c.Version(feature.Ref{Kind: feature.KindSource, Project: p, Name: v.Source}))
	for _, e := range v.Entities {
		s += fmt.Sprint(" ", e, c.Version(feature.Ref{Kind: feature.KindEntity, Project: p, Name: e}))
	}
	return s
}
