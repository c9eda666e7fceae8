package compare

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// file is one of the two, read as often as its columns do not fit into memory together.
type file struct {
	path    string
	options tabular.ReadOptions
	columns bool // a pass costs what its columns do (Parquet)
	names   []string
	types   []feature.Type
	rows    int64
	open    *tabular.Reader // of the schema, for the first pass; nil afterwards
	told    func(read, size int64)
	spare   spare
}

// spare is memory of a column that is done with.
type spare struct{ numbers []float64 }

func (s *spare) give(c *column) {
	if c != nil && cap(c.numbers) > cap(s.numbers) {
		s.numbers = c.numbers[:0]
	}
}

func (s *spare) take() []float64 {
	v := s.numbers
	s.numbers = nil
	return v
}

func openFile(ctx context.Context, path string, o tabular.ReadOptions) (*file, error) {
	f := &file{path: path, options: o}
	f.options.NullElements = true
	if o.Format == "" {
		var err error
		if o.Format, err = tabular.FormatOf(path); err != nil {
			return nil, err
		}
	}
	f.columns = o.Format == tabular.Parquet
	if f.columns {
		f.options.Only = map[string]bool{} // the schema is all that is read of it now
	}
	r, err := tabular.Open(ctx, path, f.options)
	if err != nil {
		return nil, err
	}
	declared := map[string]feature.Type{}
	for _, x := range r.Schema().Fields() {
		if slices.Contains(f.names, x.Name) {
			r.Close()
			return nil, feature.Errorf(feature.Invalid, "compare.read", path, "there are two columns %q", x.Name)
		}
		t, _ := tabular.TypeOf(x.Type)
		f.names, f.types = append(f.names, x.Name), append(f.types, t)
		declared[x.Name] = t
	}
	for name := range o.Types {
		if !f.has(name) {
			r.Close()
			return nil, feature.Errorf(feature.NotFound, "compare.read", path, "there is no column %q to have a type", name).WithHint("it has: %s", strings.Join(f.names, ", "))
		}
	}
	if f.columns {
		return f, r.Close()
	}
	f.open, f.options.Types = r, declared // types are inferred once
	return f, nil
}

func (f *file) has(name string) bool { return slices.Contains(f.names, name) }

func (f *file) close() {
	if f.open != nil {
		f.open.Close()
	}
}

// report tells how much of both files has been read. All passes over a Parquet file
// together read about the file once; of the others, what a further pass reads again is not told.
func (f *file) report(other *file, to func(done, total int64)) {
	if to == nil {
		return
	}
	var done, total [2]int64
	for i, x := range []*file{f, other} {
		var before, last int64 // of earlier passes; of this one
		x.told = func(read, size int64) {
			if read < last {
				before += last
			}
			last = read
			done[i], total[i] = min(size, before+read), size
			to(done[0]+done[1], total[0]+total[1])
		}
	}
}

// load reads the first of the named columns, as many as fit: one at least, of Parquet no
// more. A column that the file does not have is nil.
func (f *file) load(ctx context.Context, names []string, memory int64) ([]*column, error) {
	if f.columns {
		names = names[:1]
	}
	at := make([]int, len(names)) // of the columns in the file
	cols := make([]*column, len(names))
	wanted := map[string]bool{}
	for i, name := range names {
		if at[i] = slices.Index(f.names, name); at[i] >= 0 {
			cols[i] = newColumn(f.types[at[i]])
			wanted[name] = true
		}
	}
	if len(wanted) == 0 && f.rows > 0 {
		return cols, nil
	}
	r := f.open
	if f.open = nil; r == nil {
		o := f.options
		if f.columns {
			o.Only = wanted
		}
		var err error
		if r, err = tabular.Open(ctx, f.path, o); err != nil {
			return nil, err
		}
	}
	defer r.Close()
	if n := r.Rows(); n > 0 && cols[0] != nil {
		cols[0].expect(n, memory, &f.spare)
	}
	rows := int64(0)
	sorting := func() (n int64) { // takes memory for one column at a time
		for _, c := range cols {
			if c != nil {
				n = max(n, int64(len(c.numbers))*(perNumber-8))
			}
		}
		return n
	}
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			f.rows = rows
			return cols, nil
		}
		if err != nil {
			return nil, err
		}
		rows += rec.NumRows()
		held := int64(0)
		for i, c := range cols {
			if c != nil {
				c.add(rec.Column(at[i]))
				held += c.size()
			}
		}
		rec.Release()
		for held+sorting() > memory {
			// The last column waits for another pass.
			last := len(cols) - 1
			if last == 0 {
				return nil, feature.Errorf(feature.Invalid, "compare.memory", f.path+": column "+names[0], "its values take more than %d MiB", memory>>20).
					WithHint("give --memory, of which each file may use half; a number takes 24 bytes while it is sorted")
			}
			if cols[last] != nil {
				held -= cols[last].size()
			}
			cols = cols[:last]
		}
		if f.told != nil {
			f.told(r.Progress())
		}
	}
}

