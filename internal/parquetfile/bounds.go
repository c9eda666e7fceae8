package parquetfile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/weir-ml/weir/registry/feature"
)

// BoundBytes is the most that the bound of a text takes in summaries and in the page index.
const BoundBytes = 16

// Summary is what a file says of itself.
type Summary struct {
	Rows    int64
	Bytes   int64           // of the file
	Columns []ColumnSummary // in the file's order
}

// ColumnSummary is what a file says of a column.
type ColumnSummary struct {
	// Nulls count as values. Of arrays it is the elements that count, and one that is
	// empty or null as a null.
	Values, Nulls int64
	NullRows      int64
	Bytes         int64 // compressed
	// Bounds in plain encoding, texts of more than BoundBytes cut to something below
	// and above; nil when they cannot be told, and of arrays.
	Min, Max []byte
}

func (e *Encoder) summary() Summary {
	f := Summary{Rows: e.meta.NumRows, Bytes: e.offset}
	for ci := range e.columns {
		c := e.columns[ci].col
		s := ColumnSummary{NullRows: e.columns[ci].nullRows}
		known := !c.Type.IsArray()
		for g := range e.meta.RowGroups {
			md := &e.meta.RowGroups[g].Columns[ci].MetaData
			s.Values += md.NumValues
			s.Nulls += md.Statistics.NullCount
			s.Bytes += md.TotalCompressedSize
			if !known {
				continue
			}
			lo, hi := md.Statistics.MinValue, md.Statistics.MaxValue
			if lo == nil || hi == nil || IsNaN(c.Type, lo) || IsNaN(c.Type, hi) {
				known = md.Statistics.NullCount == md.NumValues
				continue
			}
			if s.Min == nil || Compare(c.Type, lo, s.Min) < 0 {
				s.Min = bytes.Clone(lo)
			}
			if s.Max == nil || Compare(c.Type, hi, s.Max) > 0 {
				s.Max = bytes.Clone(hi)
			}
		}
		if !known {
			s.Min, s.Max = nil, nil
		}
		if c.Fixed == 0 && (c.Type == feature.String || c.Type == feature.Bytes) {
			s.Min, s.Max = lowerBound(s.Min, c.Type == feature.String), upperBound(s.Max, c.Type == feature.String)
		}
		f.Columns = append(f.Columns, s)
	}
	return f
}

// Int reads an int32 or int64 in plain encoding.
func Int(b []byte) int64 {
	if len(b) == 4 {
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// IsNaN tells whether a value of type t in plain encoding is not a number.
func IsNaN(t feature.Type, b []byte) bool {
	switch t {
	case feature.Float32:
		v := math.Float32frombits(binary.LittleEndian.Uint32(b))
		return v != v
	case feature.Float64:
		return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return false
}

// Compare orders two values of type t in plain encoding.
func Compare(t feature.Type, a, b []byte) int {
	switch t {
	case feature.Int32, feature.Int64, feature.Timestamp:
		return cmp.Compare(Int(a), Int(b))
	case feature.Float32:
		return cmp.Compare(math.Float32frombits(binary.LittleEndian.Uint32(a)), math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case feature.Float64:
		return cmp.Compare(math.Float64frombits(binary.LittleEndian.Uint64(a)), math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return bytes.Compare(a, b)
}

// lowerBound shortens b to something not above it.
func lowerBound(b []byte, text bool) []byte {
	if len(b) <= BoundBytes {
		return b
	}
	return b[:cutAt(b, text)]
}

// upperBound shortens b to something not below it; nil when there is none.
func upperBound(b []byte, text bool) []byte {
	if len(b) <= BoundBytes {
		return b
	}
	p := bytes.Clone(b[:cutAt(b, text)])
	for len(p) > 0 {
		if !text {
			if last := len(p) - 1; p[last] < 0xff {
				p[last]++
				return p
			}
			p = p[:len(p)-1]
			continue
		}
		r, n := utf8.DecodeLastRune(p)
		p = p[:len(p)-n]
		if r == utf8.RuneError {
			continue
		}
		if r++; r == 0xD800 {
			r = 0xE000
		}
		if r <= utf8.MaxRune {
			return utf8.AppendRune(p, r)
		}
	}
	return nil
}

func cutAt(b []byte, text bool) int {
	n := BoundBytes
	for text && n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}
