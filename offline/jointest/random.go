package jointest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Limits bound a random world.
type Limits struct {
	Views, Facts, Spine int  // at most: views, facts of a view, rows of the spine
	Arrays              bool // features may be arrays, too
}

// Usual is what most tests take.
func Usual() Limits { return Limits{Views: 3, Facts: 120, Spine: 150, Arrays: true} }

var keyShapes = [][]feature.Field{
	{{Name: "id", Type: feature.Int64}},
	{{Name: "id", Type: feature.Int64}},
	{{Name: "name", Type: feature.String}},
	{{Name: "name", Type: feature.String}, {Name: "id", Type: feature.Int64}},
	{{Name: "id", Type: feature.Int64}, {Name: "name", Type: feature.String}},
	{{Name: "flag", Type: feature.Bool}, {Name: "small", Type: feature.Int32}},
	{{Name: "raw", Type: feature.Bytes}, {Name: "when", Type: feature.Timestamp}},
	{{Name: "small", Type: feature.Int32}},
	{{Name: "flag", Type: feature.Bool}},
	{{Name: "when", Type: feature.Timestamp}},
	{{Name: "small", Type: feature.Int32}, {Name: "flag", Type: feature.Bool}, {Name: "name", Type: feature.String}},
}

var featureTypes = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}

// dice draws the parts of one world.
type dice struct {
	*rand.Rand
	l    Limits
	w    *World
	base int64
	span int64 // microseconds that times lie in
	keys int   // how many different values of a key there are, about
	skew int   // of keys: 0 even, 1 nearly all rows have one, 2 hardly any two rows have the same
	ties int   // how the times of facts come: see stamp
}

// Random draws a world: few rows, close together, so that all that may go wrong
// between two rows does happen.
func Random(r *rand.Rand, l Limits) *World {
	d := &dice{Rand: r, l: l, w: &World{Clock: feature.KnownClock}}
	if d.IntN(2) == 0 {
		d.w.Clock = feature.EventClock
	}
	d.span = []int64{1, 6, 20, 1000, 3 * offline.Day, 60 * offline.Day}[d.IntN(6)]
	d.base = []int64{1_700_000_000_000_000, 1_700_000_000_000_000, 1_699_999_999_999_990 / offline.Day * offline.Day, 0, -3 * offline.Day / 2, feature.MinTime, feature.MaxTime - 70*offline.Day}[d.IntN(7)]
	d.keys = 1 + d.IntN(12)
	d.skew = []int{0, 0, 1, 2}[d.IntN(4)]
	d.ties = d.IntN(7)
	for i := range 1 + d.IntN(l.Views) {
		d.w.Views = append(d.w.Views, d.view(i))
	}
	d.spine()
	d.way()
	return d.w
}

func (d *dice) when() int64 { return d.base + d.Int64N(d.span) }

func (d *dice) way() {
	w := &d.w.Way
	w.Writer = d.IntN(3) == 0
	w.Commits = 1 + d.IntN(6)
	w.GroupRows = []int{1024, 1 << 18}[d.IntN(2)]
	w.PageBytes = []int{4096, 64 << 10}[d.IntN(2)]
	w.Compact = d.IntN(4) == 0
	for range d.IntN(4) {
		w.Cuts = append(w.Cuts, 1+d.IntN(60))
	}
	w.Memory = []int64{1, 4000, 64 << 10, 0}[d.IntN(4)] // one batch a chunk, some chunks, one chunk
	w.Workers = 1 + d.IntN(4)
}

