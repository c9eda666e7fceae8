package offline

import (
	"context"
)

// merger merges inputs and writes what comes out of it. It is kept between
// merges, for its buffers. One goroutine at a time.
type merger struct {
	table  Table
	shape  *mergeShape
	cfg    Config
	memory int64 // for inputs that are held
	window int64 // rows of the others whose keys and times are decoded at once
	group  int   // rows of a row group
	enc    *fileEncoder
	dicts  []*textDict // by column; nil: not numbered

	inputs  []*mergeInput
	heads   []uint64 // by input: the prefix of its key
	tree    []int32  // tree[0] is the input with the least row; tree[n] who lost at node n
	skip    int      // bytes that all keys begin with
	exact   bool     // the prefixes are all there is of the keys
	in, out fingerprint
	nulls   []int64 // by column: read, less those written
	free    [][]columnData
	whole   []byte // the file that is being read

	src     []uint16 // by row of the group: its input
	pos     []uint32 // by input, one after the other: rows of the group
	ends    []uint32 // by input: where its rows end in pos
	column  gathered
	scratch columnData

	progress func(rows int64)
}

// lost marks the head of an input that is at its end; a row may have this prefix too.
const lost = 1<<64 - 1

func newMerger(t Table, shape *mergeShape, cfg Config, memory, window int64) *merger {
	m := &merger{table: t, shape: shape, cfg: cfg, memory: memory, window: window, enc: newFileEncoder(t.View(), shape.cols, cfg)}
	m.reset()
	return m
}

// reset forgets the merge before.
func (m *merger) reset() {
	m.in, m.out = fingerprint{}, fingerprint{}
	m.nulls = make([]int64, len(m.shape.cols))
	m.dicts = make([]*textDict, len(m.shape.cols))
	for ci, c := range m.shape.cols {
		if isText(c.Type) && ci >= m.shape.keys {
			m.dicts[ci] = newTextDict()
		}
	}
}

// begin makes the inputs ready; none is empty.
func (m *merger) begin(ctx context.Context, inputs []*mergeInput) error {
	m.inputs, m.skip, m.exact = inputs, 0, true
	if m.shape.long {
		var least, most []byte
		for _, in := range inputs {
			first := in.sort.keys.at(in.at)
			last, err := m.lastKey(ctx, in)
			if err != nil {
				return err
			}
			if least == nil || string(first) < string(least) {
				least = first
			}
			if most == nil || string(last) > string(most) {
				most = last
			}
		}
		for m.skip < min(len(least), len(most)) && least[m.skip] == most[m.skip] {
			m.skip++
		}
		for _, in := range inputs {
			m.exact = in.sort.keys.skipCommon(m.skip) && m.exact
		}
	}
	n := len(inputs)
	m.heads, m.tree = sized(m.heads, n), sized(m.tree, n)
	for i, in := range inputs {
		m.heads[i] = in.sort.keys.prefix[in.at]
		in.first = int64(in.at)
	}
	// Leaves are n..2n-1; the winner of each node goes up, the loser stays.
	winners := make([]int32, 2*n)
	for i := range n {
		winners[n+i] = int32(i)
	}
	for node := n - 1; node > 0; node-- {
		a, b := winners[2*node], winners[2*node+1]
		if m.less(b, a) {
			a, b = b, a
		}
		winners[node], m.tree[node] = a, b
	}
	m.tree[0] = winners[min(1, 2*n-1)]
	return nil
}

func (m *merger) less(a, b int32) bool {
	if x, y := m.heads[a], m.heads[b]; x != y {
		return x < y
	}
	return m.lessEqualPrefix(a, b)
}

// lessEqualPrefix goes beyond the prefixes.
func (m *merger) lessEqualPrefix(a, b int32) bool {
	x, y := m.inputs[a], m.inputs[b]
	if x.at >= x.n || y.at >= y.n {
		return x.at < x.n || y.at >= y.n && a < b
	}
	c := 0
	if m.exact {
		c = x.sort.compareStamps(x.at, &y.sort, y.at)
	} else {
		c = x.sort.compare(x.at, &y.sort, y.at)
	}
	return c < 0 || c == 0 && a < b
}

// next says of which inputs the next rows are, len(src) of them; the caller
// asks for no more than there are.
func (m *merger) next(ctx context.Context, src []uint16) error {
	n := int32(len(m.inputs))
	tree, heads := m.tree, m.heads
	for k := range src {
		w := tree[0]
		src[k] = uint16(w)
		in := m.inputs[w]
		in.at++
		if in.at >= in.n {
			if err := m.refill(ctx, in); err != nil {
				return err
			}
		}
		prefix := uint64(lost)
		if in.at < in.n {
			prefix = in.sort.keys.prefix[in.at]
		}
		heads[w] = prefix
		for node := (w + n) >> 1; node > 0; node >>= 1 {
			o := tree[node]
			p := heads[o]
			if p > prefix || p == prefix && !m.lessEqualPrefix(o, w) {
				continue
			}
			tree[node], w, prefix = w, o, p
		}
		tree[0] = w
	}
	return nil
}
