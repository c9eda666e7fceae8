package offline

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// TrainingSchema is the schema of a training set's batches: JoinSchema, and behind
// it the split's column where there is a split.
func TrainingSchema(s *feature.Service, spine Spine, split *feature.SnapshotSplit) (*arrow.Schema, error) {
	joined, err := JoinSchema(s, spine)
	if err != nil || split == nil {
		return joined, err
	}
	sp, err := newSplitter(split, s, spine)
	if err != nil {
		return nil, err
	}
	return sp.schema(joined), nil
}

// Splitting gives what it gets from a join, with the column of parts, to next; without a split it is next.
func Splitting(split *feature.SnapshotSplit, s *feature.Service, spine Spine, next func(arrow.RecordBatch) error) (func(arrow.RecordBatch) error, error) {
	if split == nil {
		return next, nil
	}
	sp, err := newSplitter(split, s, spine)
	if err != nil {
		return nil, err
	}
	return sp.sink(next), nil
}

// splitter puts rows into parts, batch by batch; it holds nothing of them.
type splitter struct {
	spec   feature.SnapshotSplit
	shape  *spineShape
	key    []splitColumn // by hash
	last   []uint64      // by hash: lastHashes
	out    *arrow.Schema
	counts []int64
	none   int64
	rows   int64

	entity []byte
}

type splitColumn struct {
	column int
	typ    feature.Type
}

func newSplitter(split *feature.SnapshotSplit, s *feature.Service, spine Spine) (*splitter, error) {
	if err := checkSplit(split); err != nil {
		return nil, err
	}
	shape, err := spine.shape(s)
	if err != nil {
		return nil, err
	}
	sp := &splitter{spec: *split, shape: shape, counts: make([]int64, len(split.Parts))}
	sp.spec.Parts = slices.Clone(split.Parts)
	for _, f := range shape.schema.Fields() {
		if f.Name == feature.SplitColumn {
			return nil, spineError(f.Name, "a split makes a column of this name").WithHint("rename the spine's column or leave it out")
		}
	}
	for _, c := range s.Columns {
		if c.Name == feature.SplitColumn {
			return nil, feature.Errorf(feature.Invalid, opSplit, "service "+s.Meta.Name, "it has a feature called %s, as the split's column is", c.Name).
				WithHint("split the training set by its rows afterwards, or give the feature another name")
		}
	}
	if split.Time {
		return sp, nil
	}
	sp.last = lastHashes(split.Parts)
	if len(split.By) == 0 {
		for _, k := range shape.keys {
			sp.key = append(sp.key, splitColumn{k.column, k.field.Type})
		}
		return sp, nil
	}
	for _, name := range split.By {
		at := shape.schema.FieldIndices(name)
		if len(at) == 0 {
			return nil, spineError(name, "is missing: the split is by it").WithHint("the spine has the columns %s", shape.columns())
		}
		c := splitColumn{column: at[0]}
		if c.typ, _ = tabular.TypeOf(shape.schema.Field(at[0]).Type); c.typ.IsArray() {
			c.typ = feature.String // its JSON, as rowHash has it of the spine
		}
		for _, k := range shape.keys {
			if k.column == c.column {
				c.typ = k.field.Type
			}
		}
		sp.key = append(sp.key, c)
	}
	return sp, nil
}

func (sp *splitter) schema(joined *arrow.Schema) *arrow.Schema {
	return arrow.NewSchema(append(slices.Clone(joined.Fields()),
		arrow.Field{Name: feature.SplitColumn, Type: arrow.BinaryTypes.String, Nullable: true}), nil)
}

