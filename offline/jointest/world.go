package jointest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// World is all that an answer depends on, and all that it may not depend on, as
// plain values. Values are Go values of the columns' types (timestamps int64,
// bytes []byte, arrays []any), nil for null.
type World struct {
	Clock feature.Clock
	Views []View
	Spine []Row
	Way   Way
}

// View is a feature view and its rows.
type View struct {
	Name     string
	TTL      int64 // microseconds; 0 never expires
	Keys     []feature.Field
	Features []Feature
	Facts    []Fact // offsets of a partition grow
	Files    []File // the layout of file i; the last one's holds for those beyond
}

// Feature is a feature as the join asks for it, and what became of it on the way there.
type Feature struct {
	Name string
	Type feature.Type
	// Of facts that are Old: the name and type it had then; not there yet when Added.
	// InvalidType and "" where it was as it is.
	WasName string
	WasType feature.Type
	Added   bool
}

// Fact is one row of a view's table.
type Fact struct {
	Keys         []any
	Event, Known int64
	Partition    int32
	Offset       int64
	Dead         bool // a tombstone: Values are all nil
	Values       []any
	File         int  // which file it lies in, where files are laid out (Way.Writer unset)
	Old          bool // written under the view's first version
}

// Row is a row of the spine.
type Row struct {
	Keys map[string]any // by join key; absent or nil is null
	Time any            // int64, nil for null
	Note any            // string: a column that is carried along
	Mark any            // float64: another
}

// File is how a file is laid out.
type File struct {
	Sorted    bool // in the table's order, as our own files are
	Bounds    bool // the table knows the bounds of its times
	GroupRows int  // of a row group; 0 for all in one
	PageBytes int  // 0 for large
}

// Way is the way that the rows take into the table, and how the join is run.
type Way struct {
	Writer    bool // through offline.Writer, in as many commits as Commits says; else in Files as they are laid out
	Commits   int
	GroupRows int // of the Writer's files and merged ones; at least 1024
	PageBytes int // at least 4096
	Compact   bool

	Cuts    []int // sizes of the spine's batches, over and over; one batch when empty
	Memory  int64 // of the join
	Workers int
}

// Stamp is the fact's place in the order of its key.
func (f *Fact) Stamp() feature.Stamp {
	return feature.Stamp{Event: f.Event, Known: f.Known, Partition: f.Partition, Offset: f.Offset}
}

// keyText tells keys apart, and orders them as files do.
func keyText(keys []any) []byte {
	var b []byte
	for _, k := range keys {
		switch k := k.(type) {
		case string:
			b = feature.AppendKeyText(b, k)
		case []byte:
			b = feature.AppendKeyText(b, k)
		case int64:
			b = feature.AppendKeyInt64(b, k)
		case int32:
			b = feature.AppendKeyInt32(b, k)
		case bool:
			b = feature.AppendKeyBool(b, k)
		default:
			panic(fmt.Sprintf("jointest: no key of type %T", k))
		}
	}
	return b
}

// inOrder are the facts in the order of the table's files.
func inOrder(facts []Fact) []Fact {
	out := slices.Clone(facts)
	slices.SortStableFunc(out, func(a, b Fact) int {
		return cmp.Or(bytes.Compare(keyText(a.Keys), keyText(b.Keys)), a.Stamp().Compare(b.Stamp()))
	})
	return out
}

// Definition is the view in its version of now; Before that of Old facts.
func (v *View) Definition() *feature.View { return v.definition(false) }

// Before is the view in its first version.
func (v *View) Before() *feature.View { return v.definition(true) }

// Evolved tells whether the view has had two versions.
func (v *View) Evolved() bool {
	return slices.ContainsFunc(v.Features, func(f Feature) bool { return f.Added || f.WasName != "" || f.WasType != feature.InvalidType })
}

func (v *View) definition(old bool) *feature.View {
	d := &feature.View{Meta: feature.Meta{Project: "default", Name: v.Name}, Source: "s", Entities: []string{"e"}, Keys: v.Keys,
		TTL: feature.Duration(v.TTL * 1000), Version: 1}
	if v.Evolved() && !old {
		d.Version = 2
	}
	for _, f := range v.Features {
		x := feature.Field{Name: f.Name, Type: f.Type}
		if f.WasName != "" {
			x.Column = f.WasName
		}
		if old {
			if f.Added {
				continue
			}
			if x.Column != "" {
				x.Name, x.Column = x.Column, ""
			}
			if f.WasType != feature.InvalidType {
				x.Type = f.WasType
			}
		}
		d.Features = append(d.Features, x)
	}
	return d
}

// Service asks for all features of the views.
func Service(views []*feature.View) (*feature.Service, error) {
	s := &feature.Service{Meta: feature.Meta{Project: "default", Name: "svc"}, Version: 3}
	for _, v := range views {
		s.Features = append(s.Features, v.Meta.Name+":*")
	}
	faults := s.Resolve(func(name string) *feature.View {
		if i := slices.IndexFunc(views, func(v *feature.View) bool { return v.Meta.Name == name }); i >= 0 {
			return views[i]
		}
		return nil
	})
	if len(faults) > 0 {
		return nil, fmt.Errorf("the service: %v", faults)
	}
	return s, nil
}

// KeyFields are the spine's join keys: each that some view has, once.
func (w *World) KeyFields() []feature.Field {
	var out []feature.Field
	for _, v := range w.Views {
		for _, k := range v.Keys {
			if !slices.ContainsFunc(out, func(f feature.Field) bool { return f.Name == k.Name }) {
				out = append(out, k)
			}
		}
	}
	return out
}

// TimeColumn is the spine's column of row times.
const TimeColumn = "at"

// SpineSchema is the spine's: row number, time, join keys, and two columns that no view knows.
func (w *World) SpineSchema() *arrow.Schema {
	fields := []arrow.Field{{Name: "row_id", Type: arrow.PrimitiveTypes.Int64}, {Name: TimeColumn, Type: feature.Timestamp.Arrow(), Nullable: true}}
	for _, k := range w.KeyFields() {
		fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow(), Nullable: true})
	}
	fields = append(fields, arrow.Field{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "mark", Type: arrow.PrimitiveTypes.Float64, Nullable: true})
	return arrow.NewSchema(fields, nil)
}

// cells are a spine row's values in the order of SpineSchema.
func (w *World) cells(i int) []any {
	r := w.Spine[i]
	out := []any{int64(i), r.Time}
	for _, k := range w.KeyFields() {
		out = append(out, r.Keys[k.Name])
	}
	return append(out, r.Note, r.Mark)
}
