package drift

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/datasketches-go/common"
	"github.com/apache/datasketches-go/kll"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"

	"github.com/weir-ml/weir/internal/testseed"
)

// The library that others read our sketches with.
var (
	less  common.CompareFn[float64] = func(a, b float64) bool { return a < b }
	serde                           = common.ItemSketchDoubleSerDe{}
)

func floats(v []float64, valid []bool) arrow.Array {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	b.AppendValues(v, valid)
	return b.NewArray()
}

func texts1(v []string, valid []bool) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(v, valid)
	return b.NewArray()
}

func round(t testing.TB, s *Sketch) *Sketch {
	t.Helper()
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	out := new(Sketch)
	require.NoError(t, out.UnmarshalBinary(b))
	again, err := out.MarshalBinary()
	require.NoError(t, err)
	require.True(t, bytes.Equal(b, again), "the encoding of what was decoded differs")
	return out
}

func TestNumbersAgainstExact(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, n := range []int{1, 2, 200, 256, 257, 511, 513, 5000, 40000} {
		v, valid := make([]float64, n), make([]bool, n)
		var good []float64
		for i := range v {
			v[i], valid[i] = r.NormFloat64()*3+10, i == 0 || r.IntN(10) > 0
			if valid[i] {
				good = append(good, v[i])
			}
		}
		// Three workers, each in pieces, encoded and merged; and one.
		col := floats(v, valid)
		merged, one := NewSketch(Numbers), NewSketch(Numbers)
		var f folder
		f.update(one, col, 0, n)
		for w := range 3 {
			part := NewSketch(Numbers)
			from, to := n*w/3, n*(w+1)/3
			for from < to {
				k := min(to-from, 1+r.IntN(700))
				f.update(part, col, from, from+k)
				from += k
			}
			require.NoError(t, merged.Merge(round(t, part)))
		}
		slices.Sort(good)
		for name, s := range map[string]*Sketch{"one": round(t, one), "merged": round(t, merged)} {
			require.Equal(t, int64(len(good)), s.Count, name)
			require.Equal(t, int64(n-len(good)), s.Nulls, name)
			m, ok := s.Moments()
			require.True(t, ok)
			require.Equal(t, good[0], m.Min)
			require.Equal(t, good[len(good)-1], m.Max)
			mean, variance := stat.MeanVariance(good, nil)
			require.InEpsilon(t, mean, m.Mean, 1e-12)
			if len(good) > 1 {
				require.InEpsilon(t, variance, m.Variance, 1e-9)
			}
			// 99 % confidence a sketch; the test must not fail once in a hundred runs.
			slack := 2*s.RankError() + 1e-12
			require.LessOrEqual(t, ks(exact(good...), s.num.distribution()), slack, "%s of %d", name, n)
			if n <= 256 {
				require.Zero(t, s.RankError())
			}
			b := s.KLL()
			lib, err := kll.NewKllItemsSketchFromSlice(b, less, serde)
			require.NoError(t, err)
			require.Equal(t, uint64(len(good)), lib.GetN())
			size, err := s.MarshalBinary()
			require.NoError(t, err)
			require.Less(t, len(size), 8<<10)
		}
	}
}

func TestOddNumbers(t *testing.T) {
	var f folder
	s := NewSketch(Numbers)
	f.update(s, floats([]float64{1, math.NaN(), math.Inf(1), math.Inf(-1), 3, 0}, []bool{true, true, true, true, true, false}), 0, 6)
	require.Equal(t, [3]int64{2, 1, 3}, [3]int64{s.Count, s.Nulls, s.Odd})
	m, _ := s.Moments()
	require.Equal(t, Moments{Min: 1, Max: 3, Mean: 2, Variance: 2}, m)
	round(t, s)
}

func TestUpdateTypesAndSlices(t *testing.T) {
	var f folder
	ib := array.NewInt32Builder(memory.DefaultAllocator)
	ib.AppendValues([]int32{9, 1, 2, 3, 9}, []bool{true, true, false, true, true})
	col := array.NewSlice(ib.NewArray(), 1, 4) // 1, null, 3
	s := NewSketch(Numbers)
	f.update(s, col, 0, 3)
	require.Equal(t, []float64{1, 3}, s.num.raw)
	require.Equal(t, int64(1), s.Nulls)

	bb := array.NewBooleanBuilder(memory.DefaultAllocator)
	bb.AppendValues([]bool{true, false, true, true}, []bool{true, true, false, true})
	s = NewSketch(Categories)
	f.update(s, bb.NewArray(), 1, 4)
	top, other := s.Categories()
	require.Zero(t, other)
	require.Equal(t, []Category{{"false", 1}, {"true", 1}}, top)
	require.Equal(t, int64(1), s.Nulls)

	tb := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Microsecond})
	tb.AppendValues([]arrow.Timestamp{1, 2, 3}, []bool{true, false, true})
	s = NewSketch(NullsOnly)
	f.update(s, tb.NewArray(), 0, 3)
	require.Equal(t, [2]int64{2, 1}, [2]int64{s.Count, s.Nulls})
	round(t, s)
}

