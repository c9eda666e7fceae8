package jointest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// Built is a world whose rows are in tables.
type Built struct {
	World   *World
	Service *feature.Service
	Tables  []offline.TableAt
}

// Build puts the facts into tables of a store that does not have them yet.
// Sabotage, if any, changes what is stored of a fact: it is how a test shows that
// Check would notice.
func (w *World) Build(ctx context.Context, s offline.Store, sabotage func(*Fact)) (*Built, error) {
	b := &Built{World: w}
	var views []*feature.View
	for i := range w.Views {
		v := &w.Views[i]
		stored := slices.Clone(v.Facts)
		if sabotage != nil {
			for i := range stored {
				sabotage(&stored[i])
			}
		}
		t, err := w.fill(ctx, s, v, stored)
		if err != nil {
			return nil, fmt.Errorf("view %s: %w", v.Name, err)
		}
		views = append(views, t.View())
		b.Tables = append(b.Tables, offline.TableAt{Table: t})
	}
	var err error
	b.Service, err = Service(views)
	return b, err
}

// Close closes the tables.
func (b *Built) Close() {
	for _, t := range b.Tables {
		_ = t.Table.Close()
	}
}

func (w *World) config() offline.Config {
	c := offline.DefaultConfig()
	c.Writers = 2
	c.RowGroupRows, c.PageBytes = max(w.Way.GroupRows, 1024), max(w.Way.PageBytes, 4096) // the least that are allowed
	return c
}

// fill makes a view's table: facts of its first version under that one, the rest
// under the newest, which is how the table is returned.
func (w *World) fill(ctx context.Context, s offline.Store, v *View, facts []Fact) (offline.Table, error) {
	l := &loader{w: w, v: v, at: map[int32]feature.Position{}}
	if v.Evolved() {
		var err error
		if l.table, err = s.Table(ctx, v.Before()); err != nil {
			return nil, err
		}
		if err := l.put(ctx, only(facts, true), true); err != nil {
			return nil, err
		}
		if err := l.table.Close(); err != nil {
			return nil, err
		}
	}
	var err error
	if l.table, err = s.Table(ctx, v.Definition()); err != nil {
		return nil, err
	}
	if err := l.put(ctx, only(facts, false), false); err != nil {
		return nil, err
	}
	if w.Way.Compact {
		if _, err := offline.Compact(ctx, l.table, offline.CompactOptions{Config: w.config()}); err != nil {
			return nil, fmt.Errorf("compacting: %w", err)
		}
	}
	return l.table, nil
}

func only(facts []Fact, old bool) []Fact {
	return slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool { return f.Old != old })
}

type loader struct {
	w     *World
	v     *View
	table offline.Table
	at    map[int32]feature.Position
	files int // that have been made
}

func (l *loader) put(ctx context.Context, facts []Fact, old bool) error {
	if len(facts) == 0 {
		return nil
	}
	if l.w.Way.Writer {
		return l.write(ctx, facts)
	}
	type place struct { // a file holds rows of one day
		file int
		day  int32
	}
	byFile := map[place][]Fact{}
	for _, f := range facts {
		p := place{f.File, offline.DayOf(min(f.Event, f.Known))}
		byFile[p] = append(byFile[p], f)
	}
	places := slices.SortedFunc(maps.Keys(byFile), func(a, b place) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.day, b.day)) })
	var files []offline.File
	for _, p := range places {
		layout := File{Sorted: true, Bounds: true}
		if len(l.v.Files) > 0 {
			layout = l.v.Files[min(p.file, len(l.v.Files)-1)]
		}
		f, err := writeFile(ctx, l.v, l.table, fmt.Sprintf("f%d-%d-%v", p.file, p.day, old), byFile[p], layout)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	l.files++
	return l.table.Append(ctx, &feature.Commit{ID: fmt.Sprintf("commit-%d", l.files), View: l.table.View()}, files)
}

