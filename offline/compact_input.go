package offline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// windowRows is how many rows of an input that is not held in memory have their
// keys and times decoded at once.
const windowRows = 1 << 14

// mergeShape is where the columns are that merging looks at.
type mergeShape struct {
	view                        *feature.View
	cols                        []Column // join keys first
	keys                        int
	long                        bool // keys of more than eight bytes
	eff, known, partition, offs int
	foreign                     []int // ids of columns that cannot be written
}

// newMergeShape is of all columns that a table has, whatever the view's are.
func newMergeShape(t Table) (*mergeShape, error) {
	s := &mergeShape{view: t.View(), keys: len(t.View().Keys), long: longKeys(t.View().Keys)}
	all := slices.Clone(t.AllColumns())
	for _, k := range t.Columns()[:s.keys] {
		i := slices.IndexFunc(all, func(c Column) bool { return c.ID == k.ID })
		if i < 0 {
			return nil, feature.Errorf(feature.Internal, opCompact, "view "+s.view.ID(), "the table has lost its key column %s", k.Name)
		}
		s.cols = append(s.cols, all[i])
		all = slices.Delete(all, i, i+1)
	}
	for _, c := range all {
		if c.Type == feature.InvalidType {
			s.foreign = append(s.foreign, c.ID)
			continue
		}
		s.cols = append(s.cols, c)
	}
	for _, x := range []struct {
		name string
		at   *int
	}{{ColEffective, &s.eff}, {ColKnown, &s.known}, {ColPartition, &s.partition}, {ColOffset, &s.offs}} {
		if *x.at = slices.IndexFunc(s.cols, func(c Column) bool { return c.Name == x.name }); *x.at < 0 {
			return nil, feature.Errorf(feature.Internal, opCompact, "view "+s.view.ID(), "the table has lost its column %s", x.name)
		}
	}
	return s, nil
}

// rowBytes is about what a row takes in memory.
func (s *mergeShape) rowBytes() int64 {
	n := int64(8) // the key's prefix
	for _, c := range s.cols {
		switch c.Type {
		case feature.Bool:
			n++
		case feature.Int32, feature.Float32:
			n += 4
		case feature.Int64, feature.Timestamp, feature.Float64:
			n += 8
		default:
			n += 16
			if c.Fixed > 0 {
				n -= 12
			}
		}
		if !c.Required {
			n++
		}
	}
	if s.long {
		n += 24
	}
	return n
}

// sortKeys are the keys and times of some rows, in the table's order.
type sortKeys struct {
	keys       keyList
	eff, known []int64
	partition  []int32
	offset     []int64
}

// mergeInput is rows of one file in the table's order: held in memory with all
// their columns, or read as they are needed.
type mergeInput struct {
	file File
	held []columnData // by column; nil: read from reader

	reader *rowReader
	keyed  []columnData // by column, keys and times of the window only
	window int64        // the row after the window

	sort sortKeys
	at   int // row within the window
	n    int // rows of the window

	first int64 // row of the input with which the row group at hand begins
}

// fingerprint adds up what is known of rows by their coordinates, in any order:
// what goes into a merge has to come out of it.
type fingerprint struct {
	rows                        int64
	eff, known, partition, offs uint64
}

