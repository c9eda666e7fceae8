package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// rowReader reads stretches of rows of one data file, a column at a time.
type rowReader struct {
	file   *dataFile
	starts []int64 // by row group, its first row in the file; the last is the file's row count
}

func newRowReader(d *dataFile) *rowReader {
	r := &rowReader{file: d, starts: []int64{0}}
	for _, g := range d.pf.RowGroups() {
		r.starts = append(r.starts, r.starts[len(r.starts)-1]+g.NumRows())
	}
	return r
}

func (r *rowReader) rows() int64 { return r.starts[len(r.starts)-1] }

// read decodes rows [lo, hi) of the file into dst, whose memory it uses again.
// A column that the file is older than is null in all of them. dict, where
// given, takes the texts of the file's dictionaries in.
func (r *rowReader) read(ctx context.Context, c Column, dict *textDict, lo, hi int64, dst *columnData) error {
	n := int(hi - lo)
	dst.reset(c.Type, n)
	if dict != nil {
		dst.codes, dst.dict = sized(dst.codes, n), dict.values
	}
	for g := range r.starts[1:] {
		first, end := r.starts[g], r.starts[g+1]
		if first >= hi || end <= lo {
			continue
		}
		from, to := max(lo, first), min(hi, end)
		chunk, err := r.file.chunk(g, c)
		if err != nil {
			return err
		}
		if chunk == nil {
			dst.absent(c.Type, int(from-lo), int(to-lo), n)
			continue
		}
		if err := r.chunk(ctx, chunk, c, dict, from-first, to-first, int(from-lo), n, dst); err != nil {
			return err
		}
	}
	return nil
}

// chunk decodes rows [lo, hi) of a row group's column; they are rows at to on of dst.
func (r *rowReader) chunk(ctx context.Context, chunk *columnChunk, c Column, dict *textDict, lo, hi int64, at, n int, dst *columnData) (err error) {
	defer guard(r.file.path, c.Name, &err)
	// From the first page on, though the page index may say where to go: it has no
	// checksum, and what a merge reads takes the place of the file.
	pages := chunk.open(false, lo)
	defer pages.close()
	p := page{}
	var codes []uint32 // of this chunk's dictionary
	for p.first < hi {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := pages.next(&p)
		if errors.Is(err, io.EOF) {
			return dataError(r.file.path, c.Name, fmt.Errorf("%d rows in a row group of %d or more", p.first, hi))
		}
		if err != nil {
			return dataError(r.file.path, c.Name, err)
		}
		if from, to := max(lo, p.first), min(hi, p.first+int64(p.rows)); from < to {
			if err = pages.values(&p); err == nil {
				s := stretch{page: &p, lo: int(from - p.first), hi: int(to - p.first), at: at + int(from-lo), rows: n}
				err = s.into(dst, c, dict, &codes)
			}
		}
		if err != nil {
			return dataError(r.file.path, c.Name, err)
		}
		p.first += int64(p.rows)
	}
	return nil
}

// stretch is rows [lo, hi) of a page that become rows at on of a column with so many.
type stretch struct {
	page         *page
	lo, hi       int
	at, rows     int
	dense, count int // the first value of the stretch among the page's, and how many it has
}

func (s *stretch) into(dst *columnData, c Column, dict *textDict, codes *[]uint32) error {
	p := s.page
	s.dense, s.count = s.lo, s.hi-s.lo
	if p.present != nil {
		if c.Required {
			return errors.New("a value that every row must have is null")
		}
		if len(p.present) != p.rows {
			return errors.New("a page has fewer levels than rows")
		}
		s.dense = bytes.Count(p.present[:s.lo], []byte{1})
		s.count = bytes.Count(p.present[s.lo:s.hi], []byte{1})
		if s.count < s.hi-s.lo || dst.valid != nil {
			copy(dst.validity(s.rows)[s.at:], p.present[s.lo:s.hi])
		}
	}
	v := &p.values
	if have := v.len(); s.dense+s.count > have {
		return errors.New("a page has fewer values than rows")
	}
	switch c.Type {
	case feature.Bool:
		out := dst.bools[s.at:]
		s.each(func(row, i int) { out[row] = v.bool(i) })
	case feature.Int32:
		spread(s, dst.int32s, v.i32)
	case feature.Int64, feature.Timestamp:
		if v.kind == parquet.Int32 {
			convert(s, dst.int64s, v.i32)
		} else {
			spread(s, dst.int64s, v.i64)
		}
	case feature.Float32:
		spread(s, dst.floats, v.f32)
	case feature.Float64:
		if v.kind == parquet.Float {
			convert(s, dst.doubles, v.f32)
		} else {
			spread(s, dst.doubles, v.f64)
		}
	default:
		if isText(c.Type) {
			return s.texts(dst, dict, codes)
		}
		return errors.New("a column of no known type")
	}
	return nil
}

