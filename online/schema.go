package online

import (
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/registry/feature"
)

// Schema is the names and types of the features in a value, in order; the names
// are what values are kept under (feature.Field.Stored), so a rename leaves cells as
// they are, and a new feature of an old name is not taken for the old one. Its ID
// stands in each value, so that a reader of a newer (or older) view knows what
// the bytes are. The ID is a hash of the content, not the view's version: a
// changed description leaves it as it is, and a view that was deleted and made
// anew under the same version number cannot be confused with its ancestor.
type Schema struct {
	ID     uint32
	Fields []feature.Field // Name and Type only
}

// SchemaOf is the schema of values that are written for v now.
func SchemaOf(v *feature.View) *Schema {
	s := &Schema{Fields: make([]feature.Field, len(v.Features))}
	for i, f := range v.Features {
		s.Fields[i] = feature.Field{Name: f.Stored(), Type: f.Type}
	}
	s.ID = schemaID(s.Text())
	return s
}

// Text is the schema as it is kept in the store: a line for each feature.
//
//	tenure int32
//	contract string
//	embedding array<float32>
func (s *Schema) Text() string {
	var b strings.Builder
	for _, f := range s.Fields {
		b.WriteString(f.Name)
		b.WriteByte(' ')
		b.WriteString(f.Type.String())
		b.WriteByte('\n')
	}
	return b.String()
}

func schemaID(text string) uint32 {
	h := xxhash.Sum64String(text)
	return uint32(h>>32) ^ uint32(h)
}

// ParseSchema reads what Text wrote and checks that it belongs to id.
func ParseSchema(id uint32, text string) (*Schema, error) {
	if got := schemaID(text); got != id {
		return nil, fmt.Errorf("schema %08x does not belong to its text (that is %08x)", id, got)
	}
	s := &Schema{ID: id}
	for line := range strings.Lines(text) {
		name, typ, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			return nil, fmt.Errorf("schema %08x: %q is not a name and a type", id, line)
		}
		t, err := feature.ParseType(typ)
		if err != nil {
			return nil, fmt.Errorf("schema %08x: %w", id, err)
		}
		s.Fields = append(s.Fields, feature.Field{Name: name, Type: t})
	}
	return s, nil
}

// width is the size of a fixed cell, 0 for strings, bytes and arrays.
func width(t feature.Type) int {
	switch t {
	case feature.Bool:
		return 1
	case feature.Int32, feature.Float32:
		return 4
	case feature.Int64, feature.Float64, feature.Timestamp:
		return 8
	}
	return 0
}

// SchemaClash is the error of a store that has another schema under the same id.
func SchemaClash(op, view string, id uint32) error {
	return feature.Errorf(feature.Conflict, op, fmt.Sprintf("schema %08x of view %s", id, view),
		"the store has another schema under this id").
		WithHint("rename one of the view's features: the hash of their names and types collides with an older version of the view")
}
