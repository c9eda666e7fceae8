package drift

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// Of arrays the nulls are counted, packed as in a batch or as lists in a snapshot, and
// compared; nothing is said of their values, whatever the windows have.
func TestArraysAreCounted(t *testing.T) {
	v := &feature.View{Meta: feature.Meta{Name: "v"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64}},
		Features: []feature.Field{{Name: "tags", Type: feature.Array(feature.String)}, {Name: "vec", Type: feature.Array(feature.Float32)}}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	defer rb.Release()
	for i := range 10 {
		rb.Field(0).(*array.Int64Builder).Append(int64(i))
		rb.Field(1).(*array.BinaryBuilder).Append([]byte("\x01a"))
		if i%5 == 0 {
			rb.Field(2).AppendNull()
		} else {
			rb.Field(2).(*array.BinaryBuilder).Append(nil)
		}
	}
	packed := rb.NewRecordBatch()
	defer packed.Release()
	cols, fields := []arrow.Array{packed.Column(0)}, []arrow.Field{packed.Schema().Field(0)}
	for i, f := range v.Features {
		lists, err := feature.ToLists(f.Type, packed.Column(1+i).(*array.Binary))
		if err != nil {
			t.Fatal(err)
		}
		defer lists.Release()
		cols, fields = append(cols, lists), append(fields, arrow.Field{Name: f.Name, Type: f.Type.Exchange(), Nullable: true})
	}
	asLists := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, 10)
	defer asLists.Release()
	profile := func(rec arrow.RecordBatch) *Profile {
		p := NewProfiler()
		if err := p.Write(rec); err != nil {
			t.Fatal(err)
		}
		text, err := p.Finish()
		if err != nil {
			t.Fatal(err)
		}
		var read Profile
		if err := read.UnmarshalBinary(text); err != nil {
			t.Fatal(err)
		}
		for name, nulls := range map[string]int64{"tags": 0, "vec": 2} {
			if s := read.Sketch(name); s == nil || s.Shape != NullsOnly || s.Nulls != nulls || s.Count != 10-nulls {
				t.Errorf("%s of %s: %+v", name, rec.Schema(), s)
			}
		}
		return &read
	}
	m := &feature.Monitor{View: "v", ViewOf: v, MinCount: 1}
	verdict := Judge(m, NewBaseline(profile(asLists)), profile(packed))
	if len(verdict.Features) != 2 || verdict.Outcome != Steady {
		t.Errorf("%+v", verdict)
	}
	for _, f := range verdict.Features {
		if f.Outcome != CountedOnly || f.Test != "" {
			t.Errorf("%+v", f)
		}
	}
}