// each calls put with the row, counted from the stretch's first, and the index
// among the dictionary's or page's values, for rows that are not null.
func (s *stretch) each(put func(row, i int)) {
	v, k := &s.page.values, s.dense
	for row := range s.hi - s.lo {
		if s.page.present != nil && s.page.present[s.lo+row] == 0 {
			continue
		}
		if v.index != nil {
			put(row, int(v.index[k]))
		} else {
			put(row, k)
		}
		k++
	}
}

// spread is each for numbers, without a call for each value.
func spread[T any](s *stretch, dst, from []T) {
	v := &s.page.values
	out := dst[s.at : s.at+s.hi-s.lo]
	switch {
	case v.index == nil && s.count == len(out):
		copy(out, from[s.dense:])
	case v.index != nil && s.count == len(out):
		for i, k := range v.index[s.dense : s.dense+len(out)] {
			out[i] = from[k]
		}
	case v.index == nil && s.count > 0:
		// Without a branch: a null row gets the value that is due next.
		from = from[s.dense : s.dense+s.count]
		k := 0
		for i, ok := range s.page.present[s.lo:s.hi] {
			out[i] = from[min(k, len(from)-1)]
			k += int(ok)
		}
	default:
		s.each(func(row, i int) { out[row] = from[i] })
	}
}

// convert is spread for a column that was widened after the file was written.
func convert[T int64 | float64, F int32 | float32](s *stretch, dst []T, from []F) {
	out := dst[s.at:]
	s.each(func(row, i int) { out[row] = T(from[i]) })
}

// texts takes texts as numbers as long as all so far had some, else as they are.
func (s *stretch) texts(dst *columnData, dict *textDict, codes *[]uint32) error {
	v := &s.page.values
	if dst.dict != nil && v.index != nil {
		if *codes == nil {
			*codes = dict.take(v)
		}
		if *codes != nil {
			dst.dict = dict.values
			out := dst.codes[s.at : s.at+s.hi-s.lo]
			if s.count == len(out) {
				for i, k := range v.index[s.dense : s.dense+len(out)] {
					out[i] = (*codes)[k]
				}
			} else {
				clear(out)
				s.each(func(row, i int) { out[row] = (*codes)[i] })
			}
			return nil
		}
	}
	dst.spell(s.at)
	if len(dst.ends) < s.at {
		return errors.New("rows of a text are missing")
	}
	dst.ends = dst.ends[:s.at]
	last := len(dst.text)
	if s.count == s.hi-s.lo && v.index == nil && v.offsets != nil {
		offsets := v.offsets[s.dense : s.dense+s.count+1]
		dst.text = append(dst.text, v.data[offsets[0]:offsets[s.count]]...)
		if len(dst.text) > math.MaxUint32 {
			return errTextSize
		}
		for _, o := range offsets[1:] {
			dst.ends = append(dst.ends, uint32(last)+o-offsets[0])
		}
		return nil
	}
	put := func(row, i int) {
		for len(dst.ends) < s.at+row {
			dst.ends = append(dst.ends, uint32(last))
		}
		dst.text = append(dst.text, v.bytes(i)...)
		last = len(dst.text)
		dst.ends = append(dst.ends, uint32(last))
	}
	s.each(put)
	for len(dst.ends) < s.at+s.hi-s.lo {
		dst.ends = append(dst.ends, uint32(last))
	}
	if last > math.MaxUint32 {
		return errTextSize
	}
	return nil
}

var errTextSize = errors.New("the texts of a row group take more than 4 GiB")

