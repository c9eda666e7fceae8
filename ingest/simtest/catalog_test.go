package simtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// draft is the next catalog revision: definitions, and what they say of events.
type draft struct {
	*rules
	defs    []feature.Definition
	quality *feature.Quality
}

func (d *draft) source() {
	d.defs = append(d.defs, &feature.Source{Meta: feature.Meta{Project: "p", Name: topic}, Topic: topic,
		EventTime: feature.TimeField{Field: "at", Format: "unix_us"},
		Schema:    fmt.Appendf(nil, `{"type":"object","required":["id"],"properties":{"age":{"type":["integer","null"],"maximum":%d}}}`, d.ages)})
}

func (d *draft) bounds(view string, low, high int) {
	d.suite[view] = []int{low, high}
	d.defs = append(d.defs, &feature.Suite{Meta: feature.Meta{Project: "p", Name: view}, Expectations: []feature.Expectation{{
		Type: "expect_column_values_to_be_between", Kwargs: map[string]json.RawMessage{"column": json.RawMessage(`"score"`),
			"min_value": json.RawMessage(strconv.Itoa(low)), "max_value": json.RawMessage(strconv.Itoa(high))}}}})
}

func (d *draft) view(name string, online bool) {
	d.views[name] = true
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: name}, Source: topic, Entities: []string{"person"}, Online: &online,
		Features: []feature.Field{{Name: "age", Type: feature.Int64}, {Name: "score", Type: feature.Int64}, {Name: "tags", Type: feature.Array(feature.String)}}}
	if d.suite[name] != nil {
		v.Suite = name
	}
	v.Quality = d.quality
	d.defs = append(d.defs, v)
}

// define makes the next catalog revision.
func (w *world) define(choose func(d *draft)) {
	first := w.revision() == 0
	d := &draft{quality: w.limits.quality, rules: &rules{ages: 120, suite: map[string][]int{}, views: map[string]bool{}}}
	w.mu.Lock()
	if r := w.rules[w.revision()]; r != nil {
		d.ages, d.suite, d.views = r.ages, maps.Clone(r.suite), maps.Clone(r.views)
	}
	w.mu.Unlock()
	if first {
		d.defs = append(d.defs, &feature.Entity{Meta: feature.Meta{Project: "p", Name: "person"}, JoinKeys: []feature.Field{{Name: "id", Type: feature.String}}})
	}
	choose(d)
	done, err := w.cat.Apply(context.Background(), registry.Request{Definitions: d.defs, AllowBreaking: true})
	w.must(err)
	if len(done.Faults) > 0 {
		panic(fmt.Sprint(done.Faults))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules[w.revision()] = d.rules
	var names []string
	for _, x := range d.defs {
		names = append(names, string(x.Kind())+" "+x.GetMeta().Name)
	}
	w.noteLocked("revision %d: %s; ages to %d, scores %v", w.revision(), strings.Join(names, ", "), d.ages, d.suite)
}

// begin is the first revision.
func begin(r *rand.Rand) func(*draft) {
	return func(d *draft) {
		d.source()
		d.bounds("one", r.IntN(20), 60+r.IntN(40))
		d.view("one", true)
		if r.IntN(2) == 0 {
			d.view("two", false)
		}
	}
}

// change is any other.
func change(r *rand.Rand) func(*draft) {
	return func(d *draft) {
		low, high := r.IntN(20), 60+r.IntN(40)
		switch {
		case !d.views["three"] && r.IntN(2) == 0:
			d.bounds("three", low, high)
			d.view("three", r.IntN(2) == 0)
		case r.IntN(3) == 0:
			d.ages = 40 + r.Int64N(90)
			d.source()
		case d.views["two"] && d.suite["two"] == nil && r.IntN(2) == 0:
			d.bounds("two", low, high)
			d.view("two", false)
		default:
			d.bounds("one", low, high)
		}
	}
}

// revision is the catalog's newest.
func (w *world) revision() int64 {
	c, err := w.cat.Current(context.Background())
	w.must(err)
	return c.Revision()
}
