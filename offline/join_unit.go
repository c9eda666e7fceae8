package offline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// unit is a row group as it meets the spine: its keys, and the rows whose key
// the spine has, with their times.
type unit struct {
	ref  unitRef
	rows int
	keys keyList
	perm []int32 // row of the row group by place in the order; nil when they are the same

	// Hits: rows whose key the spine has, in order. x orders the rows of a key (effective
	// or event time), gate is the time from which on a spine row sees it (known or
	// event time).
	hits    []int32
	keyOf   []uint32 // index of active.keys
	x, gate []int64

	sorted bool  // the table says that the file is
	last   keyAt // the last key of the row group before
	long   pairLong
	ints   []int64
	times  []int64 // memory of gate, where it is not x
	key    []byte
}

// keyAt is a key out of a list.
type keyAt struct {
	prefix uint64
	bytes  []byte
	some   bool
}

var unitPool = sync.Pool{New: func() any { return &unit{} }}

// begin starts with a file.
func (u *unit) begin(file int, sorted bool) {
	u.ref, u.sorted, u.last.some = unitRef{file: file, group: -1}, sorted, false
}

// read reads the keys of the next row group, and the times of the rows that the spine asks for.
func (u *unit) read(ctx context.Context, v *viewJoin, d *dataFile, group int, a *active) error {
	u.ref.group, u.rows, u.perm = group, int(d.pf.RowGroups()[group].NumRows()), nil
	u.hits, u.keyOf = u.hits[:0], u.keyOf[:0]
	u.keys.reset(v.keyLong)
	if err := u.readKeys(ctx, d, group, v.keys); err != nil {
		return err
	}
	ordered := u.sorted && u.keys.ordered()
	if !ordered || !u.follows() {
		u.ref.run++
	}
	u.keepLast(ordered)
	if !ordered {
		return u.readUnordered(ctx, v, d, group, a)
	}
	u.pair(a)
	if len(u.hits) == 0 {
		return nil
	}
	var err error
	if u.x, err = d.pickTimes(ctx, group, v.timeColumn(), u.hits, u.x); err != nil {
		return err
	}
	if u.gate = u.x; !v.event {
		u.times, err = d.pickTimes(ctx, group, v.systemColumn(ColKnown, feature.Timestamp), u.hits, u.times)
		u.gate = u.times
	}
	return err
}

// timeColumn is the column of what orders the rows of a key.
func (v *viewJoin) timeColumn() Column {
	if v.event {
		return v.systemColumn(ColEvent, feature.Timestamp)
	}
	return v.systemColumn(ColEffective, feature.Timestamp)
}

func (u *unit) pair(a *active) {
	if !u.keys.long {
		u.hits, u.keyOf = pair(u.keys.prefix, 0, u.rows, a.keys.prefix, 0, len(a.keys.prefix), u.hits, u.keyOf)
		return
	}
	p := &u.long
	p.rows, p.keys, p.hits, p.keyOf = &u.keys, &a.keys, u.hits, u.keyOf
	p.pair(0, u.rows, 0, len(a.keys.prefix), 0)
	u.hits, u.keyOf, p.keys = p.hits, p.keyOf, nil
}

// ordered tells whether the keys are in order.
func (k *keyList) ordered() bool {
	for i := 1; i < len(k.prefix); i++ {
		if k.prefix[i-1] > k.prefix[i] || k.long && k.prefix[i-1] == k.prefix[i] && bytes.Compare(k.at(i-1), k.at(i)) > 0 {
			return false
		}
	}
	return true
}

// follows tells whether the row group goes on where the one before ended.
func (u *unit) follows() bool {
	if !u.last.some || u.rows == 0 {
		return u.rows == 0 || u.ref.group == 0
	}
	if p := u.keys.prefix[0]; p != u.last.prefix || !u.keys.long {
		return u.last.prefix <= p
	}
	return bytes.Compare(u.last.bytes, u.keys.at(0)) <= 0
}

func (u *unit) keepLast(ordered bool) {
	if u.rows == 0 {
		return
	}
	u.last.some, u.last.prefix = ordered, u.keys.prefix[u.rows-1]
	if u.keys.long {
		u.last.bytes = append(u.last.bytes[:0], u.keys.at(u.rows-1)...)
	}
}

// readUnordered brings a row group that another engine wrote into the table's order.
func (u *unit) readUnordered(ctx context.Context, v *viewJoin, d *dataFile, group int, a *active) error {
	x, err := readInts(ctx, d, group, v.timeColumn(), nil, u.rows)
	if err != nil {
		return err
	}
	known, err := readInts(ctx, d, group, v.systemColumn(ColKnown, feature.Timestamp), nil, u.rows)
	if err != nil {
		return err
	}
	offset, err := readInts(ctx, d, group, v.systemColumn(ColOffset, feature.Int64), nil, u.rows)
	if err != nil {
		return err
	}
	partition, err := readInts(ctx, d, group, v.systemColumn(ColPartition, feature.Int32), nil, u.rows)
	if err != nil {
		return err
	}
	u.perm = upTo[int32](u.rows)
	slices.SortFunc(u.perm, func(a, b int32) int {
		if c := compareKeys(&u.keys, int(a), &u.keys, int(b)); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(x[a], x[b]), cmp.Compare(known[a], known[b]), cmp.Compare(partition[a], partition[b]), cmp.Compare(offset[a], offset[b]))
	})
	keys := keyList{long: u.keys.long}
	for _, p := range u.perm {
		keys.addFrom(&u.keys, int(p))
	}
	u.keys = keys
	u.pair(a)
	u.x, u.times = sized(u.x, len(u.hits)), sized(u.times, len(u.hits))
	for k, h := range u.hits {
		row := u.perm[h]
		u.hits[k], u.x[k], u.times[k] = row, x[row], known[row]
	}
	if u.gate = u.times; v.event {
		u.gate = u.x
	}
	return nil
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// pickTimes reads some rows of a column of times that has no nulls.
func (d *dataFile) pickTimes(ctx context.Context, group int, c Column, rows []int32, dst []int64) ([]int64, error) {
	dst = sized(dst, len(rows))
	chunk, err := d.chunk(group, c)
	if err != nil {
		return dst, err
	}
	k := 0
	err = d.pages(ctx, chunk, c.Name, rows, func(p *page) error {
		if p.present != nil {
			return errNull
		}
		end, n := p.first+int64(p.rows), k
		for n < len(rows) && int64(rows[n]) < end {
			n++
		}
		if err := pickDense(dst[k:n], p, p.values.i64, rows[k:n]); err != nil {
			return err
		}
		k = n
		return nil
	})
	if err == nil && k < len(rows) {
		err = dataError(d.path, c.Name, fmt.Errorf("row %d lies behind the end of the column", rows[k]))
	}
	return dst, err
}