func mixed(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

func (f *fingerprint) add(eff, known, offs []int64, partition []int32) {
	f.rows += int64(len(eff))
	f.eff += mixedSum(eff)
	f.known += mixedSum(known)
	f.offs += mixedSum(offs)
	f.partition += mixedSum(partition)
}

func mixedSum[T int32 | int64](s []T) (sum uint64) {
	for _, x := range s {
		sum += mixed(uint64(x))
	}
	return sum
}

// set makes the sort keys of decoded columns.
func (k *sortKeys) set(s *mergeShape, cols []columnData, n int) {
	k.eff, k.known, k.offset, k.partition = cols[s.eff].int64s, cols[s.known].int64s, cols[s.offs].int64s, cols[s.partition].int32s
	k.keys.reset(s.long)
	if s.keys == 1 && !s.long && (s.cols[0].Type == feature.Int64 || s.cols[0].Type == feature.Timestamp) {
		k.keys.prefix = sized(k.keys.prefix, n)
		for i, x := range cols[0].int64s[:n] {
			k.keys.prefix[i] = uint64(x) ^ 1<<63
		}
		return
	}
	var key []byte
	for i := range n {
		key = key[:0]
		for c := range s.keys {
			d := &cols[c]
			switch s.cols[c].Type {
			case feature.Bool:
				key = feature.AppendKeyBool(key, d.bools[i])
			case feature.Int32:
				key = feature.AppendKeyInt32(key, d.int32s[i])
			case feature.Int64, feature.Timestamp:
				key = feature.AppendKeyInt64(key, d.int64s[i])
			default:
				key = feature.AppendKeyText(key, d.at(i))
			}
		}
		k.keys.add(key)
	}
}

// compare orders row i of k and row j of o.
func (k *sortKeys) compare(i int, o *sortKeys, j int) int {
	if c := compareKeys(&k.keys, i, &o.keys, j); c != 0 {
		return c
	}
	return k.compareStamps(i, o, j)
}

func (k *sortKeys) compareStamps(i int, o *sortKeys, j int) int {
	if c := cmp.Compare(k.eff[i], o.eff[j]); c != 0 {
		return c
	}
	if c := cmp.Compare(k.known[i], o.known[j]); c != 0 {
		return c
	}
	if c := cmp.Compare(k.partition[i], o.partition[j]); c != 0 {
		return c
	}
	return cmp.Compare(k.offset[i], o.offset[j])
}

// sorted reports whether n rows are in order.
func (k *sortKeys) sorted(n int) bool {
	p := k.keys.prefix
	for i := 1; i < n; i++ {
		if p[i-1] < p[i] {
			continue
		}
		if p[i-1] > p[i] || k.compare(i-1, k, i) > 0 {
			return false
		}
	}
	return true
}

// skipCommon makes the prefixes the eight bytes behind the first skip, which all
// keys of a merge have in common; whether those say all of every key.
func (k *keyList) skipCommon(skip int) (exact bool) {
	if !k.long {
		return true
	}
	exact = true
	for i := range k.prefix {
		rest := k.at(i)[skip:]
		k.prefix[i] = keyPrefix(rest)
		exact = exact && len(rest) <= 8
	}
	return exact
}

// unsortedError is of a file that is not what the table says: not sorted, or, without a
// path, one of several not of the day.
type unsortedError struct{ path string }

func (e *unsortedError) Error() string {
	return fmt.Sprintf("data file %s is not sorted as the table says, or of another day", e.path)
}

// hold reads rows [lo, hi) of a file into memory. Rows that are not known to be
// sorted are sorted first by day of effective time.
func (m *merger) hold(ctx context.Context, r *rowReader, f File, lo, hi int64, sorted bool, held []columnData) (*mergeInput, error) {
	in := &mergeInput{file: f, held: held, n: int(hi - lo)}
	for ci, c := range m.shape.cols {
		if err := r.read(ctx, c, m.dicts[ci], lo, hi, &in.held[ci]); err != nil {
			return nil, err
		}
		m.nulls[ci] += int64(bytes.Count(in.held[ci].valid, []byte{0}))
	}
	in.sort.set(m.shape, in.held, in.n)
	m.in.add(in.sort.eff, in.sort.known, in.sort.offset, in.sort.partition)
	if sorted {
		if !in.sort.sorted(in.n) {
			return nil, &unsortedError{f.Path}
		}
		return in, nil
	}
	// pos is where each row goes.
	order := upTo[uint32](in.n)
	k := &in.sort
	slices.SortFunc(order, func(a, b uint32) int {
		if c := cmp.Compare(DayOf(k.eff[a]), DayOf(k.eff[b])); c != 0 {
			return c
		}
		return k.compare(int(a), k, int(b))
	})
	pos := make([]uint32, in.n)
	for to, from := range order {
		pos[from] = uint32(to)
	}
	for ci, c := range m.shape.cols {
		var g gathered
		g.begin(c.Type, in.n, m.dicts[ci])
		g.put(c.Type, pos, &in.held[ci], 0, m.dicts[ci])
		d, err := g.done(c.Type, m.dicts[ci])
		if err != nil {
			return nil, err
		}
		in.held[ci] = *d
	}
	in.sort = sortKeys{}
	in.sort.set(m.shape, in.held, in.n)
	return in, nil
}

// stream makes an input of a sorted file that stays open.
func (m *merger) stream(ctx context.Context, r *rowReader, f File) (*mergeInput, error) {
	in := &mergeInput{file: f, reader: r, keyed: make([]columnData, len(m.shape.cols))}
	return in, m.refill(ctx, in)
}

// refill moves the window of a streamed input on; n is 0 at the end.
func (m *merger) refill(ctx context.Context, in *mergeInput) error {
	before := in.n
	in.at, in.n = 0, 0
	if in.held != nil || in.window == in.reader.rows() {
		return nil
	}
	lo := in.window
	hi := min(lo+m.window, in.reader.rows())
	var last sortKeys // the row before the window
	if lo > 0 {
		last = in.sort.row(before - 1)
	}
	s := m.shape
	for ci, c := range s.cols {
		if ci < s.keys || ci == s.eff || ci == s.known || ci == s.partition || ci == s.offs {
			if err := in.reader.read(ctx, c, nil, lo, hi, &in.keyed[ci]); err != nil {
				return err
			}
		}
	}
	in.window, in.n = hi, int(hi-lo)
	in.sort.set(s, in.keyed, in.n)
	m.in.add(in.sort.eff, in.sort.known, in.sort.offset, in.sort.partition)
	last.keys.skipCommon(0)
	if !in.sort.sorted(in.n) || lo > 0 && last.compare(0, &in.sort, 0) > 0 {
		return &unsortedError{in.file.Path}
	}
	if m.skip > 0 {
		m.exact = in.sort.keys.skipCommon(m.skip) && m.exact
	}
	return nil
}

// row is a copy of one row.
func (k *sortKeys) row(i int) sortKeys {
	r := sortKeys{eff: []int64{k.eff[i]}, known: []int64{k.known[i]}, partition: []int32{k.partition[i]}, offset: []int64{k.offset[i]}}
	r.keys = keyList{prefix: []uint64{k.keys.prefix[i]}, long: k.keys.long}
	if k.keys.long {
		r.keys.data = bytes.Clone(k.keys.at(i))
		r.keys.ends = []uint32{uint32(len(r.keys.data))}
	}
	return r
}

// lastKey is the last key of an input, in bytes.
func (m *merger) lastKey(ctx context.Context, in *mergeInput) ([]byte, error) {
	if in.held != nil {
		return in.sort.keys.at(in.n - 1), nil
	}
	cols := make([]columnData, len(m.shape.cols))
	s := *m.shape
	for ci, c := range s.cols {
		if ci < s.keys || ci == s.eff || ci == s.known || ci == s.partition || ci == s.offs {
			if err := in.reader.read(ctx, c, nil, in.reader.rows()-1, in.reader.rows(), &cols[ci]); err != nil {
				return nil, err
			}
		}
	}
	var k sortKeys
	k.set(&s, cols, 1)
	return k.keys.at(0), nil
}
