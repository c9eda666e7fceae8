package online

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// A value is a header, then one cell for each feature. The row
//
//	tenure int32 = 12, churned bool = null, contract string = "two year"
//	event time 1000 µs, known time 1300 µs, partition 2, offset 70000
//
// of a schema with id 0x0a0b0c0d is 37 bytes:
//
//	 0  01                       format 1 in the low half; flags in the high one
//	 1  0a 0b 0c 0d              schema id, big-endian
//	 5  80 00 00 00 00 00 03 e8  effective time, big-endian, sign flipped
//	13  02 01 2c                 known - effective time = 300, as a counted number
//	16  01 03                    partition + 1, counted
//	18  03 01 11 70              offset, counted
//	22  05                       a bit for each feature, lowest first; 1 is not null
//	23  0c 00 00 00              tenure, little-endian
//	27  00                       churned: a null keeps its room, all zero
//	28  08 74 77 6f 20 79 65 61 72   contract: length as a uvarint, then its bytes
//
// Bytes 5 to 21 are the order section: as plain unsigned bytes they compare as
// feature.Stamp does, so a script in the store can decide which of two rows is
// newer without understanding anything else. A counted number is its number of
// bytes (0 to 8) and then those bytes, big-endian without leading zeros: the
// longer number is the larger one, and that byte comes first. The order section begins
// at byte 5 in every format there will ever be.
//
//	part            size               what
//	format, flags   1                  0x10: tombstone, the header is all there is
//	                                   0x20: the event time is later than the known time
//	schema id       4                  which Schema the cells have
//	effective time  8                  the earlier of event and known time
//	known time      1-9                less the effective time
//	partition       1-5                plus one, so that imports (-1) are 0
//	offset          1-9
//	event time      0 or 1-9           less the known time; only under flag 0x20
//	not-null bits   (features+7)/8
//	fixed cells     1, 4 or 8 each     bool 1; int32, float32 4; int64, float64, timestamp 8
//	text cells      uvarint + bytes    strings, bytes and arrays (feature.Array: packed), in feature order; a null has no cell
//
// Fixed cells come before text cells, so a reader that wants three of fifty
// numbers goes to each without looking at the others. Protobuf (4 µs a row
// against 25 ns) and a field per feature in a hash (twice the memory, no ttl
// per view) were tried and lost.

const (
	cellFormat    = 0x01
	formatMask    = 0x0f
	flagTombstone = 0x10
	flagAhead     = 0x20

	orderStart = 5
	minHeader  = orderStart + 8 + 3
)

var errCells = errors.New("not a value of this format")

// appendCounted appends n so that longer means larger.
func appendCounted(dst []byte, n uint64) []byte {
	size := (bits.Len64(n) + 7) / 8
	dst = append(dst, byte(size))
	for s := (size - 1) * 8; s >= 0; s -= 8 {
		dst = append(dst, byte(n>>s))
	}
	return dst
}

// counted reads what appendCounted wrote; size 0 when b does not hold one.
func counted(b []byte) (n uint64, size int) {
	if len(b) == 0 || b[0] > 8 || len(b) <= int(b[0]) {
		return 0, 0
	}
	c := b[1 : 1+b[0]]
	if len(c) > 0 && c[0] == 0 {
		return 0, 0 // not the shortest form: it would compare wrongly
	}
	for _, x := range c {
		n = n<<8 | uint64(x)
	}
	return n, 1 + len(c)
}

// appendHeader appends everything before the not-null bits.
func appendHeader(dst []byte, schema uint32, s feature.Stamp, deleted bool) []byte {
	first := byte(cellFormat)
	if deleted {
		first |= flagTombstone
	}
	eff := s.Effective()
	if s.Event > s.Known {
		first |= flagAhead
	}
	dst = append(dst, first)
	dst = binary.BigEndian.AppendUint32(dst, schema)
	dst = binary.BigEndian.AppendUint64(dst, uint64(eff)^1<<63)
	dst = appendCounted(dst, uint64(s.Known)-uint64(eff))
	dst = appendCounted(dst, uint64(int64(s.Partition)+1))
	dst = appendCounted(dst, uint64(s.Offset))
	if s.Event > s.Known {
		dst = appendCounted(dst, uint64(s.Event)-uint64(s.Known))
	}
	return dst
}