func (d *dice) view(i int) View {
	v := View{Name: fmt.Sprintf("v%d", i), Keys: keyShapes[d.IntN(len(keyShapes))]}
	switch d.IntN(5) {
	case 0:
		v.TTL = 1
	case 1:
		v.TTL = 1 + d.Int64N(5)
	case 2:
		v.TTL = 1 + d.Int64N(d.span)
	}
	evolves := d.IntN(4) == 0
	for k := range 1 + d.IntN(4) {
		f := Feature{Name: fmt.Sprintf("f%d", k), Type: featureTypes[d.IntN(len(featureTypes))]}
		if d.l.Arrays && d.IntN(3) == 0 {
			f.Type = feature.Array(f.Type)
		}
		if evolves && k > 0 { // the first stays, so that a version is never without features
			switch d.IntN(4) {
			case 0:
				f.Added = true
			case 1:
				f.WasName = fmt.Sprintf("old%d", k)
			case 2:
				switch f.Type {
				case feature.Int64:
					f.WasType = feature.Int32
				case feature.Float64:
					f.WasType = feature.Float32
				}
			}
		}
		v.Features = append(v.Features, f)
	}
	d.facts(&v, evolves)
	for range 1 + d.IntN(4) {
		v.Files = append(v.Files, File{Sorted: d.IntN(5) > 0, Bounds: d.IntN(5) > 0, GroupRows: []int{1, 1 + d.IntN(40), 0}[d.IntN(3)], PageBytes: []int{1, 1 + d.IntN(200), 0}[d.IntN(3)]})
	}
	return v
}

func (d *dice) facts(v *View, evolves bool) {
	n := d.IntN(d.l.Facts)
	if d.IntN(8) == 0 {
		n = 0
	}
	old := 0
	if evolves && v.Evolved() {
		old = d.IntN(n + 1)
	}
	files := 1 + d.IntN(8)
	byDay := d.IntN(3) == 0 // as ingested: a file holds one day
	offsets := map[int32]int64{}
	for i := range n {
		f := Fact{Partition: int32(d.IntN(4)) - 1, Old: i < old, Dead: d.IntN(8) == 0}
		f.Offset = offsets[f.Partition]
		offsets[f.Partition] += 1 + d.Int64N(3)/2
		for _, k := range v.Keys {
			f.Keys = append(f.Keys, d.key(k.Type, i))
		}
		d.stamp(&f)
		for _, x := range v.Features {
			switch {
			case f.Dead || f.Old && x.Added:
				f.Values = append(f.Values, nil)
			case f.Old && x.WasType == feature.Int32:
				f.Values = append(f.Values, wide(d.value(feature.Int32)))
			case f.Old && x.WasType == feature.Float32:
				f.Values = append(f.Values, wide(d.value(feature.Float32)))
			default:
				f.Values = append(f.Values, d.value(x.Type))
			}
		}
		f.File = d.IntN(files)
		if byDay {
			f.File = int(offline.DayOf(min(f.Event, f.Known))-offline.DayOf(d.base)+2) % 12
		}
		v.Facts = append(v.Facts, f)
	}
}

func wide(x any) any {
	switch x := x.(type) {
	case int32:
		return int64(x)
	case float32:
		return float64(x)
	}
	return x
}

// stamp draws the two times of a fact.
func (d *dice) stamp(f *Fact) {
	f.Event = d.when()
	switch d.ties {
	case 0: // everything happened and was known at once: partition and offset decide
		f.Event, f.Known = d.base, d.base
	case 1: // all effective times are the same, known times are few
		f.Event, f.Known = d.base, d.base+d.Int64N(3)
	case 2: // the other way round: clocks that run ahead, by different lengths
		f.Event, f.Known = d.base+d.Int64N(3), d.base
	default:
		switch d.IntN(5) {
		case 0:
			f.Known = f.Event
		case 1:
			f.Known = d.when() // late, or ahead of itself
		case 2:
			f.Known = f.Event + d.Int64N(5)
		case 3:
			f.Known = f.Event + 2*offline.Day // history loaded later
		case 4:
			f.Known = f.Event - d.Int64N(4) // ahead
		}
	}
	if f.Dead { // its record's time is all it has
		f.Event = f.Known
	}
	f.Event, f.Known = min(max(f.Event, feature.MinTime), feature.MaxTime), min(max(f.Known, feature.MinTime), feature.MaxTime)
}

