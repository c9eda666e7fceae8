package expect

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// windowExamples is how many different unexpected values a window keeps of a rule.
const windowExamples = 20

// rowsState counts what a rule says of single rows.
type rowsState struct {
	elements, evaluated, unexpected int64
	// seen are the unexpected values with the smallest hashes, by them: which they are
	// does not depend on the order that values come in, and they are counted exactly.
	seen []seenValue
	more bool // there were others
}

// seenValue is an unexpected value.
type seenValue struct {
	hash      uint64
	count     int64
	partition int32 // where it was first met: the least partition and offset
	offset    int64
	key       string // the value, as readKey reads it
}

func (v *seenValue) before(partition int32, offset int64) bool {
	return v.partition < partition || v.partition == partition && v.offset <= offset
}

func (x *rowsState) kind() byte { return rowsKind }

func (x *rowsState) fold(e *entry, run loop, f *folder, b *batch) {
	clear(f.fail)
	evaluated := run(b, f.fail)
	x.elements += int64(b.liveCount)
	x.evaluated += int64(evaluated)
	n := f.fail.Count()
	if n == 0 {
		return
	}
	x.unexpected += int64(n)
	for i := range f.fail.Rows() {
		x.see(e, f, b, i)
	}
}

// see counts an unexpected row's value.
func (x *rowsState) see(e *entry, f *folder, b *batch, i int) {
	f.key = f.key[:0]
	for _, c := range e.columns {
		f.key = b.cols[c].appendKey(f.key, i)
	}
	hash := xxhash.Sum64(f.key)
	if len(x.seen) == windowExamples && hash > x.seen[windowExamples-1].hash {
		x.more = true
		return
	}
	at, found := slices.BinarySearchFunc(x.seen, hash, func(v seenValue, h uint64) int { return cmp.Compare(v.hash, h) })
	if found {
		v := &x.seen[at]
		v.count++
		if !v.before(f.partition, f.place(i)) {
			v.partition, v.offset = f.partition, f.place(i)
		}
		return
	}
	f.key = f.key[:0]
	for _, c := range e.columns {
		f.key = b.cols[c].appendShown(f.key, i, len(e.columns))
	}
	x.insert(at, seenValue{hash, 1, f.partition, f.place(i), string(f.key)})
}

func (x *rowsState) insert(at int, v seenValue) {
	if at == windowExamples {
		x.more = true
		return
	}
	if x.seen = slices.Insert(x.seen, at, v); len(x.seen) > windowExamples {
		x.seen, x.more = x.seen[:windowExamples], true
	}
}

// appendShown is appendKey for a value that is to be shown: long texts are cut, and
// those of several columns more.
func (c *column) appendShown(dst []byte, i, columns int) []byte {
	if !c.typ.Variable() || !c.present.Get(i) {
		return c.appendKey(dst, i)
	}
	s := c.str(i)
	if c.typ.IsArray() {
		s = feature.ArrayText(c.typ, []byte(s))
	}
	s = sketch.Label(s)
	if most := max(24, 512/columns); len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "…"
	}
	dst = append(dst, byte(textCell))
	return wire.Text(dst, s)
}

func (x *rowsState) merge(o state) {
	other := o.(*rowsState)
	x.elements += other.elements
	x.evaluated += other.evaluated
	x.unexpected += other.unexpected
	x.more = x.more || other.more
	for _, v := range other.seen {
		at, found := slices.BinarySearchFunc(x.seen, v.hash, func(v seenValue, h uint64) int { return cmp.Compare(v.hash, h) })
		if !found {
			x.insert(at, v)
			continue
		}
		have := &x.seen[at]
		have.count += v.count
		if !have.before(v.partition, v.offset) {
			have.partition, have.offset, have.key = v.partition, v.offset, v.key
		}
	}
}

func (x *rowsState) size() int64 {
	n := int64(64 + 56*cap(x.seen))
	for i := range x.seen {
		n += int64(len(x.seen[i].key))
	}
	return n
}

func (x *rowsState) append(b []byte) []byte {
	for _, n := range []int64{x.elements, x.evaluated, x.unexpected} {
		b = wire.Uint(b, uint64(n))
	}
	b = wire.Bool(b, x.more)
	b = wire.Uint(b, uint64(len(x.seen)))
	for _, v := range x.seen {
		b = binary.LittleEndian.AppendUint64(b, v.hash)
		b = wire.Uint(b, uint64(v.count))
		b = wire.Int(b, int64(v.partition))
		b = wire.Int(b, v.offset)
		b = wire.Text(b, v.key)
	}
	return b
}

func readRows(r *wire.Reader) state {
	x := &rowsState{elements: count(r), evaluated: count(r), unexpected: count(r), more: truth(r)}
	n := r.Length(12)
	if n > windowExamples || x.unexpected > x.evaluated || x.evaluated > x.elements {
		r.Fail()
	}
	for i := 0; i < n; i++ {
		v := seenValue{hash: word(r), count: count(r), partition: r.Int32(), offset: r.Int(), key: r.Text()}
		if i > 0 && v.hash <= x.seen[i-1].hash || v.count < 1 {
			r.Fail()
			break
		}
		x.seen = append(x.seen, v)
	}
	return x
}

// result fills the part of a result that is about rows.
func (x *rowsState) result(e *entry, s *Suite, res *Result) {
	rowResult(res, x.unexpected, x.elements, x.evaluated)
	for _, v := range x.seen {
		val, ok := shownValue(e, s, v.key)
		if !ok {
			continue
		}
		res.Counts = append(res.Counts, ValueCount{val, v.count})
		if e.shape == rowOfValues {
			val = named(e.names, val)
		}
		res.Examples = append(res.Examples, Example{Row: v.offset, Partition: v.partition, Value: val})
	}
	sortCounts(res.Counts)
	slices.SortStableFunc(res.Examples, func(a, b Example) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Row, b.Row))
	})
	if x.more {
		res.More = map[string]any{"partial_unexpected_values": int64(windowExamples)}
	}
}

// shownValue is the value of an unexpected row: a []any of several columns.
func shownValue(e *entry, s *Suite, key string) (any, bool) {
	k := []byte(key)
	vs := make([]any, len(e.columns))
	for i, c := range e.columns {
		t := s.columns[c].typ
		if t.IsArray() {
			t = feature.String
		}
		var ok bool
		if vs[i], k, ok = readKeySafe(t, k); !ok {
			return nil, false
		}
	}
	if len(vs) == 1 {
		return vs[0], len(k) == 0
	}
	return vs, len(k) == 0
}

// readKeySafe is readKey for bytes that were stored.
func readKeySafe(t feature.Type, k []byte) (v any, rest []byte, ok bool) {
	if len(k) == 0 {
		return nil, nil, false
	}
	switch kind := cellKind(k[0]); kind {
	case nullCell:
	case textCell:
		n, used := binary.Uvarint(k[1:])
		if used <= 0 || n > uint64(len(k)-1-used) {
			return nil, nil, false
		}
	case intCell, floatCell, timeCell:
		if len(k) < 9 {
			return nil, nil, false
		}
	default:
		return nil, nil, false
	}
	v, rest = readKey(t, k)
	return v, rest, true
}