// Header is what a value says before its cells.
type Header struct {
	Schema    uint32
	Stamp     feature.Stamp
	Tombstone bool
}

// ReadHeader reads a value's header and returns its cells, which alias v.
func ReadHeader(v []byte) (h Header, cells []byte, err error) {
	if len(v) < minHeader {
		return h, nil, errCells
	}
	first := v[0]
	if first&formatMask != cellFormat || first&^(formatMask|flagTombstone|flagAhead) != 0 {
		return h, nil, fmt.Errorf("%w: it begins with %#02x", errCells, first)
	}
	h.Schema = binary.BigEndian.Uint32(v[1:])
	h.Tombstone = first&flagTombstone != 0
	eff := int64(binary.BigEndian.Uint64(v[orderStart:]) ^ 1<<63)
	rest := v[orderStart+8:]
	known, n1 := counted(rest)
	part, n2 := counted(rest[n1:])
	off, n3 := counted(rest[n1+n2:])
	if n1 == 0 || n2 == 0 || n3 == 0 || part > 1<<31 || off > 1<<63-1 {
		return h, nil, errCells
	}
	rest = rest[n1+n2+n3:]
	h.Stamp = feature.Stamp{Event: eff, Known: int64(uint64(eff) + known), Partition: int32(int64(part) - 1), Offset: int64(off)}
	if h.Stamp.Known < eff {
		return h, nil, errCells
	}
	if first&flagAhead != 0 {
		ahead, n := counted(rest)
		// The effective time is the known time then, so nothing lies between them.
		h.Stamp.Event = int64(uint64(h.Stamp.Known) + ahead)
		if n == 0 || known != 0 || h.Stamp.Event <= h.Stamp.Known {
			return h, nil, errCells
		}
		rest = rest[n:]
	}
	if h.Tombstone && len(rest) != 0 {
		return h, nil, errCells
	}
	return h, rest, nil
}

// order is the order section of a value, nil when v is not one.
func order(v []byte) []byte {
	end := orderStart + 8
	for range 3 {
		if len(v) <= end {
			return nil
		}
		end += 1 + int(v[end])
	}
	if len(v) < end {
		return nil
	}
	return v[orderStart:end]
}

// Replaces reports whether value v takes the place of old: it is newer, or the
// same row again. What is not a value is older than everything. The script of
// online/redis does the same there.
func Replaces(v, old []byte) bool {
	return bytes.Compare(order(v), order(old)) >= 0
}

// CellWriter turns rows of a batch into values. Reset binds it to a batch,
// Append writes one row's value behind dst, Finish lets the batch go.
type CellWriter struct {
	schema *Schema
	fixed  []cellColumn
	text   []cellColumn
	nbits  int
}

// cellColumn is one Arrow column, taken apart once per batch.
type cellColumn struct {
	bit   int
	width int    // 0 for text
	bits  bool   // a bool: packed in data
	data  []byte // fixed: the values from row 0 on; bool: the bitmap; text: the bytes
	ends  []int32
	nulls []byte // validity bitmap; nil when nothing is null
	shift int    // bitmaps and bools begin at this bit
}

func (c *cellColumn) null(i int) bool {
	i += c.shift
	return c.nulls != nil && c.nulls[i>>3]&(1<<(i&7)) == 0
}