// column collects the values of one.
type column struct {
	typ                        feature.Type
	kind                       Kind // Numbers, Categories or Other
	rows, nulls, nan, infinite int64
	numbers                    []float64
	index                      map[string]int
	names                      []string
	counts                     []float64
	labels                     int64 // bytes of names
	last                       string
	lastAt                     int
}

func newColumn(t feature.Type) *column {
	c := &column{typ: t, kind: Other, lastAt: -1}
	switch {
	case t.IsArray():
	case t.Numeric():
		c.kind = Numbers
	case t == feature.String, t == feature.Bool:
		c.kind = Categories
		c.index = map[string]int{}
	}
	return c
}

// expect makes room for n values, so that it does not grow by copies.
func (c *column) expect(n, memory int64, s *spare) {
	if c.kind != Numbers || n*perNumber > memory {
		return
	}
	if c.numbers = s.take(); int64(cap(c.numbers)) < n {
		c.numbers = make([]float64, 0, n)
	}
}

// A number takes 8 bytes, and 16 more while it is sorted.
const perNumber = 24

func (c *column) size() int64 {
	if c.kind == Numbers {
		return int64(len(c.numbers)) * 8
	}
	return c.labels + int64(len(c.names))*80
}

// values is how many there are to compare.
func (c *column) values() int64 { return c.rows - c.nulls - c.nan - c.infinite }

func (c *column) add(a arrow.Array) {
	n := a.Len()
	c.rows += int64(n)
	nulls := a.NullN()
	c.nulls += int64(nulls)
	switch a := a.(type) {
	case *array.Float64:
		if nulls == 0 {
			c.floats(a.Float64Values())
			return
		}
		for i, v := range a.Float64Values() {
			if a.IsValid(i) {
				c.float(v)
			}
		}
	case *array.Float32:
		addNumbers(c, a, a.Float32Values())
	case *array.Int64:
		addNumbers(c, a, a.Int64Values())
	case *array.Int32:
		addNumbers(c, a, a.Int32Values())
	case *array.String:
		for i := range n {
			if nulls == 0 || a.IsValid(i) {
				c.text(a.Value(i))
			}
		}
	case *array.Boolean:
		for i := range n {
			if nulls == 0 || a.IsValid(i) {
				c.text(strconv.FormatBool(a.Value(i)))
			}
		}
	}
}

func addNumbers[T float32 | int32 | int64](c *column, a arrow.Array, v []T) {
	nulls := a.NullN() > 0
	for i, x := range v {
		if !nulls || a.IsValid(i) {
			c.float(float64(x))
		}
	}
}

func (c *column) floats(v []float64) {
	from := 0 // what is finite from here on is taken together
	for i, x := range v {
		if x-x != 0 {
			c.numbers = append(c.numbers, v[from:i]...)
			c.float(x)
			from = i + 1
		}
	}
	c.numbers = append(c.numbers, v[from:]...)
}

func (c *column) float(x float64) {
	switch {
	case x-x == 0:
		c.numbers = append(c.numbers, x)
	case x != x:
		c.nan++
	default:
		c.infinite++
	}
}

func (c *column) text(s string) {
	if c.lastAt >= 0 && s == c.last {
		c.counts[c.lastAt]++
		return
	}
	i, known := c.index[s]
	if !known {
		s = strings.Clone(s)
		i = len(c.names)
		c.index[s] = i
		c.names, c.counts = append(c.names, s), append(c.counts, 0)
		c.labels += int64(len(s))
	}
	c.counts[i]++
	c.last, c.lastAt = c.names[i], i
}
