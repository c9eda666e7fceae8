package check

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// lists are the columns of a file that are arrays. A suite judges them as it does in the
// stream, where they come packed.
type lists struct {
	types  map[string]feature.Type
	schema *arrow.Schema
}

func listsOf(s *arrow.Schema) *lists {
	l := &lists{types: map[string]feature.Type{}}
	fields := slices.Clone(s.Fields())
	for i, f := range fields {
		if t, _ := tabular.TypeOf(f.Type); t.IsArray() {
			l.types[f.Name] = t
			fields[i].Type = t.Arrow()
		}
	}
	l.schema = arrow.NewSchema(fields, nil)
	return l
}

// pack takes a batch over and returns it with its arrays packed; the caller releases that.
func (l *lists) pack(rec arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(l.types) == 0 {
		return rec, nil
	}
	defer rec.Release()
	cols := slices.Clone(rec.Columns())
	var made []arrow.Array
	defer func() {
		for _, c := range made {
			c.Release()
		}
	}()
	for i, c := range cols {
		t, ok := l.types[rec.ColumnName(i)]
		if !ok {
			continue
		}
		p, err := tabular.Convert(c, t)
		if err != nil {
			return nil, err
		}
		made, cols[i] = append(made, p), p
	}
	return array.NewRecordBatch(l.schema, cols, rec.NumRows()), nil
}
