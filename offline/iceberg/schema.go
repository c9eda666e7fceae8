package iceberg

import (
	"encoding/json"
	"fmt"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// partitionField is the first (and only) partition field id that Iceberg assigns.
const partitionField = 1000

// Properties of a table.
const (
	propPositions = "weir.positions" // see positions.go; also in the snapshots' summaries
	propCommit    = "weir.commit"    // in summaries: the id of the commit that made the snapshot
	propKeys      = "weir.keys"      // JSON list of the join keys, the head of the sort order
	propShape     = "weir.columns"   // which columns have other names than their values are kept under: see shape
)

// properties of every new table. Manifests are merged and old metadata files
// removed, or the thousandth commit costs thirty times the first. There is no
// commit.retry here on purpose: a replay by the library would carry old positions.
func properties(v *feature.View) iceberg.Properties {
	var keys []string
	for _, k := range v.Keys {
		keys = append(keys, k.Name)
	}
	b, _ := json.Marshal(keys)
	return iceberg.Properties{
		table.PropertyFormatVersion:               "2",
		table.ManifestMergeEnabledKey:             "true",
		table.ManifestMinMergeCountKey:            "30",
		table.MetadataDeleteAfterCommitEnabledKey: "true",
		table.MetadataPreviousVersionsMaxKey:      "20",
		propKeys:                                  string(b),
		propPositions:                             standing{}.encode(),
	}
}

// newMetadata is a table without rows.
func newMetadata(v *feature.View, location string) (table.Metadata, error) {
	cols := offline.ViewColumns(v)
	fields := make([]iceberg.NestedField, len(cols))
	id := map[string]int{}
	last := len(cols) // ids of elements come behind those of columns
	for i, c := range cols {
		if c.Type.IsArray() {
			last++
			c.Element = last
		}
		fields[i] = iceberg.NestedField{ID: i + 1, Name: c.Name, Type: icebergType(c), Required: c.Required}
		id[c.Name] = i + 1
	}
	sc := iceberg.NewSchema(0, fields...)
	spec, err := iceberg.NewPartitionSpecOpts(iceberg.AddPartitionFieldByName(
		offline.ColEffective, offline.ColEffective+"_day", iceberg.DayTransform{}, sc, nil))
	if err != nil {
		return nil, err
	}
	var sort []table.SortField
	by := func(name string) {
		sort = append(sort, table.SortField{SourceIDs: []int{id[name]}, Transform: iceberg.IdentityTransform{},
			Direction: table.SortASC, NullOrder: table.NullsFirst})
	}
	for _, k := range v.Keys {
		by(k.Name)
	}
	for _, n := range offline.SortSuffix {
		by(n)
	}
	order, err := table.NewSortOrder(1, sort)
	if err != nil {
		return nil, err
	}
	return table.NewMetadata(sc, &spec, order, location, properties(v))
}

func icebergType(c offline.Column) iceberg.Type {
	if c.Fixed > 0 {
		return iceberg.FixedTypeOf(c.Fixed)
	}
	if c.Type.IsArray() {
		return &iceberg.ListType{ElementID: c.Element, Element: icebergType(offline.Column{Name: c.Name, Type: c.Type.Elem()}), ElementRequired: true}
	}
	switch c.Type {
	case feature.Bool:
		return iceberg.PrimitiveTypes.Bool
	case feature.Int32:
		return iceberg.PrimitiveTypes.Int32
	case feature.Int64:
		return iceberg.PrimitiveTypes.Int64
	case feature.Float32:
		return iceberg.PrimitiveTypes.Float32
	case feature.Float64:
		return iceberg.PrimitiveTypes.Float64
	case feature.String:
		return iceberg.PrimitiveTypes.String
	case feature.Bytes:
		return iceberg.PrimitiveTypes.Binary
	case feature.Timestamp:
		return iceberg.PrimitiveTypes.TimestampTz
	}
	panic(fmt.Sprintf("iceberg: column %s of type %s has no table type", c.Name, c.Type))
}

// columnType is the way back; InvalidType for what other engines may have added.
func columnType(t iceberg.Type) (feature.Type, int) {
	switch t := t.(type) {
	case iceberg.BooleanType:
		return feature.Bool, 0
	case iceberg.Int32Type:
		return feature.Int32, 0
	case iceberg.Int64Type:
		return feature.Int64, 0
	case iceberg.Float32Type:
		return feature.Float32, 0
	case iceberg.Float64Type:
		return feature.Float64, 0
	case iceberg.StringType:
		return feature.String, 0
	case iceberg.BinaryType:
		return feature.Bytes, 0
	case iceberg.FixedType:
		return feature.Bytes, t.Len()
	case iceberg.TimestampTzType:
		return feature.Timestamp, 0
	case *iceberg.ListType:
		// No lists of lists, nor of values of one length, which would be written with others.
		if elem, fixed := columnType(t.Element); elem != feature.InvalidType && !elem.IsArray() && fixed == 0 {
			return feature.Array(elem), 0
		}
	}
	return feature.InvalidType, 0
}

// elementOf is the id of a list's elements, 0 of what is no list.
func elementOf(t iceberg.Type) int {
	if l, ok := t.(*iceberg.ListType); ok {
		return l.ElementID
	}
	return 0
}

// columns of a table's current schema.
func columns(m table.Metadata) []offline.Column { return columnsIn(m, m.CurrentSchema()) }

// columnsOf are those of the schema that a snapshot was made with; nil where it does not say.
func columnsOf(m table.Metadata, snap *table.Snapshot) []offline.Column {
	if snap.SchemaID == nil {
		return nil
	}
	for _, sc := range m.Schemas() {
		if sc.ID == *snap.SchemaID {
			return columnsIn(m, sc)
		}
	}
	return nil
}

func columnsIn(m table.Metadata, sc *iceberg.Schema) []offline.Column {
	stored := shapeOf(m).Stored
	var out []offline.Column
	for _, f := range sc.Fields() {
		t, fixed := columnType(f.Type)
		c := offline.Column{ID: f.ID, Name: f.Name, Stored: f.Name, Type: t, Fixed: fixed, Required: f.Required}
		if t.IsArray() {
			c.Element = elementOf(f.Type)
		}
		if s := stored[f.ID]; s != "" {
			c.Stored = s
		}
		out = append(out, c)
	}
	return out
}

// shape is what a layout says beside the schema.
type shape struct {
	Version int            `json:"version"`          // Layout.Version
	Stored  map[int]string `json:"stored,omitempty"` // by column id, where it is not the column's name
}

func shapeOf(m table.Metadata) shape {
	var s shape
	_ = json.Unmarshal([]byte(m.Properties()[propShape]), &s) // absent in tables that never changed
	return s
}

// layout is the table's columns as the rules of evolution see them.
func layout(m table.Metadata) offline.Layout {
	l := offline.Layout{Columns: columns(m), Last: m.LastColumnID(), Version: shapeOf(m).Version}
	_ = json.Unmarshal([]byte(m.Properties()[propKeys]), &l.Keys)
	return l
}

// reshape is how a table comes to have a layout: a schema, made current, and what
// the schema does not say.
func reshape(m table.Metadata, next offline.Layout) []table.Update {
	have := map[int]iceberg.NestedField{}
	for _, f := range m.CurrentSchema().Fields() {
		have[f.ID] = f
	}
	s := shape{Version: next.Version, Stored: map[int]string{}}
	fields := make([]iceberg.NestedField, len(next.Columns))
	for i, c := range next.Columns {
		f, ok := have[c.ID]
		if !ok {
			f = iceberg.NestedField{ID: c.ID, Required: c.Required}
		}
		if t, fixed := columnType(f.Type); f.Type == nil || t != c.Type || fixed != c.Fixed {
			f.Type = icebergType(c)
		}
		f.Name = c.Name
		fields[i] = f
		if c.Stored != c.Name {
			s.Stored[c.ID] = c.Stored
		}
	}
	b, _ := json.Marshal(s) // numbers and texts: it cannot fail
	sc := iceberg.NewSchemaWithIdentifiers(m.CurrentSchema().ID, m.CurrentSchema().IdentifierFieldIDs, fields...)
	return []table.Update{table.NewAddSchemaUpdate(sc), table.NewSetCurrentSchemaUpdate(-1),
		table.NewSetPropertiesUpdate(iceberg.Properties{propShape: string(b)})}
}
