package offline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/format"

	"github.com/weir-ml/weir/registry/feature"
)

// boundBytes is the most that a text bound takes in the table's metadata.
const boundBytes = 16

// describe makes a File of a footer: counts, bounds and the columns' statistics.
func describe(m *format.FileMetaData, cols []Column) File {
	f := File{Rows: m.NumRows}
	for ci, c := range cols {
		s := ColumnStats{ID: c.ID}
		known := true
		for _, rg := range m.RowGroups {
			md := &rg.Columns[ci].MetaData
			s.Values += md.NumValues
			s.Nulls += md.Statistics.NullCount
			s.Bytes += md.TotalCompressedSize
			lo, hi := md.Statistics.MinValue, md.Statistics.MaxValue
			if lo == nil || hi == nil || isNaN(c, lo) || isNaN(c, hi) {
				known = known && md.Statistics.NullCount == md.NumValues
				continue
			}
			if s.Min == nil || comparePlain(c, lo, s.Min) < 0 {
				s.Min = bytes.Clone(lo)
			}
			if s.Max == nil || comparePlain(c, hi, s.Max) > 0 {
				s.Max = bytes.Clone(hi)
			}
		}
		if !known {
			s.Min, s.Max = nil, nil
		}
		if c.Fixed == 0 && (c.Type == feature.String || c.Type == feature.Bytes) {
			s.Min, s.Max = lowerBound(s.Min, c.Type == feature.String), upperBound(s.Max, c.Type == feature.String)
		}
		f.Stats = append(f.Stats, s)
	}
	f.setBounds(cols)
	return f
}

// SetBounds fills the file's bounds from its column statistics.
func (f *File) setBounds(cols []Column) {
	get := func(name string) (int64, int64) {
		for i, c := range cols {
			if c.Name == name && f.Stats[i].Min != nil && f.Stats[i].Max != nil {
				return plainInt(f.Stats[i].Min), plainInt(f.Stats[i].Max)
			}
		}
		return UnknownMin, UnknownMax
	}
	f.MinEffective, f.MaxEffective = get(ColEffective)
	f.MinKnown, f.MaxKnown = get(ColKnown)
	f.MinEvent, f.MaxEvent = get(ColEvent)
	f.MinOffset, f.MaxOffset = get(ColOffset)
	f.MinPartition, f.MaxPartition = get(ColPartition)
}

// plainInt reads an int32 or int64 in plain encoding.
func plainInt(b []byte) int64 {
	if len(b) == 4 {
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func isNaN(c Column, b []byte) bool {
	switch c.Type {
	case feature.Float32:
		v := math.Float32frombits(binary.LittleEndian.Uint32(b))
		return v != v
	case feature.Float64:
		return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return false
}

func comparePlain(c Column, a, b []byte) int {
	switch c.Type {
	case feature.Int32, feature.Int64, feature.Timestamp:
		return cmp.Compare(plainInt(a), plainInt(b))
	case feature.Float32:
		return cmp.Compare(math.Float32frombits(binary.LittleEndian.Uint32(a)), math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case feature.Float64:
		return cmp.Compare(math.Float64frombits(binary.LittleEndian.Uint64(a)), math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return bytes.Compare(a, b)
}

// lowerBound shortens b to something not above it.
func lowerBound(b []byte, text bool) []byte {
	if len(b) <= boundBytes {
		return b
	}
	return b[:cutAt(b, text)]
}

// upperBound shortens b to something not below it; nil when there is none.
func upperBound(b []byte, text bool) []byte {
	if len(b) <= boundBytes {
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
	n := boundBytes
	for text && n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}