// Reset binds the writer to rows, whose columns from skip on are the schema's fields.
func (w *CellWriter) Reset(s *Schema, rows arrow.RecordBatch, skip int) error {
	w.schema, w.fixed, w.text, w.nbits = s, w.fixed[:0], w.text[:0], len(s.Fields)
	if int(rows.NumCols()) != skip+len(s.Fields) {
		return fmt.Errorf("%d columns where the schema has %d keys and %d features", rows.NumCols(), skip, len(s.Fields))
	}
	for i, f := range s.Fields {
		a := rows.Column(skip + i)
		if !arrow.TypeEqual(a.DataType(), f.Type.Arrow()) {
			return fmt.Errorf("column %s is %s, not %s", f.Name, a.DataType(), f.Type)
		}
		d := a.Data()
		c := cellColumn{bit: i, width: width(f.Type), shift: d.Offset()}
		if a.NullN() > 0 {
			c.nulls = a.NullBitmapBytes()
		}
		buf := d.Buffers()[1]
		switch {
		case buf == nil: // no rows, or nothing but nulls
			if a.Len() > a.NullN() {
				return fmt.Errorf("column %s has no values", f.Name)
			}
		case f.Type == feature.Bool:
			c.bits, c.data = true, buf.Bytes()
		case c.width > 0:
			c.data = buf.Bytes()[c.shift*c.width:]
		}
		if c.width == 0 {
			switch a := a.(type) {
			case *array.String:
				c.ends = a.ValueOffsets()
			case *array.Binary:
				c.ends = a.ValueOffsets()
			}
			if b := d.Buffers()[2]; b != nil {
				c.data = b.Bytes() // the offsets count from its beginning, also in a slice
			}
			w.text = append(w.text, c)
			continue
		}
		w.fixed = append(w.fixed, c)
	}
	return nil
}

// Append appends the value of row i to dst.
func (w *CellWriter) Append(dst []byte, i int, s feature.Stamp, deleted bool) []byte {
	dst = appendHeader(dst, w.schema.ID, s, deleted)
	if deleted {
		return dst
	}
	at := len(dst)
	for range (w.nbits + 7) / 8 {
		dst = append(dst, 0)
	}
	for k := range w.fixed {
		c := &w.fixed[k]
		if c.null(i) {
			dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)[:len(dst)+c.width]
			continue
		}
		dst[at+c.bit>>3] |= 1 << (c.bit & 7)
		switch {
		case c.width == 8:
			dst = append(dst, c.data[i*8:i*8+8]...)
		case c.width == 4:
			dst = append(dst, c.data[i*4:i*4+4]...)
		default:
			b := i + c.shift
			dst = append(dst, c.data[b>>3]>>(b&7)&1)
		}
	}
	for k := range w.text {
		c := &w.text[k]
		if c.null(i) {
			continue
		}
		dst[at+c.bit>>3] |= 1 << (c.bit & 7)
		v := c.data[c.ends[i]:c.ends[i+1]]
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	return dst
}

// Finish drops the references to the batch.
func (w *CellWriter) Finish() {
	clear(w.fixed)
	clear(w.text)
	w.schema, w.fixed, w.text = nil, w.fixed[:0], w.text[:0]
}

// Value makes one value from Go values (nil is null), for tools and tests; the
// hot path is CellWriter.
func Value(s *Schema, st feature.Stamp, vals ...any) ([]byte, error) {
	if len(vals) != len(s.Fields) {
		return nil, fmt.Errorf("%d values for the %d features of schema %08x", len(vals), len(s.Fields), s.ID)
	}
	fields := make([]arrow.Field, len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = arrow.Field{Name: f.Name, Type: f.Type.Arrow(), Nullable: true}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for i, x := range vals {
		switch fb := b.Field(i).(type) {
		case *array.BooleanBuilder:
			add(fb.Append, fb, x)
		case *array.Int32Builder:
			add(fb.Append, fb, x)
		case *array.Int64Builder:
			add(fb.Append, fb, x)
		case *array.Float32Builder:
			add(fb.Append, fb, x)
		case *array.Float64Builder:
			add(fb.Append, fb, x)
		case *array.StringBuilder:
			add(fb.Append, fb, x)
		case *array.BinaryBuilder:
			add(fb.Append, fb, x)
		case *array.TimestampBuilder:
			add(func(v int64) { fb.Append(arrow.Timestamp(v)) }, fb, x)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	var w CellWriter
	if err := w.Reset(s, rec, 0); err != nil {
		return nil, err
	}
	return w.Append(nil, 0, st, false), nil
}

func add[T any](put func(T), b array.Builder, x any) {
	if v, ok := x.(T); ok {
		put(v)
	} else {
		b.AppendNull()
	}
}
