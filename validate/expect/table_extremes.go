package expect

import (
	"math/bits"

	"github.com/weir-ml/weir/registry/feature"
)

// counter counts the rows of a table and those with a value in a column.
type counter struct {
	col           int // -1 for rows alone
	rows, present int64
}

func (c *counter) add(b *batch, _ int64) error {
	c.rows += int64(b.liveCount)
	if c.col >= 0 {
		c.present += int64(b.cols[c.col].count)
	}
	return nil
}

func (c *counter) bytes() int64 { return 0 }
func (c *counter) spill() error { return nil }
func (c *counter) close() error { return nil }

// extremes knows the least and the greatest value of a column.
type extremes struct {
	counter
	least, most cell
}

func (e *extremes) add(b *batch, row int64) error {
	c := &b.cols[e.col]
	first := e.present == 0
	if err := e.counter.add(b, row); err != nil || c.count == 0 {
		return err
	}
	var least, most int
	switch c.typ {
	case feature.Int32:
		least, most = extremesOf(c, c.i32)
	case feature.Int64, feature.Timestamp:
		least, most = extremesOf(c, c.i64)
	case feature.Float32:
		least, most = extremesOf(c, c.f32)
	case feature.Float64:
		least, most = extremesOf(c, c.f64)
	default:
		least = -1
		for i := range c.present.Rows() {
			if least < 0 {
				least, most = i, i
				continue
			}
			if v := c.at(i); v.compare(c.at(least)) < 0 {
				least = i
			} else if v.compare(c.at(most)) > 0 {
				most = i
			}
		}
	}
	if v := c.at(least); first || v.compare(e.least) < 0 {
		e.least = v.clone()
	}
	if v := c.at(most); first || v.compare(e.most) > 0 {
		e.most = v.clone()
	}
	return nil
}

// extremesOf finds the rows of the least and the greatest value of those present.
func extremesOf[T plain](c *column, vals []T) (least, most int) {
	least = -1
	var lo, hi T
	for w, rows := range c.present {
		if rows == 0 {
			continue
		}
		if least < 0 {
			least = w*64 + bits.TrailingZeros64(rows)
			most, lo, hi = least, vals[least], vals[least]
		}
		for j, v := range chunk(vals, w) {
			if v < lo && rows>>(j&63)&1 != 0 {
				lo, least = v, w*64+j
			}
			if v > hi && rows>>(j&63)&1 != 0 {
				hi, most = v, w*64+j
			}
		}
	}
	return least, most
}

// clone is a cell that does not alias a record.
func (c cell) clone() cell {
	c.s = string([]byte(c.s))
	return c
}

// valueOf is a cell of a column of type t as Result has values.
func (c cell) valueOf(t feature.Type) any {
	switch {
	case c.kind == nullCell:
		return nil
	case c.kind == timeCell:
		return feature.Time(c.i)
	case c.kind == textCell && t == feature.Bytes:
		return []byte(c.s)
	case c.kind == textCell:
		return c.s
	case t == feature.Bool:
		return c.i == 1
	case t == feature.Float32 || t == feature.Float64:
		return c.float()
	}
	return c.i
}
