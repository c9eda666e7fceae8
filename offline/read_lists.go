package offline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// Arrays stand in files as lists. A page of a list is made into one of packed arrays
// as soon as it is read, so that all that reads them sees bytes.

// list is how a file has a column of lists.
type list struct {
	leaf  *parquet.Column
	elem  feature.Type
	full  byte // the definition level of an element that is not null
	there int  // from which level on there is an element; one below, the list is empty, and further down null
}

// listOf finds the list in a column: of three levels, whatever the inner ones are
// called, or of the two, or the one, that older writers made.
func listOf(c *parquet.Column, elem feature.Type) *list {
	again := c
	if !c.Leaf() {
		if c.Repeated() || len(c.Columns()) != 1 {
			return nil
		}
		again = c.Columns()[0]
	}
	leaf := again
	if !again.Leaf() {
		if len(again.Columns()) != 1 {
			return nil
		}
		if leaf = again.Columns()[0]; !leaf.Leaf() || leaf.Repeated() {
			return nil
		}
	}
	if !again.Repeated() || !holds(leaf.Type().Kind(), elem) {
		return nil
	}
	return &list{leaf: leaf, elem: elem, full: byte(leaf.MaxDefinitionLevel()), there: again.MaxDefinitionLevel()}
}

// holds tells whether elements of a physical type are those of an array: arrays
// do not widen, but another engine may have widened its own.
func holds(k parquet.Kind, elem feature.Type) bool {
	switch elem {
	case feature.Int32:
		return k == parquet.Int32
	case feature.Float32:
		return k == parquet.Float
	}
	return readable(k, elem)
}

// maxPageArrays bounds what the arrays of a page may take: a damaged one might ask for anything.
const maxPageArrays = 1 << 30

// listPages makes pages of packed arrays. A row may go on over the end of a page, so
// the last one is held back until the next page begins with another.
type listPages struct {
	list
	start int64 // of the row group in the file, for errors
	skip  int64 // rows before this one are not wanted, and come as null
	whole bool  // pages end with a row

	data    []byte
	offsets []uint32 // of rows that are not null, and the end of the last
	present []byte   // by row
	count   int      // elements of the last row
	keep    bool     // the last row is wanted
	open    bool     // the last row may go on
	held    bool     // and has not been given
	end     bool
}

// next gives the next page; io.EOF behind the last.
func (l *listPages) next(pages parquet.Pages, p *page) error {
	l.drop()
	for {
		if l.end {
			return io.EOF
		}
		raw, err := pages.ReadPage()
		switch {
		case errors.Is(err, io.EOF):
			l.end = true
			if len(l.present) == 0 {
				return io.EOF
			}
			l.give(p, len(l.present))
			return nil
		case err != nil:
			return err
		}
		err = l.add(raw, p.first)
		parquet.Release(raw)
		if err != nil {
			return err
		}
		n := len(l.present)
		if !l.whole {
			n-- // held back
		}
		if n > 0 {
			l.held = !l.whole
			l.give(p, n)
			return nil
		}
	}
}

// give makes the first n rows a page.
func (l *listPages) give(p *page, n int) {
	p.rows, p.present = n, nil
	some := 0
	for _, v := range l.present[:n] {
		some += int(v)
	}
	if some < n {
		p.present = l.present[:n]
	}
	p.values = values{kind: parquet.ByteArray, data: l.data, offsets: l.offsets[:some+1]}
}

// drop forgets what has been given; a row held back becomes the first.
func (l *listPages) drop() {
	held := l.held
	l.held = false
	if !held {
		l.data, l.offsets, l.present = l.data[:0], append(l.offsets[:0], 0), l.present[:0]
		l.open = false
		return
	}
	last := l.present[len(l.present)-1]
	l.present = append(l.present[:0], last)
	if last == 0 {
		l.data, l.offsets = l.data[:0], append(l.offsets[:0], 0)
		return
	}
	at := len(l.offsets) - 2
	n := copy(l.data, l.data[l.offsets[at]:])
	l.data, l.offsets = l.data[:n], append(l.offsets[:0], 0, uint32(n))
}

