package feastredis

import (
	"bytes"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// View says which of Feast's feature views is read, and what its values become.
type View struct {
	Name     string          // Feast's
	Keys     []feature.Field // the join keys, by Feast's names, with the types that are wanted
	Features []feature.Field // by Feast's names, with the types that are wanted
}

// Row is a view's row of one entity. Keys and Values are as value.convert has them,
// in the order of the view's fields.
type Row struct {
	Time   int64 // of the event, microseconds UTC
	Keys   []any
	Values []any
	Absent []bool // the hash has no such field: Feast did not know the feature when it wrote the row
}

// Reader takes hashes apart into rows. It is for one goroutine.
type Reader struct {
	project string
	views   []*viewReader
	byTime  map[string]*viewReader // by the field of the event time
	keySets []*keySet
	report  Report
}

// keySet is the views that have the same join keys.
type keySet struct {
	names    []string // sorted
	prefixes [][]byte // of keys, newest version first
	views    []*viewReader
}

type viewReader struct {
	at     int // in views
	view   View
	set    *keySet
	order  []int // of the view's keys: where it stands in the set's names
	fields []string
	report *ViewReport
}

// NewReader makes a reader of a project's hashes.
func NewReader(project string, views []View) *Reader {
	r := &Reader{project: project, byTime: map[string]*viewReader{}, report: newReport()}
	for i, v := range views {
		names := make([]string, len(v.Keys))
		for k, f := range v.Keys {
			names[k] = f.Name
		}
		slices.Sort(names)
		x := &viewReader{at: i, view: v, report: newViewReport(v)}
		r.report.Views = append(r.report.Views, x.report)
		for _, f := range v.Keys {
			x.order = append(x.order, slices.Index(names, f.Name))
		}
		for _, f := range v.Features {
			x.fields = append(x.fields, FeatureField(v.Name, f.Name))
		}
		at := slices.IndexFunc(r.keySets, func(s *keySet) bool { return slices.Equal(s.names, names) })
		if at < 0 {
			at = len(r.keySets)
			r.keySets = append(r.keySets, &keySet{names: names, prefixes: [][]byte{keyPrefix(3, names), keyPrefix(2, names)}})
		}
		x.set = r.keySets[at]
		x.set.views = append(x.set.views, x)
		r.views, r.byTime[TimeField(v.Name)] = append(r.views, x), x
	}
	return r
}

// Report is what was found so far.
func (r *Reader) Report() *Report { return &r.report }

// entity is what a key says.
type entity struct {
	set    *keySet // nil: no view has these join keys
	names  []string
	values []keyValue
}

func (e *entity) String() string { return showEntity(e.names, e.values) }

// Wants reports whether a key is one of the project's, so that its hash is to be
// fetched; it counts those that are not.
func (r *Reader) Wants(key []byte) bool {
	r.report.Keys++
	_, ok := r.entity(key, true)
	return ok
}

// entity reads a key; false when it is not one of the project's.
func (r *Reader) entity(key []byte, count bool) (e entity, ok bool) {
	for _, s := range r.keySets {
		if values, project, ok := entityOf(key, s.prefixes, len(s.names)); ok {
			if string(project) == r.project {
				return entity{s, s.names, values}, true
			}
			if count {
				r.report.other(string(project))
			}
			return e, false
		}
	}
	if names, values, project, ok := entityNames(key); ok {
		if string(project) == r.project {
			return entity{nil, names, values}, true
		}
		if count {
			r.report.other(string(project))
		}
		return e, false
	}
	if name, ok := olderName(key); ok && bytes.HasSuffix(key, []byte(r.project)) {
		return entity{nil, []string{name}, nil}, true
	}
	return e, false
}

// Read takes one hash apart, and hands each row to found with its view's place in
// the list that the reader was made with.
func (r *Reader) Read(key []byte, hash map[string]string, found func(view int, row Row) error) error {
	e, ok := r.entity(key, false)
	if !ok || len(hash) == 0 { // it expired meanwhile
		return nil
	}
	rest, foreign := 0, false // fields that are accounted for; those of views that are not read
	for field := range hash {
		name, isTime := strings.CutPrefix(field, timePrefix)
		if !isTime {
			continue
		}
		rest++
		x := r.byTime[field]
		switch {
		case x == nil:
			foreign = true
			r.report.unread(name)
		case x.set != e.set:
			foreign = true
			x.report.Entities++
			x.report.skip("", "the join keys are "+strings.Join(e.names, ", ")+" in Feast, "+strings.Join(x.set.names, ", ")+" in Weir", e.show())
		}
	}
	if e.set == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, x := range e.set.views {
		for _, f := range x.fields {
			if _, ok := hash[f]; ok && !seen[f] {
				seen[f] = true
				rest++
			}
		}
		row, ok := x.read(&e, hash)
		if !ok {
			continue
		}
		x.report.Read++
		if err := found(x.at, row); err != nil {
			return err
		}
	}
	if rest < len(hash) && !foreign {
		r.report.leftOver(hash, seen)
	}
	return nil
}

// read makes the view's row; false where there is none, or none that can be read.
func (x *viewReader) read(e *entity, hash map[string]string) (row Row, ok bool) {
	stamp, timed := hash[TimeField(x.view.Name)]
	there := slices.ContainsFunc(x.fields, func(f string) bool { _, ok := hash[f]; return ok })
	if !timed && !there {
		return row, false
	}
	x.report.Entities++
	refuse := func(field, why string) { x.report.skip(field, why, e.show()) }
	if !timed {
		refuse("", "there are values, but no event time")
		return row, false
	}
	if !there {
		refuse("", "none of the view's features are there under the names that Weir has for them")
		return row, false
	}
	whole := true
	var err error
	if row.Time, err = readTime(stamp); err != nil {
		refuse("", "the event time cannot be read: "+err.Error())
		whole = false
	}
	for i, f := range x.view.Keys {
		v, err := e.values[x.order[i]].convert(f.Type)
		if err != nil {
			refuse(f.Name, err.Error())
			whole = false
		}
		row.Keys = append(row.Keys, v)
	}
	row.Values, row.Absent = make([]any, len(x.fields)), make([]bool, len(x.fields))
	for i, f := range x.view.Features {
		raw, ok := hash[x.fields[i]]
		if !ok {
			row.Absent[i] = true
			x.report.Absent[i]++
			continue
		}
		v, err := readValue(raw)
		if err != nil {
			refuse(f.Name, "the value is damaged: "+err.Error())
			whole = false
			continue
		}
		var nan bool
		if row.Values[i], nan, err = v.convert(f.Type); err != nil {
			refuse(f.Name, err.Error())
			whole = false
		}
		if nan {
			x.report.NotNumbers[i]++
		}
	}
	return row, whole
}

func (e *entity) show() string {
	if e.values == nil {
		return strings.Join(e.names, ",")
	}
	return e.String()
}