// add is a joined batch with the column of parts.
func (sp *splitter) add(rec arrow.RecordBatch) (arrow.RecordBatch, error) {
	if sp.out == nil {
		sp.out = sp.schema(rec.Schema())
	}
	parts, err := sp.parts(rec)
	if err != nil {
		return nil, err
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(parts))
	for _, p := range parts {
		if p < 0 {
			b.AppendNull()
			sp.none++
			continue
		}
		b.Append(sp.spec.Parts[p].Name)
		sp.counts[p]++
	}
	sp.rows += rec.NumRows()
	c := b.NewArray()
	defer c.Release()
	return array.NewRecordBatch(sp.out, append(slices.Clone(rec.Columns()), c), rec.NumRows()), nil
}

// sink gives what it gets, with the column of parts, to the next.
func (sp *splitter) sink(next func(arrow.RecordBatch) error) func(arrow.RecordBatch) error {
	return func(rec arrow.RecordBatch) error {
		out, err := sp.add(rec)
		if err != nil {
			return err
		}
		defer out.Release()
		return next(out)
	}
}

// done is the split with what came of it.
func (sp *splitter) done() *feature.SnapshotSplit {
	out := sp.spec
	out.Parts = slices.Clone(sp.spec.Parts)
	for i := range out.Parts {
		out.Parts[i].Rows = sp.counts[i]
	}
	out.None = sp.none
	return &out
}

// parts are the parts of a batch's rows, -1 for none.
func (sp *splitter) parts(rec arrow.RecordBatch) ([]int, error) {
	out := make([]int, rec.NumRows())
	if sp.spec.Time {
		times, err := sp.shape.times(rec, sp.rows)
		if err != nil {
			return nil, err
		}
		defer times.Release()
		later := sp.spec.Parts[1:]
		for i := range out {
			if times.IsNull(i) {
				out[i] = -1
				continue
			}
			t := int64(times.Value(i))
			out[i] = sort.Search(len(later), func(p int) bool { return later[p].From > t })
		}
		return out, nil
	}
	cols := make([]arrow.Array, 0, len(sp.key))
	defer func() { releaseKeys(cols, nil) }()
	for _, k := range sp.key {
		c, err := tabular.Convert(rec.Column(k.column), k.typ)
		if err != nil {
			return nil, sp.shape.badValue(rec.ColumnName(k.column), sp.rows, err)
		}
		cols = append(cols, c)
	}
	for i := range out {
		sp.entity = sp.entity[:0]
		for _, c := range cols {
			sp.entity = appendEntity(sp.entity, c, i)
		}
		h := sumSeeded(sp.spec.Seed, sp.entity)
		out[i] = sort.Search(len(sp.last), func(p int) bool { return h <= sp.last[p] })
	}
	return out, nil
}

// sumSeeded is xxhash64 with a seed.
func sumSeeded(seed uint64, b []byte) uint64 {
	if seed == 0 {
		return xxhash.Sum64(b)
	}
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	_, _ = d.Write(b) // it never fails
	return d.Sum64()
}

// appendEntity appends a value as the hash of a split takes it.
func appendEntity(b []byte, c arrow.Array, i int) []byte {
	if c.IsNull(i) {
		return append(b, 0)
	}
	b = append(b, 1)
	long := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }
	switch c := c.(type) {
	case *array.Boolean:
		if c.Value(i) {
			return append(b, 1)
		}
		return append(b, 0)
	case *array.Int32:
		return long(uint64(int64(c.Value(i))))
	case *array.Int64:
		return long(uint64(c.Value(i)))
	case *array.Timestamp:
		return long(uint64(c.Value(i)))
	case *array.Float32:
		return long(floatBits(float64(c.Value(i))))
	case *array.Float64:
		return long(floatBits(c.Value(i)))
	case *array.String:
		return append(long(uint64(len(c.Value(i)))), c.Value(i)...)
	case *array.Binary:
		return append(long(uint64(len(c.Value(i)))), c.Value(i)...)
	}
	return b
}

// floatBits knows one NaN and one zero.
func floatBits(f float64) uint64 {
	switch {
	case f != f:
		return 0x7ff8000000000001
	case f == 0:
		return 0
	}
	return math.Float64bits(f)
}