// key draws from few values, so that keys meet; some of them are awkward.
func (d *dice) key(t feature.Type, row int) any {
	n := d.IntN(d.keys)
	switch d.skew {
	case 1:
		if d.IntN(10) > 0 {
			n = 0
		}
	case 2:
		n = row
	}
	switch t {
	case feature.Bool:
		return n%2 == 0
	case feature.Int32:
		return int32(n-d.keys/2) * 77_777_777
	case feature.Int64, feature.Timestamp:
		if t == feature.Int64 && n < 2 {
			return []int64{math.MinInt64, math.MaxInt64}[n]
		}
		return int64(n-d.keys/2) * 1_000_003
	case feature.Bytes:
		return append([]byte{0, 0xff, 0}[:n%4], byte(n))
	}
	return []string{"", "a", "a\x00", "a\x00b", "customer_1", "customer_10", "customer_100", "ab", "é", "customer"}[n%10] + map[bool]string{true: fmt.Sprint(n / 10)}[n >= 10]
}

func (d *dice) value(t feature.Type) any {
	if d.IntN(4) == 0 {
		return nil
	}
	if t.IsArray() {
		out := []any{}
		for range []int{0, 1, 2, 3, d.IntN(30)}[d.IntN(5)] {
			if x := d.value(t.Elem()); x != nil {
				out = append(out, x)
			}
		}
		return out
	}
	switch t {
	case feature.Bool:
		return d.IntN(2) == 0
	case feature.Int32:
		return int32(d.Uint32())
	case feature.Int64:
		return int64(d.Uint64())
	case feature.Timestamp:
		return d.when()
	case feature.Float32:
		return []float32{float32(math.NaN()), float32(math.Copysign(0, -1)), float32(math.Inf(1)), d.Float32(), d.Float32(), d.Float32(), d.Float32()}[d.IntN(7)]
	case feature.Float64:
		return []float64{math.NaN(), math.Copysign(0, -1), math.Inf(-1), d.Float64(), d.Float64(), -d.Float64(), 0}[d.IntN(7)]
	case feature.Bytes:
		return []byte(strconv.Itoa(d.IntN(50)))[d.IntN(2):]
	}
	return []string{"", "value " + strconv.Itoa(d.IntN(50)), "é\x00"}[min(2, d.IntN(9)/3)]
}

func (d *dice) spine() {
	n := d.IntN(d.l.Spine)
	fields := d.w.KeyFields()
	for len(d.w.Spine) < n {
		i := len(d.w.Spine)
		if i > 0 && d.IntN(10) == 0 { // the same again
			d.w.Spine = append(d.w.Spine, d.w.Spine[d.IntN(i)])
			continue
		}
		s := Row{Keys: map[string]any{}, Time: d.time(d.when() + d.Int64N(3)*d.span/2), Note: d.value(feature.String), Mark: d.value(feature.Float64)}
		for _, f := range fields {
			if d.IntN(20) > 0 {
				s.Keys[f.Name] = d.key(f.Type, i)
			}
		}
		v := &d.w.Views[d.IntN(len(d.w.Views))]
		switch {
		case d.IntN(20) == 0:
			s.Time = nil
		case len(v.Facts) > 0 && d.IntN(2) == 0: // at a key that is there, at an end or a microsecond beside it
			f := v.Facts[d.IntN(len(v.Facts))]
			at := []int64{f.Known, f.Event, min(f.Known, f.Event) + v.TTL, f.Event + v.TTL}
			s.Time = d.time(at[d.IntN(4)] + d.Int64N(3) - 1)
			for i, k := range v.Keys {
				s.Keys[k.Name] = f.Keys[i]
			}
		}
		d.w.Spine = append(d.w.Spine, s)
	}
	if d.IntN(4) == 0 {
		slices.SortFunc(d.w.Spine, func(a, b Row) int {
			x, _ := a.Time.(int64)
			y, _ := b.Time.(int64)
			return int(min(1, max(-1, x-y)))
		})
	}
}

func (d *dice) time(at int64) any { return min(max(at, feature.MinTime), feature.MaxTime) }