func TestCategoriesCap(t *testing.T) {
	var f folder
	s := NewSketch(Categories)
	var v []string
	for i := range MaxCategories + 50 {
		v = append(v, fmt.Sprintf("v%04d", i), "usual")
	}
	f.update(s, texts1(v, nil), 0, len(v))
	top, other := s.Categories()
	require.False(t, s.cat.exact())
	require.LessOrEqual(t, len(top), MaxCategories+128)
	require.Equal(t, "usual", top[0].Value)
	require.InDelta(t, MaxCategories+50, top[0].Count, float64(s.CategoryError()))
	listed := int64(0)
	for _, c := range top {
		listed += c.Count
	}
	require.Equal(t, s.Count, listed+other)
	back := round(t, s)
	require.NoError(t, back.Merge(s))
	require.Equal(t, 2*s.Count, back.Count)

	long := string(bytes.Repeat([]byte("ü"), 5000))
	a, b := NewSketch(Categories), NewSketch(Categories)
	f.update(a, texts1([]string{long, long, long + "x"}, nil), 0, 3)
	top, _ = a.Categories()
	require.Len(t, top, 2)
	require.LessOrEqual(t, len(top[0].Value), maxLabel)
	require.NoError(t, b.Merge(round(t, a)))
	again, _ := b.Categories()
	require.Equal(t, top, again)
	require.Error(t, a.Merge(NewSketch(Numbers)))
}

func TestProfileMergeReplacesAnotherShape(t *testing.T) {
	var a, b Profile
	var f folder
	f.update(a.at("x", Categories), texts1([]string{"1"}, nil), 0, 1)
	f.update(a.at("y", Numbers), floats([]float64{4}, nil), 0, 1)
	f.update(b.at("x", Numbers), floats([]float64{1, 2}, nil), 0, 2)
	a.Merge(&b)
	require.Equal(t, Numbers, a.Sketch("x").Shape)
	require.Equal(t, int64(2), a.Sketch("x").Count)
	require.Equal(t, int64(1), a.Sketch("y").Count)
	require.Nil(t, a.Sketch("z"))
}

func TestProfiler(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "b", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "a", Type: arrow.BinaryTypes.String}}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{texts1([]string{"1", "2"}, nil), floats([]float64{3, 0}, []bool{true, false}), texts1([]string{"u", "u"}, nil)}, 2)
	r := NewProfiler("a", "b")
	require.NoError(t, r.Write(rec))
	require.NoError(t, r.Write(rec))
	b, err := r.Finish()
	require.NoError(t, err)
	var p Profile
	require.NoError(t, p.UnmarshalBinary(b))
	require.Equal(t, int64(4), p.Rows)
	require.Nil(t, p.Sketch("id"))
	require.Equal(t, int64(2), p.Sketch("b").Nulls)
	top, _ := p.Sketch("a").Categories()
	require.Equal(t, []Category{{"u", 4}}, top)
}

func FuzzProfile(f *testing.F) {
	var up folder
	for _, n := range []int{0, 1, 100, 300, 3000} {
		var p Profile
		v := sequence(n, uint64(n))
		up.update(p.at("num", Numbers), floats(v, nil), 0, n)
		if s := p.at("num", Numbers); n > 256 {
			s.num.fold()
		}
		cat := make([]string, n)
		for i := range cat {
			cat[i] = fmt.Sprint(i % 7)
		}
		up.update(p.at("cat", Categories), texts1(cat, nil), 0, n)
		up.update(p.at("none", NullsOnly), floats(v, nil), 0, n)
		p.Rows = int64(n)
		b, err := p.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Profile
		if p.UnmarshalBinary(b) != nil {
			return
		}
		// Whatever is accepted can be used.
		var other Profile
		other.Merge(&p)
		other.Merge(&p)
		for _, f := range p.Features {
			f.Quantile(0.5)
			if f.Shape == Numbers && f.Count > 0 {
				if math.IsNaN(psi(f.Sketch, f.Sketch)) {
					t.Fatal("not a number")
				}
			}
		}
		if _, err := p.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}

// What is counted may lie in memory that is used for something else afterwards.
func TestCategoriesKeepNothing(t *testing.T) {
	var c categories
	buf := []byte("red")
	for range 3 {
		c.add(unsafe.String(&buf[0], len(buf)), 1)
	}
	copy(buf, "xyz")
	require.Equal(t, []Category{{"red", 3}}, c.sorted())
	require.EqualValues(t, 3, c.of("red"))
}