var errNull = errors.New("a value that every row must have is null")

// pickDense is the values of some rows of a page without nulls.
func pickDense(dst []int64, p *page, from []int64, rows []int32) error {
	first := int32(p.first)
	if index := p.values.index; index != nil {
		if len(index) < p.rows {
			return errors.New("a page has fewer values than rows")
		}
		for k, r := range rows {
			dst[k] = from[index[r-first]]
		}
		return nil
	}
	if len(from) < p.rows {
		return errors.New("a page has fewer values than rows")
	}
	for k, r := range rows {
		dst[k] = from[r-first]
	}
	return nil
}

// readInts reads a whole column of 64-bit integers or timestamps.
func readInts(ctx context.Context, d *dataFile, group int, c Column, dst []int64, n int) ([]int64, error) {
	dst = sized(dst, n)
	chunk, err := d.chunk(group, c)
	if err != nil {
		return dst, err
	}
	read := 0
	err = d.pages(ctx, chunk, c.Name, nil, func(p *page) error {
		read += p.rows
		if p.values.kind == parquet.Int32 {
			return wideInts(dst, p)
		}
		return whole(dst, p, p.values.i64)
	})
	return dst, complete(d, c, read, n, err)
}

// wideInts reads a column that had 32 bits when the file was written.
func wideInts(dst []int64, p *page) error {
	narrow := make([]int32, p.rows)
	at := page{rows: p.rows, present: p.present, values: p.values}
	if err := whole(narrow, &at, p.values.i32); err != nil {
		return err
	}
	if int(p.first)+p.rows > len(dst) {
		return errors.New("the column has more rows than its row group")
	}
	for i, x := range narrow {
		dst[int(p.first)+i] = int64(x)
	}
	return nil
}

func complete(d *dataFile, c Column, read, n int, err error) error {
	if err == nil && read != n {
		return dataError(d.path, c.Name, fmt.Errorf("%d rows in a row group of %d", read, n))
	}
	return err
}

// readKeys reads the key columns and makes their bytes. The one key of an
// integer, by far the most common, takes a short way.
func (u *unit) readKeys(ctx context.Context, d *dataFile, group int, keys []Column) error {
	if len(keys) == 1 && (keys[0].Type == feature.Int64 || keys[0].Type == feature.Timestamp) {
		var err error
		if u.ints, err = readInts(ctx, d, group, keys[0], u.ints, u.rows); err != nil {
			return err
		}
		u.keys.prefix = sized(u.keys.prefix, u.rows)
		for i, k := range u.ints {
			u.keys.prefix[i] = uint64(k) ^ 1<<63
		}
		return nil
	}
	cols := make([]feature.Vector, len(keys))
	for i, k := range keys {
		chunk, err := d.chunk(group, k)
		if err != nil {
			return err
		}
		cols[i].Reset(k.Type, u.rows)
		read := 0
		err = d.pages(ctx, chunk, k.Name, nil, func(p *page) error {
			if p.first+int64(p.rows) > int64(u.rows) {
				return errors.New("the column has more rows than its row group")
			}
			rows, to := make([]int32, p.rows), make([]uint32, p.rows)
			for i := range rows {
				rows[i], to[i] = int32(p.first)+int32(i), uint32(p.first)+uint32(i)
			}
			read += p.rows
			_, err := pick(&cols[i], p, rows, to)
			return err
		})
		if err := complete(d, k, read, u.rows, err); err != nil {
			return err
		}
		for row, ok := range cols[i].Valid {
			if !ok {
				return dataError(d.path, k.Name, fmt.Errorf("row %d has a null join key", row))
			}
		}
	}
	for i := range u.rows {
		u.key = u.key[:0]
		for k := range cols {
			u.key = appendKeyAt(u.key, &cols[k], i)
		}
		u.keys.add(u.key)
	}
	return nil
}

func appendKeyAt(dst []byte, v *feature.Vector, i int) []byte {
	switch v.Type {
	case feature.Bool:
		return feature.AppendKeyBool(dst, v.Bools[i])
	case feature.Int32:
		return feature.AppendKeyInt32(dst, v.Int32s[i])
	case feature.Int64, feature.Timestamp:
		return feature.AppendKeyInt64(dst, v.Int64s[i])
	}
	return feature.AppendKeyText(dst, v.Bytes[i])
}
