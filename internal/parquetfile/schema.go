package parquetfile

import (
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// Schema is the schema of files with these columns, in this order. encode may be
// nil; it gives a column another encoding, for those who write by the schema (an
// Encoder chooses by what is in the column).
func Schema(name string, cols []Column, encode func(Column, parquet.Node) parquet.Node) *parquet.Schema {
	o := &orderedGroup{Group: parquet.Group{}}
	for _, c := range cols {
		n := node(c, encode)
		if !c.Required {
			n = parquet.Optional(n)
		}
		if c.ID != 0 {
			n = parquet.FieldID(n, c.ID)
		}
		o.Group[c.Name] = n
	}
	byName := map[string]parquet.Field{}
	for _, f := range o.Group.Fields() {
		byName[f.Name()] = f
	}
	for _, c := range cols {
		o.fields = append(o.fields, byName[c.Name])
	}
	return parquet.NewSchema(name, o)
}

// orderedGroup is a Parquet group whose fields keep the order they were given;
// parquet.Group alone would sort them by name.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g *orderedGroup) Fields() []parquet.Field { return g.fields }

// node is a column without what any may have: an id, and that it is optional. One
// of arrays is a list as the format has it, of three levels, whose elements are required.
func node(c Column, encode func(Column, parquet.Node) parquet.Node) parquet.Node {
	if c.Type.IsArray() {
		element := node(Column{Name: c.Name, Type: c.Type.Elem()}, encode)
		if c.Element != 0 {
			element = parquet.FieldID(element, c.Element)
		}
		return parquet.List(element)
	}
	n := leaf(c)
	if encode != nil {
		n = encode(c, n)
	}
	return n
}

func leaf(c Column) parquet.Node {
	switch {
	case c.Fixed > 0:
		return parquet.Leaf(parquet.FixedLenByteArrayType(c.Fixed))
	case c.Type == feature.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case c.Type == feature.Int32:
		return parquet.Leaf(parquet.Int32Type)
	case c.Type == feature.Int64:
		return parquet.Leaf(parquet.Int64Type)
	case c.Type == feature.Float32:
		return parquet.Leaf(parquet.FloatType)
	case c.Type == feature.Float64:
		return parquet.Leaf(parquet.DoubleType)
	case c.Type == feature.String:
		return parquet.String()
	case c.Type == feature.Bytes:
		return parquet.Leaf(parquet.ByteArrayType)
	case c.Type == feature.Timestamp:
		return parquet.Timestamp(parquet.Microsecond)
	}
	panic(fmt.Sprintf("parquetfile: column %s of type %s cannot be written", c.Name, c.Type))
}
