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
//
// (every NaN is the same one), and a set of columns is the SHA-256 over their
// names, types and sums, and the number of rows. Integers of other widths and
// times of other units count as what they become in feature types.
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

const hashBuffer = 16 << 10

func (r *rowHash) write(rec arrow.RecordBatch) error {
	if r.cols == nil {
		for i, f := range rec.Schema().Fields() {
			t, _ := tabular.TypeOf(f.Type)
			r.cols = append(r.cols, hashColumn{name: rec.ColumnName(i), typ: t, h: sha256.New(), buf: make([]byte, 0, hashBuffer+64)})
		}
	}
	for i := range r.cols {
		c, err := tabular.Convert(rec.Column(i), r.cols[i].typ)
		if err != nil {
			return feature.Errorf(feature.Invalid, opSnapshot, "column "+r.cols[i].name, "%w", err)
		}
		r.cols[i].add(c)
		c.Release()
	}
	r.rows += rec.NumRows()
	return nil
}

func (c *hashColumn) add(a arrow.Array) {
	switch a := a.(type) {
	case *array.Boolean:
		addFixed(c, a, func(dst []byte, i int) []byte {
			if a.Value(i) {
				return append(dst, 1)
			}
			return append(dst, 0)
		})
	case *array.Int32:
		addFixed(c, a, func(dst []byte, i int) []byte {
			return binary.LittleEndian.AppendUint32(dst, uint32(a.Value(i)))
		})
	case *array.Float32:
		addFixed(c, a, func(dst []byte, i int) []byte {
			v := math.Float32bits(a.Value(i))
			if a.Value(i) != a.Value(i) {
				v = 0x7fc00000
			}
			return binary.LittleEndian.AppendUint32(dst, v)
		})
	case *array.Int64:
		addFixed(c, a, func(dst []byte, i int) []byte {
			return binary.LittleEndian.AppendUint64(dst, uint64(a.Value(i)))
		})
	case *array.Timestamp:
		addFixed(c, a, func(dst []byte, i int) []byte {
			return binary.LittleEndian.AppendUint64(dst, uint64(a.Value(i)))
		})
	case *array.Float64:
		addFixed(c, a, func(dst []byte, i int) []byte {
			v := math.Float64bits(a.Value(i))
			if a.Value(i) != a.Value(i) {
				v = 0x7ff8000000000001
			}
			return binary.LittleEndian.AppendUint64(dst, v)
		})
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

func addFixed(c *hashColumn, a arrow.Array, put func([]byte, int) []byte) {
	for i := range a.Len() {
		if a.IsNull(i) {
			c.buf = append(c.buf, 0)
		} else {
			c.buf = put(append(c.buf, 1), i)
		}
		if len(c.buf) >= hashBuffer {
			c.flush()
		}
	}
}

func addText[T string | []byte](c *hashColumn, null bool, v T) {
	if null {
		c.buf = append(c.buf, 0)
	} else {
		c.buf = binary.LittleEndian.AppendUint64(append(c.buf, 1), uint64(len(v)))
		c.buf = append(c.buf, v...)
	}
	if len(c.buf) >= hashBuffer {
		c.flush()
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