// len is how many values there are, rows that are null left out.
func (v *values) len() int {
	switch {
	case v.index != nil:
		return len(v.index)
	case v.kind == parquet.Boolean:
		return 8 * len(v.bits)
	case v.kind == parquet.Int32:
		return len(v.i32)
	case v.kind == parquet.Int64:
		return len(v.i64)
	case v.kind == parquet.Float:
		return len(v.f32)
	case v.kind == parquet.Double:
		return len(v.f64)
	case v.offsets != nil:
		return len(v.offsets) - 1
	case v.size > 0:
		return len(v.data) / v.size
	}
	return 0
}

// reset makes room for n rows without a null.
func (d *columnData) reset(t feature.Type, n int) {
	d.valid, d.dict, d.text, d.ends = nil, nil, d.text[:0], d.ends[:0]
	switch t {
	case feature.Bool:
		d.bools = sized(d.bools, n)
		clear(d.bools)
	case feature.Int32:
		d.int32s = sized(d.int32s, n)
	case feature.Int64, feature.Timestamp:
		d.int64s = sized(d.int64s, n)
	case feature.Float32:
		d.floats = sized(d.floats, n)
	case feature.Float64:
		d.doubles = sized(d.doubles, n)
	}
}

// validity is valid, made first if every row had a value until now.
func (d *columnData) validity(n int) []byte {
	if d.valid == nil {
		d.valid = bytes.Repeat([]byte{1}, n)
	}
	return d.valid
}

// absent makes rows [lo, hi) of n null.
func (d *columnData) absent(t feature.Type, lo, hi, n int) {
	clear(d.validity(n)[lo:hi])
	if !isText(t) {
		return
	}
	if d.dict != nil {
		clear(d.codes[lo:hi])
		return
	}
	for len(d.ends) < hi {
		d.ends = append(d.ends, uint32(len(d.text)))
	}
}

// spell turns the first n rows from numbers into texts.
func (d *columnData) spell(n int) {
	if d.dict == nil {
		return
	}
	dict := d.dict
	d.dict, d.text, d.ends = nil, d.text[:0], slices.Grow(d.ends[:0], len(d.codes))
	for i, c := range d.codes[:n] {
		if d.valid == nil || d.valid[i] == 1 {
			d.text = append(d.text, dict[c]...)
		}
		d.ends = append(d.ends, uint32(len(d.text)))
	}
}

// at is text i.
func (d *columnData) at(i int) []byte {
	if d.dict != nil {
		return d.dict[d.codes[i]]
	}
	if i == 0 {
		return d.text[:d.ends[0]]
	}
	return d.text[d.ends[i-1]:d.ends[i]]
}

// size is the memory that the column takes.
func (d *columnData) size() int64 {
	return int64(cap(d.bools) + 4*cap(d.int32s) + 8*cap(d.int64s) + 4*cap(d.floats) + 8*cap(d.doubles) +
		cap(d.text) + 4*cap(d.ends) + 4*cap(d.codes) + cap(d.valid))
}

// Limits of a textDict: above, texts are kept as they are.
const (
	dictTexts = 1 << 14
	dictBytes = 1 << 20
)

// textDict numbers the texts of one column across the inputs of a merge, so that
// a row carries four bytes instead of its text.
type textDict struct {
	codes  map[string]uint32
	values [][]byte
	bytes  int
}

func newTextDict() *textDict {
	return &textDict{codes: map[string]uint32{}, values: [][]byte{}}
}

// take numbers the values of a page's dictionary; nil when they are too many.
func (d *textDict) take(v *values) []uint32 {
	n := 0
	if v.offsets != nil {
		n = len(v.offsets) - 1
	} else if v.size > 0 {
		n = len(v.data) / v.size
	}
	if len(d.values)+n > dictTexts || d.bytes+len(v.data) > dictBytes {
		return nil
	}
	codes := make([]uint32, n)
	for i := range codes {
		text := v.bytes(i)
		c, ok := d.codes[string(text)]
		if !ok {
			text = bytes.Clone(text)
			c = uint32(len(d.values))
			d.codes[string(text)] = c
			d.values = append(d.values, text)
			d.bytes += len(text)
		}
		codes[i] = c
	}
	return codes
}