// add takes a page in; first is the row of the row group that is the first here.
func (l *listPages) add(raw parquet.Page, first int64) error {
	reps, defs := raw.RepetitionLevels(), raw.DefinitionLevels()
	if len(reps) != len(defs) {
		return fmt.Errorf("a page has %d levels of one kind and %d of the other", len(reps), len(defs))
	}
	var v values
	if err := v.set(raw); err != nil {
		return err
	}
	left, k := v.len(), 0
	for i := 0; i < len(defs); {
		def := int(defs[i])
		switch {
		case reps[i] > 1 || def > int(l.full):
			return fmt.Errorf("levels %d and %d, which the column does not have", reps[i], def)
		case reps[i] == 1 && (!l.open || def < l.there):
			return errors.New("a list goes on that has not begun")
		case reps[i] == 0:
			l.begin(def, first)
		}
		if def < l.there {
			i++
			continue
		}
		if def < int(l.full) {
			return &feature.NullElementError{Row: int(l.start + first + int64(len(l.present)) - 1), Element: l.count}
		}
		// The elements of this list that follow.
		n := 1
		for i+n < len(defs) && defs[i+n] == l.full && reps[i+n] == 1 {
			n++
		}
		if n > left-k {
			return errors.New("a page has fewer values than levels")
		}
		if l.keep {
			if err := l.take(&v, k, n); err != nil {
				return err
			}
		}
		l.count += n
		i, k = i+n, k+n
	}
	return nil
}

// begin begins a row.
func (l *listPages) begin(def int, first int64) {
	l.keep = first+int64(len(l.present)) >= l.skip
	l.count, l.open = 0, def >= l.there
	if !l.keep || def < l.there-1 {
		l.present = append(l.present, 0)
		return
	}
	l.present = append(l.present, 1)
	l.offsets = append(l.offsets, uint32(len(l.data)))
}

// take appends elements k to k+n of a page to the last row.
func (l *listPages) take(v *values, k, n int) error {
	dst := l.data
	switch l.elem {
	case feature.Bool:
		dst = each(dst, v, k, n, func(dst []byte, i int) []byte { return feature.AppendElementBool(dst, v.bool(i)) })
	case feature.Int32:
		dst = packed(dst, v, v.i32, k, n)
	case feature.Float32:
		dst = packed(dst, v, v.f32, k, n)
	case feature.Int64, feature.Timestamp:
		if v.kind == parquet.Int32 {
			dst = each(dst, v, k, n, func(dst []byte, i int) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(int64(v.i32[i]))) })
		} else {
			dst = packed(dst, v, v.i64, k, n)
		}
	case feature.Float64:
		if v.kind == parquet.Float {
			dst = each(dst, v, k, n, func(dst []byte, i int) []byte {
				x := float64(v.f32[i])
				return append(dst, bytesOf([]float64{x})...)
			})
		} else {
			dst = packed(dst, v, v.f64, k, n)
		}
	default:
		for i := k; i < k+n; i++ {
			at := i
			if v.index != nil {
				at = int(v.index[i])
			}
			if dst = feature.AppendElementText(dst, v.bytes(at)); len(dst) > maxPageArrays {
				break
			}
		}
	}
	l.data = dst
	if len(dst) > maxPageArrays {
		return errors.New("the lists of a page take more than 1 GiB")
	}
	l.offsets[len(l.offsets)-1] = uint32(len(dst))
	return nil
}

// each appends elements with a call for each.
func each(dst []byte, v *values, k, n int, put func(dst []byte, i int) []byte) []byte {
	for i := k; i < k+n; i++ {
		if v.index != nil {
			dst = put(dst, int(v.index[i]))
		} else {
			dst = put(dst, i)
		}
	}
	return dst
}

// packed appends numbers as they stand in memory.
func packed[T int32 | int64 | float32 | float64](dst []byte, v *values, from []T, k, n int) []byte {
	if v.index == nil {
		return append(dst, bytesOf(from[k:k+n])...)
	}
	for _, i := range v.index[k : k+n] {
		dst = append(dst, bytesOf(from[i:i+1])...)
	}
	return dst
}
