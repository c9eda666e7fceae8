package offline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// rowHash hashes a stream of rows by their typed values: the order of rows and
// columns, names and types count; batch sizes, Arrow's ways to lay out the same
// values and the file they end in do not. Each column has a SHA-256 of its own over,
// for each row,
//
//	00                          null
//	01 + 1, 4 or 8 bytes, LE    bool, int32, float32; int64, float64, timestamp
//	01 + length (8, LE) + bytes string, bytes
//	01 + count (8, LE) + each element as a value of its type   array
//
// (every NaN is the same one), and a set of columns is the SHA-256 over their
// names, types and sums, and the number of rows. Integers of other widths and
// times of other units count as what they become in feature types. Lists that the
// spine brings along count as their JSON text: of whatever width their elements are,
// and null ones too.
type rowHash struct {
	spine int // how many of the first columns are the spine's
	cols  []hashColumn
	rows  int64
}

type hashColumn struct {
	name string
	typ  feature.Type
	h    hash.Hash
	buf  []byte
}

func newRowHash(spine int) *rowHash { return &rowHash{spine: spine} }

// hashBuffer is how many bytes are hashed at once; they stay in the processor's cache.
const hashBuffer = 16 << 10

func (r *rowHash) write(rec arrow.RecordBatch) error {
	if r.cols == nil {
		for i, f := range rec.Schema().Fields() {
			t, _ := tabular.TypeOf(f.Type)
			if t.IsArray() && i < r.spine {
				t = feature.String
			}
			r.cols = append(r.cols, hashColumn{name: rec.ColumnName(i), typ: t, h: sha256.New(), buf: make([]byte, 0, hashBuffer)})
		}
	}
	for i := range r.cols {
		if err := r.cols[i].write(rec.Column(i)); err != nil {
			return feature.Errorf(feature.Invalid, opSnapshot, "column "+r.cols[i].name, "%w", err)
		}
	}
	r.rows += rec.NumRows()
	return nil
}

func (c *hashColumn) write(a arrow.Array) error {
	if c.typ.IsArray() {
		lists, err := tabular.Lists(a, c.typ)
		if err == nil {
			defer lists.Release()
			c.addLists(lists)
		}
		return err
	}
	as, err := tabular.Convert(a, c.typ)
	if err == nil {
		defer as.Release()
		c.add(as)
	}
	return err
}

// Bits of the one NaN, and those above which every other number's are, the sign left out.
const (
	nan32, infinite32 = 0x7fc00000, 0x7f800000
	nan64, infinite64 = 0x7ff8000000000001, 0x7ff0000000000000
)

func (c *hashColumn) add(a arrow.Array) {
	if a.NullN() == a.Len() { // there may be no values to look at
		for range a.Len() {
			addText(c, true, "")
		}
		return
	}
	switch a := a.(type) {
	case *array.Boolean:
		for i := range a.Len() {
			switch {
			case a.IsNull(i):
				c.small(0)
			case a.Value(i):
				c.small(1, 1)
			default:
				c.small(1, 0)
			}
		}
	case *array.Int32:
		c.narrow(a, view[uint32](a.Int32Values()), math.MaxUint32)
	case *array.Float32:
		c.narrow(a, view[uint32](a.Float32Values()), infinite32)
	case *array.Int64:
		c.wide(a, view[uint64](a.Int64Values()), math.MaxUint64)
	case *array.Timestamp:
		c.wide(a, view[uint64](a.TimestampValues()), math.MaxUint64)
	case *array.Float64:
		c.wide(a, view[uint64](a.Float64Values()), infinite64)
	case *array.String:
		for i := range a.Len() {
			addText(c, a.IsNull(i), a.Value(i))
		}
	case *array.Binary:
		for i := range a.Len() {
			addText(c, a.IsNull(i), a.Value(i))
		}
	}
}

// wide adds values of 64 bits; what is above most, the sign left out, is NaN. A null
// is written as a value, of which only the first byte stays.
func (c *hashColumn) wide(a arrow.Array, values []uint64, most uint64) {
	const size = 9
	bits, at, nulls := a.NullBitmapBytes(), a.Data().Offset(), a.NullN() > 0
	for lo := 0; lo < len(values); {
		part := values[lo:min(len(values), lo+hashBuffer/size)]
		c.flush()
		buf, k := c.buf[:hashBuffer], 0
		for i, v := range part {
			if v&^(1<<63) > most {
				v = nan64
			}
			valid := 1
			if nulls {
				valid = int(bits[(at+lo+i)>>3]>>((at+lo+i)&7)) & 1
			}
			dst := (*[size]byte)(buf[k:])
			dst[0] = byte(valid)
			binary.LittleEndian.PutUint64(dst[1:], v)
			k += 1 + (size-1)*valid
		}
		c.buf = buf[:k]
		lo += len(part)
	}
}

// narrow adds values of 32 bits, like wide.
func (c *hashColumn) narrow(a arrow.Array, values []uint32, most uint32) {
	const size = 5
	bits, at, nulls := a.NullBitmapBytes(), a.Data().Offset(), a.NullN() > 0
	for lo := 0; lo < len(values); {
		part := values[lo:min(len(values), lo+hashBuffer/size)]
		c.flush()
		buf, k := c.buf[:hashBuffer], 0
		for i, v := range part {
			if v&^(1<<31) > most {
				v = nan32
			}
			valid := 1
			if nulls {
				valid = int(bits[(at+lo+i)>>3]>>((at+lo+i)&7)) & 1
			}
			dst := (*[size]byte)(buf[k:])
			dst[0] = byte(valid)
			binary.LittleEndian.PutUint32(dst[1:], v)
			k += 1 + (size-1)*valid
		}
		c.buf = buf[:k]
		lo += len(part)
	}
}

// small adds a few bytes.
func (c *hashColumn) small(b ...byte) {
	if c.buf = append(c.buf, b...); len(c.buf) >= hashBuffer-8 {
		c.flush()
	}
}

func addText[T string | []byte](c *hashColumn, null bool, v T) {
	if null {
		c.small(0)
		return
	}
	if len(c.buf)+9+len(v) > hashBuffer {
		c.flush()
	}
	c.buf = binary.LittleEndian.AppendUint64(append(c.buf, 1), uint64(len(v)))
	if 9+len(v) > hashBuffer {
		c.flush()
		writeText(c.h, v)
		return
	}
	c.buf = append(c.buf, v...)
}

// writeText hashes a text that is longer than the buffer.
func writeText[T string | []byte](h hash.Hash, v T) {
	for len(v) > 0 {
		n := min(len(v), hashBuffer)
		h.Write([]byte(v[:n]))
		v = v[n:]
	}
}

func (c *hashColumn) flush() {
	c.h.Write(c.buf)
	c.buf = c.buf[:0]
}

// sums are the hash of the spine's columns and that of all columns, as "sha256:<hex>".
func (r *rowHash) sums() (spine, content string) {
	n := min(r.spine, len(r.cols))
	sums := make([][]byte, len(r.cols))
	for i := range r.cols {
		r.cols[i].flush()
		sums[i] = r.cols[i].h.Sum(nil)
	}
	return r.sum(sums[:n]), r.sum(sums)
}

func (r *rowHash) sum(sums [][]byte) string {
	h := sha256.New()
	b := []byte("weir rows 1\n")
	for i, s := range sums {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(r.cols[i].name)))
		b = append(b, r.cols[i].name...)
		b = append(append(b, byte(r.cols[i].typ)), s...)
	}
	h.Write(binary.LittleEndian.AppendUint64(b, uint64(r.rows)))
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
