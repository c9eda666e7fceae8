package offline

import (
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// RowsSchema is the columns of Rows: join keys, features, and the system columns
// with the topic's id in hex.
func RowsSchema(v *feature.View) *arrow.Schema {
	fields := slices.Clone(v.Schema().Fields())
	for i, c := range v.Columns() {
		fields[i].Type = c.Type.Exchange()
	}
	micros := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	for _, name := range []string{ColEffective, ColEvent, ColKnown} {
		fields = append(fields, arrow.Field{Name: name, Type: micros})
	}
	return arrow.NewSchema(append(fields, arrow.Field{Name: ColTopicID, Type: arrow.BinaryTypes.String}, arrow.Field{Name: ColPartition, Type: arrow.PrimitiveTypes.Int32},
		arrow.Field{Name: ColOffset, Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: ColTombstone, Type: arrow.FixedWidthTypes.Boolean}), nil)
}

// Rows gives rows of a state to fn, as RowsSchema has them: the newest by
// effective time, newest first, where the state has more than limit; else all, in no
// order. It returns how many. Memory is bounded by a few row groups, and by limit
// rows where it cuts.
func Rows(ctx context.Context, t Table, st *State, limit int64, fn func(arrow.RecordBatch) error) (int64, error) {
	if st.Snapshot == 0 || limit <= 0 {
		return 0, nil
	}
	r := &rowsOut{schema: RowsSchema(t.View()), fn: fn}
	at := Version{Snapshot: st.Snapshot}
	if limit >= st.Rows {
		err := Scan(ctx, t, ScanOptions{Version: at}, func(b *feature.Batch) error { return r.batch(b) })
		return r.rows, err
	}
	// Newest files first; a file that ends before all that is wanted begins adds nothing.
	files := slices.Clone(st.Files)
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(b.MaxEffective, a.MaxEffective) })
	var best []newestAt
	floor := int64(math.MinInt64)
	topics := topicNames(st)
	for i, f := range files {
		if int64(len(best)) >= limit && f.MaxEffective < floor {
			break
		}
		err := eachGroup(ctx, t, f.Path, func(g *groupReader) error {
			v, err := g.column(ctx, columnsByName(t.Columns())[ColEffective], nil, nil)
			if err != nil {
				return err
			}
			for row, at := range v.Int64s {
				if int64(len(best)) < limit || at > floor {
					best = append(best, newestAt{at, int32(i), int32(g.group), int32(row)})
				}
				if int64(len(best)) >= 2*limit+1024 {
					best, floor = cutNewest(best, limit)
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if int64(len(best)) > limit {
			best, floor = cutNewest(best, limit)
		}
	}
	best, _ = cutNewest(best, limit)
	return r.gather(ctx, t, files, topics, best)
}

// newestAt is one row by its place.
type newestAt struct {
	effective        int64
	file, group, row int32
}

func (a newestAt) compare(b newestAt) int {
	return cmp.Or(cmp.Compare(b.effective, a.effective), cmp.Compare(a.file, b.file), cmp.Compare(a.group, b.group), cmp.Compare(a.row, b.row))
}

// cutNewest keeps the newest rows; floor is the oldest of them.
func cutNewest(rows []newestAt, limit int64) ([]newestAt, int64) {
	slices.SortFunc(rows, newestAt.compare)
	rows = rows[:min(int64(len(rows)), limit)]
	if len(rows) == 0 {
		return rows, math.MinInt64
	}
	return rows, rows[len(rows)-1].effective
}

// rowsOut turns batches into records of RowsSchema.
type rowsOut struct {
	schema *arrow.Schema
	fn     func(arrow.RecordBatch) error
	rows   int64
}

func (r *rowsOut) batch(b *feature.Batch) error {
	rec, err := r.record(b)
	if err != nil {
		return err
	}
	defer rec.Release()
	r.rows += rec.NumRows()
	return r.fn(rec)
}

func (r *rowsOut) record(b *feature.Batch) (arrow.RecordBatch, error) {
	n := b.Len()
	cols := make([]arrow.Array, 0, r.schema.NumFields())
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i, f := range b.View.Columns() {
		a := b.Rows.Column(i)
		if !f.Type.IsArray() {
			a.Retain()
			cols = append(cols, a)
			continue
		}
		lists, err := feature.ToLists(f.Type, a.(*array.Binary))
		if err != nil {
			return nil, feature.Errorf(feature.Internal, "offline.rows", "feature "+f.Name, "%w", err)
		}
		cols = append(cols, lists)
	}
	times := func(at func(i int) int64) {
		tb := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"})
		defer tb.Release()
		for i := range n {
			tb.Append(arrow.Timestamp(at(i)))
		}
		cols = append(cols, tb.NewArray())
	}
	times(func(i int) int64 { return b.Stamp(i).Effective() })
	times(func(i int) int64 { return b.EventTime[i] })
	times(func(i int) int64 { return b.KnownTime[i] })
	ids, parts := array.NewStringBuilder(memory.DefaultAllocator), array.NewInt32Builder(memory.DefaultAllocator)
	offsets, gone := array.NewInt64Builder(memory.DefaultAllocator), array.NewBooleanBuilder(memory.DefaultAllocator)
	id := hex.EncodeToString(b.Origin.TopicID[:])
	for i := range n {
		ids.Append(id)
		parts.Append(b.Origin.Partition)
		offsets.Append(b.Offsets[i])
		gone.Append(b.Deleted(i))
	}
	for _, c := range []array.Builder{ids, parts, offsets, gone} {
		cols = append(cols, c.NewArray())
		c.Release()
	}
	return array.NewRecordBatch(r.schema, cols, int64(n)), nil
}

// gather reads the chosen rows and gives them out in their order.
func (r *rowsOut) gather(ctx context.Context, t Table, files []File, topics map[[16]byte]string, chosen []newestAt) (int64, error) {
	type place struct{ file, group int32 }
	wanted := map[place][]int32{}
	for _, c := range chosen {
		at := place{c.file, c.group}
		wanted[at] = append(wanted[at], c.row)
	}
	type one struct {
		effective int64
		rec       arrow.RecordBatch
		row       int
	}
	var rows []one
	var held []arrow.RecordBatch
	defer func() {
		for _, rec := range held {
			rec.Release()
		}
	}()
	for i, f := range files {
		if !slices.ContainsFunc(chosen, func(c newestAt) bool { return int(c.file) == i }) {
			continue
		}
		err := eachGroup(ctx, t, f.Path, func(g *groupReader) error {
			some := wanted[place{int32(i), int32(g.group)}]
			if len(some) == 0 {
				return nil
			}
			slices.Sort(some)
			bs, err := g.batches(ctx, t, topics, some, func(string) bool { return true })
			if err != nil {
				return err
			}
			return eachBatch(bs, func(b *feature.Batch) error {
				rec, err := r.record(b)
				if err != nil {
					return err
				}
				held = append(held, rec)
				for k := range b.Len() {
					rows = append(rows, one{b.Stamp(k).Effective(), rec, k})
				}
				return nil
			})
		})
		if err != nil {
			return r.rows, err
		}
	}
	slices.SortStableFunc(rows, func(a, b one) int { return cmp.Compare(b.effective, a.effective) })
	for some := range slices.Chunk(rows, 1024) {
		cols := make([]arrow.Array, r.schema.NumFields())
		for c := range cols {
			cells := make([]arrow.Array, len(some))
			for k, x := range some {
				cells[k] = array.NewSlice(x.rec.Column(c), int64(x.row), int64(x.row+1))
			}
			col, err := array.Concatenate(cells, memory.DefaultAllocator)
			for _, cell := range cells {
				cell.Release()
			}
			if err != nil {
				return r.rows, err
			}
			cols[c] = col
		}
		rec := array.NewRecordBatch(r.schema, cols, int64(len(some)))
		for _, c := range cols {
			c.Release()
		}
		r.rows += rec.NumRows()
		err := r.fn(rec)
		rec.Release()
		if err != nil {
			return r.rows, err
		}
	}
	return r.rows, nil
}
