package parquetfile

import (
	"github.com/parquet-go/parquet-go/format"

	"github.com/weir-ml/weir/registry/feature"
)

// pageIndex is the page index of a file as it will stand before the footer: for
// each column chunk the bounds of its pages, and where the pages are.
type pageIndex struct {
	bounds, places           []byte
	boundsLengths, placesLen []int32 // by row group and column; no bounds where 0
	columns                  format.ColumnIndex
	offsets                  format.OffsetIndex
}

func (x *pageIndex) reset() {
	x.bounds, x.places = x.bounds[:0], x.places[:0]
	x.boundsLengths, x.placesLen = x.boundsLengths[:0], x.placesLen[:0]
}

// add takes in a chunk that is complete.
func (x *pageIndex) add(t *thriftBytes, c *columnEncoder) error {
	x.offsets.PageLocations = c.locations
	b, err := t.encode(&x.offsets)
	if err != nil {
		return err
	}
	x.places = append(x.places, b...)
	x.placesLen = append(x.placesLen, int32(len(b)))
	if !c.bounded {
		x.boundsLengths = append(x.boundsLengths, 0)
		return nil
	}
	x.columns.NullPages, x.columns.NullCounts = c.nullPages, c.nullCounts
	x.columns.MinValues, x.columns.MaxValues = c.mins, c.maxs
	x.columns.BoundaryOrder = c.order()
	if b, err = t.encode(&x.columns); err != nil {
		return err
	}
	x.bounds = append(x.bounds, b...)
	x.boundsLengths = append(x.boundsLengths, int32(len(b)))
	return nil
}

// write puts the index into the file and its places into the footer.
func (x *pageIndex) write(e *Encoder) error {
	at, k := e.offset, 0
	for g := range e.meta.RowGroups {
		cols := e.meta.RowGroups[g].Columns
		for i := range cols {
			cols[i].ColumnIndexOffset, cols[i].ColumnIndexLength = 0, x.boundsLengths[k]
			if x.boundsLengths[k] > 0 {
				cols[i].ColumnIndexOffset = at
			}
			at += int64(x.boundsLengths[k])
			k++
		}
	}
	k = 0
	for g := range e.meta.RowGroups {
		cols := e.meta.RowGroups[g].Columns
		for i := range cols {
			cols[i].OffsetIndexOffset, cols[i].OffsetIndexLength = at, x.placesLen[k]
			at += int64(x.placesLen[k])
			k++
		}
	}
	if err := e.write(x.bounds); err != nil {
		return err
	}
	return e.write(x.places)
}

// order is how the pages' bounds follow one another.
func (c *columnEncoder) order() format.BoundaryOrder {
	up, down, last := true, true, -1
	for i, null := range c.nullPages {
		if null {
			continue
		}
		if last >= 0 {
			lo, hi := Compare(c.leaf, c.mins[last], c.mins[i]), Compare(c.leaf, c.maxs[last], c.maxs[i])
			up, down = up && lo <= 0 && hi <= 0, down && lo >= 0 && hi >= 0
		}
		last = i
	}
	switch {
	case up:
		return format.Ascending
	case down:
		return format.Descending
	}
	return format.Unordered
}

// pageBounds records the bounds of a page for the index and widens the chunk's;
// nil where the page has no value that can be compared.
func (c *columnEncoder) pageBounds(values int, lo, hi []byte) {
	c.nullPages = append(c.nullPages, values == 0)
	if values == 0 {
		c.mins, c.maxs = append(c.mins, nil), append(c.maxs, nil)
		return
	}
	if lo == nil {
		// Texts that are not bounded, or nothing but NaN: such a page's bounds cannot be told.
		c.bounded = false
		c.mins, c.maxs = append(c.mins, nil), append(c.maxs, nil)
		return
	}
	if !c.some || Compare(c.leaf, lo, c.min) < 0 {
		c.min = append(c.min[:0], lo...)
	}
	if !c.some || Compare(c.leaf, hi, c.max) > 0 {
		c.max = append(c.max[:0], hi...)
	}
	c.some = true
	if c.leaf == feature.String || c.leaf == feature.Bytes {
		lo = lowerBound(lo, c.leaf == feature.String)
		if short := upperBound(hi, c.leaf == feature.String); short != nil {
			hi = short
		}
	}
	c.mins, c.maxs = append(c.mins, c.keep(lo)), append(c.maxs, c.keep(hi))
}

// keep copies b into the memory of the chunk's bounds.
func (c *columnEncoder) keep(b []byte) []byte {
	n := len(c.memory)
	c.memory = append(c.memory, b...)
	return c.memory[n:len(c.memory):len(c.memory)]
}

func (e *Encoder) keep(b []byte) []byte {
	if len(b) == 0 {
		return []byte{} // a bound all the same: the empty text
	}
	n := len(e.bounds)
	e.bounds = append(e.bounds, b...)
	return e.bounds[n:len(e.bounds):len(e.bounds)]
}