// write takes the product's way: batches of each partition through the Writer.
func (l *loader) write(ctx context.Context, facts []Fact) error {
	wr, err := offline.NewWriter(l.table, l.w.config(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer wr.Close()
	per := (len(facts) + max(l.w.Way.Commits, 1) - 1) / max(l.w.Way.Commits, 1)
	for part := range slices.Chunk(facts, per) {
		l.files++
		c := &feature.Commit{ID: fmt.Sprintf("commit-%d", l.files), View: l.table.View(), Partitions: 8}
		var batches []*feature.Batch
		for p := int32(-1); p < 8; p++ {
			var mine []Fact
			for _, f := range part {
				if f.Partition == p {
					mine = append(mine, f)
				}
			}
			if len(mine) == 0 {
				continue
			}
			from := l.at[p]
			b := batch(l.v, l.table.View(), mine, from.Next)
			to := offlinetest.At(p, b.Origin.Next, c.ID)
			c.Advances = append(c.Advances, feature.Advance{From: from, To: to})
			batches, l.at[p] = append(batches, b), to
		}
		if err := offlinetest.Flush(ctx, wr, c, batches...); err != nil {
			return fmt.Errorf("commit %s: %w", c.ID, err)
		}
	}
	return nil
}

// batch is facts of one partition as ingestion has them.
func batch(v *View, as *feature.View, facts []Fact, first int64) *feature.Batch {
	b := &feature.Batch{View: as, Origin: feature.Origin{Topic: "events", TopicID: offlinetest.TopicID, Partition: facts[0].Partition, First: first}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, as.Schema())
	defer rb.Release()
	for i, f := range facts {
		for ci, c := range as.Columns() {
			if ci < len(v.Keys) {
				AppendValue(rb.Field(ci), f.Keys[ci])
			} else {
				AppendValue(rb.Field(ci), v.valueAs(&f, c))
			}
		}
		b.Offsets, b.EventTime, b.KnownTime = append(b.Offsets, f.Offset), append(b.EventTime, f.Event), append(b.KnownTime, f.Known)
		if f.Dead {
			if b.Tombstone == nil {
				b.Tombstone = make([]bool, len(facts))
			}
			b.Tombstone[i] = true
		}
		b.Origin.Next = f.Offset + 1
	}
	b.Rows = rb.NewRecordBatch()
	return b
}

// valueAs is a fact's value of a column of some version of the view.
func (v *View) valueAs(f *Fact, c feature.Field) any {
	at := slices.IndexFunc(v.Features, func(x Feature) bool { return c.Stored() == x.Name && x.WasName == "" || c.Stored() == x.WasName })
	switch x := f.Values[at].(type) {
	case int64:
		if c.Type == feature.Int32 {
			return int32(x)
		}
	case float64:
		if c.Type == feature.Float32 {
			return float32(x)
		}
	}
	return f.Values[at]
}

// AppendValue appends x, a Go value of the builder's type, or null for nil.
func AppendValue(b array.Builder, x any) {
	if x == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(x.(bool))
	case *array.Int32Builder:
		b.Append(x.(int32))
	case *array.Int64Builder:
		b.Append(x.(int64))
	case *array.Float32Builder:
		b.Append(x.(float32))
	case *array.Float64Builder:
		b.Append(x.(float64))
	case *array.StringBuilder:
		b.Append(x.(string))
	case *array.BinaryBuilder:
		if list, ok := x.([]any); ok {
			b.Append(packed(list))
		} else {
			b.Append(x.([]byte))
		}
	case *array.ListBuilder:
		b.Append(true)
		for _, e := range x.([]any) {
			AppendValue(b.ValueBuilder(), e)
		}
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(x.(int64)))
	default:
		panic(fmt.Sprintf("jointest: no values for %T", b))
	}
}

// packed is the packed form of an array.
func packed(list []any) []byte {
	out := []byte{}
	for _, x := range list {
		switch x := x.(type) {
		case bool:
			out = feature.AppendElementBool(out, x)
		case int32:
			out = binary.LittleEndian.AppendUint32(out, uint32(x))
		case int64:
			out = binary.LittleEndian.AppendUint64(out, uint64(x))
		case float32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		case float64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
		case string:
			out = feature.AppendElementText(out, x)
		case []byte:
			out = feature.AppendElementText(out, x)
		default:
			panic(fmt.Sprintf("jointest: no element of type %T", x))
		}
	}
	return out
}

// SpineBatches is the spine in batches of the sizes that Way.Cuts says.
func (w *World) SpineBatches() []arrow.RecordBatch {
	schema := w.SpineSchema()
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rb.Release()
	var out []arrow.RecordBatch
	cut := len(w.Spine)
	for i := range w.Spine {
		if len(w.Way.Cuts) > 0 {
			cut = max(1, w.Way.Cuts[len(out)%len(w.Way.Cuts)])
		}
		for c, x := range w.cells(i) {
			AppendValue(rb.Field(c), x)
		}
		if rb.Field(0).Len() >= cut || i == len(w.Spine)-1 {
			out = append(out, rb.NewRecordBatch())
		}
	}
	return out
}

// Batches gives record batches as an offline.RowReader.
type Batches struct {
	Of   *arrow.Schema
	Recs []arrow.RecordBatch
}

// Schema is that of every batch.
func (b *Batches) Schema() *arrow.Schema { return b.Of }

// Read gives the next batch.
func (b *Batches) Read() (arrow.RecordBatch, error) {
	if len(b.Recs) == 0 {
		return nil, io.EOF
	}
	r := b.Recs[0]
	b.Recs = b.Recs[1:]
	r.Retain()
	return r, nil
}
