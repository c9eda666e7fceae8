package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	profileRows = 1_000_000 // of a window
	profileKiB  = 8
	manyViews   = 500 // of twenty features each
	manyRows    = 4096
	manyMiB     = 512
)

// columnShapes are columns that take the most room in a profile, each in its own way.
var columnShapes = []struct {
	name string
	text func(r *rand.Rand, i int) string
	num  func(r *rand.Rand, i int) float64
}{
	{name: "normal numbers", num: func(r *rand.Rand, _ int) float64 { return r.NormFloat64() }},
	{name: "rising numbers", num: func(_ *rand.Rand, i int) float64 { return float64(i) }},
	{name: "few numbers", num: func(r *rand.Rand, _ int) float64 { return float64(r.IntN(10)) }},
	{name: "three labels", text: func(r *rand.Rand, _ int) string { return fmt.Sprint("label-", r.IntN(3)) }},
	{name: "500 labels", text: func(r *rand.Rand, _ int) string { return fmt.Sprint("label-", r.IntN(500)) }},
	{name: "20,000 labels, some often", text: func(r *rand.Rand, _ int) string {
		return fmt.Sprintf("product-%05d", min(19_999, int(r.ExpFloat64()*3000)))
	}},
	{name: "long labels that begin alike", text: func(r *rand.Rand, _ int) string {
		k := min(5000, int(r.ExpFloat64()*800))
		return fmt.Sprintf("https://shop.example.com/catalog/%05d/%s", k, strings.Repeat("x", k%120))
	}},
	{name: "all different", text: func(_ *rand.Rand, i int) string { return fmt.Sprint("user-", i) }},
}

// measureProfiles stores the profile of a window for columns of every shape.
func (r *run) measureProfiles() error {
	most, worst := 0, ""
	var all []string
	for _, s := range columnShapes {
		rng := rand.New(rand.NewPCG(3, 4))
		p := drift.NewProfiler()
		for from := 0; from < profileRows; from += batchRows {
			var col arrow.Array
			if s.num != nil {
				b := array.NewFloat64Builder(arrowmemory.DefaultAllocator)
				for i := range batchRows {
					b.Append(s.num(rng, from+i))
				}
				col = b.NewArray()
			} else {
				b := array.NewStringBuilder(arrowmemory.DefaultAllocator)
				for i := range batchRows {
					b.Append(s.text(rng, from+i))
				}
				col = b.NewArray()
			}
			schema := arrow.NewSchema([]arrow.Field{{Name: "f", Type: col.DataType()}}, nil)
			if err := p.Write(array.NewRecordBatch(schema, []arrow.Array{col}, batchRows)); err != nil {
				return err
			}
		}
		b, err := p.Profile().Sketch("f").MarshalBinary()
		if err != nil {
			return err
		}
		if len(b) > most {
			most, worst = len(b), s.name
		}
		all = append(all, fmt.Sprintf("%s %s", s.name, number(float64(len(b)))))
	}
	r.add(Line{What: "a stored profile of a feature and window of 1M rows, at worst", Value: float64(most) / 1024, Unit: "KiB", Target: profileKiB,
		Note: fmt.Sprintf("%s; bytes: %s", worst, strings.Join(all, ", "))})
	return nil
}

// measureMonitored holds deltas of 10,000 monitored features: those of a commit that has not
// landed yet, as the sinks and as the store have them, and those of the rows that came since.
func (r *run) measureMonitored(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(1, 3))
	v := twentyFeatures("v")
	batch := twentyColumns(v, rng)
	before := inUse()
	store := memory.New()
	taps := make([]*drift.Tap, manyViews)
	for i := range taps {
		of := twentyFeatures(fmt.Sprintf("v%03d", i))
		m := (&feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m_" + of.Meta.Name}, View: of.Meta.Name, ViewOf: of,
			Window: feature.Window{Size: "1h"}}).WithDefaults()
		taps[i] = drift.NewTap(of, []*feature.Monitor{m}, store, drift.TapOptions{})
		mine := *batch
		mine.View = of
		if err := taps[i].Write(ctx, &mine); err != nil {
			return err
		}
		c := &feature.Commit{ID: "c-" + of.Meta.Name, Partitions: 1, Advances: []feature.Advance{{
			From: feature.Position{TopicID: [16]byte{1}}, To: feature.Position{TopicID: [16]byte{1}, Next: manyRows, Commit: "c-" + of.Meta.Name}}}}
		taps[i].Cut(c)
		if err := taps[i].Stage(ctx, c); err != nil {
			return err
		}
		mine.Origin.First, mine.Origin.Next, mine.Offsets = manyRows, 2*manyRows, make([]int64, manyRows)
		for k := range mine.Offsets {
			mine.Offsets[k] = manyRows + int64(k)
		}
		if err := taps[i].Write(ctx, &mine); err != nil {
			return err
		}
	}
	used, told := inUse()-before, int64(0)
	for _, tap := range taps {
		told += tap.Buffered()
	}
	runtime.KeepAlive(store)
	if told == 0 {
		return fmt.Errorf("the sinks hold nothing")
	}
	r.add(Line{What: "10,000 monitored features in memory", Value: float64(used) / (1 << 20), Unit: "MiB", Target: manyMiB,
		Note: fmt.Sprintf("500 views of 12 floats, 4 texts of few values, 3 of many, 1 bool; the deltas of two flushes of %d rows each, of which one is staged in the store; the sinks tell %.0f MiB of it", manyRows, float64(told)/(1<<20))})
	return nil
}

func inUse() int64 {
	runtime.GC()
	runtime.GC() // what was pooled goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

func twentyFeatures(name string) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: name}, Keys: []feature.Field{{Name: "id", Type: feature.String}}}
	for i := range tapFeatures {
		kind := feature.Float64
		switch {
		case i == tapFeatures-1:
			kind = feature.Bool
		case i >= 12:
			kind = feature.String
		}
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%02d", i), Type: kind})
	}
	return v
}

func twentyColumns(v *feature.View, rng *rand.Rand) *feature.Batch {
	b := array.NewRecordBuilder(arrowmemory.DefaultAllocator, v.Schema())
	out := &feature.Batch{View: v, Origin: feature.Origin{TopicID: [16]byte{1}, Next: manyRows}}
	for i := range manyRows {
		out.EventTime, out.Offsets = append(out.EventTime, int64(i)*1000), append(out.Offsets, int64(i))
		b.Field(0).(*array.StringBuilder).Append("k")
		for f := range v.Features {
			switch x := b.Field(f + 1).(type) {
			case *array.Float64Builder:
				x.Append(rng.NormFloat64())
			case *array.BooleanBuilder:
				x.Append(i%3 == 0)
			case *array.StringBuilder:
				switch {
				case f < 16:
					x.Append(fmt.Sprint("category ", rng.IntN(12)))
				case f < 18:
					x.Append(fmt.Sprintf("%04d %s", rng.IntN(1000), strings.Repeat("long", 12)))
				default:
					x.Append(fmt.Sprint("user-", i))
				}
			}
		}
	}
	out.KnownTime = out.EventTime
	out.Rows = b.NewRecordBatch()
	return out
}
