package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// unit is the keys and times of one row group, in key order.
type unit struct {
	ref  unitRef
	rows int
	keys keyList
	// By row, in the order of keys: x orders the rows of a key (effective or event
	// time), gate is the time from which on a spine row sees it (known or event time).
	x, known, gate, offset []int64
	partition              []int32
	perm                   []int32 // row of the row group; nil when it is sorted, as our own files are

	ints []int64 // memory for decoding, kept with the unit
	key  []byte
}

var unitPool = sync.Pool{New: func() any { return &unit{} }}

func (u *unit) free() { unitPool.Put(u) }

// rowOf is where row i stands in the row group.
func (u *unit) rowOf(i int) int32 {
	if u.perm == nil {
		return int32(i)
	}
	return u.perm[i]
}

// less orders two rows of one key.
func (u *unit) less(a, b int) bool {
	switch {
	case u.x[a] != u.x[b]:
		return u.x[a] < u.x[b]
	case u.known[a] != u.known[b]:
		return u.known[a] < u.known[b]
	case u.partition[a] != u.partition[b]:
		return u.partition[a] < u.partition[b]
	}
	return u.offset[a] < u.offset[b]
}

type decoded struct {
	unit *unit
	err  error
}

// decodeFile decodes a file's row groups in order, one ahead of the reader.
func (j *joiner) decodeFile(ctx context.Context, v *viewJoin, file int) <-chan decoded {
	out := make(chan decoded, 1)
	go func() {
		defer close(out)
		send := func(d decoded) bool {
			select {
			case out <- d:
				return d.err == nil
			case <-ctx.Done():
				return false
			}
		}
		back, err := j.compute(ctx)
		if err != nil {
			send(decoded{err: err})
			return
		}
		d, err := openData(ctx, v.table, v.state.Files[file].Path)
		back()
		if err != nil {
			send(decoded{err: err})
			return
		}
		defer d.close()
		for g := range d.pf.RowGroups() {
			back, err := j.compute(ctx)
			if err != nil {
				send(decoded{err: err})
				return
			}
			u, err := v.decode(ctx, d, file, g)
			back()
			if !send(decoded{u, err}) {
				return
			}
		}
	}()
	return out
}

// decode reads the columns of one row group that matching needs.
func (v *viewJoin) decode(ctx context.Context, d *dataFile, file, group int) (_ *unit, err error) {
	defer guard(d.path, "", &err)
	u := unitPool.Get().(*unit)
	n := int(d.pf.RowGroups()[group].NumRows())
	u.ref, u.rows, u.perm = unitRef{file, group}, n, nil
	u.keys.reset(v.keyLong)
	err = func() error {
		if err := u.readKeys(ctx, d, group, v.keys); err != nil {
			return err
		}
		var err error
		if v.event {
			u.x, err = readInts(ctx, d, group, v.systemColumn(ColEvent, feature.Timestamp), u.x, n)
		} else {
			u.x, err = readInts(ctx, d, group, v.systemColumn(ColEffective, feature.Timestamp), u.x, n)
		}
		if err != nil {
			return err
		}
		if u.known, err = readInts(ctx, d, group, v.systemColumn(ColKnown, feature.Timestamp), u.known, n); err != nil {
			return err
		}
		if u.offset, err = readInts(ctx, d, group, v.systemColumn(ColOffset, feature.Int64), u.offset, n); err != nil {
			return err
		}
		u.partition, err = readInt32s(ctx, d, group, v.systemColumn(ColPartition, feature.Int32), u.partition, n)
		return err
	}()
	if err != nil {
		u.free()
		return nil, err
	}
	if !v.state.Files[file].Sorted {
		u.sort()
	}
	u.gate = u.known
	if v.event {
		u.gate = u.x
	}
	return u, nil
}

// sort brings a row group that another engine wrote into key order.
func (u *unit) sort() {
	perm := make([]int32, u.rows)
	for i := range perm {
		perm[i] = int32(i)
	}
	slices.SortStableFunc(perm, func(a, b int32) int { return compareKeys(&u.keys, int(a), &u.keys, int(b)) })
	keys := keyList{long: u.keys.long}
	for _, p := range perm {
		keys.prefix = append(keys.prefix, u.keys.prefix[p])
		if keys.long {
			keys.data = append(keys.data, u.keys.at(int(p))...)
			keys.ends = append(keys.ends, uint32(len(keys.data)))
		}
	}
	u.keys = keys
	u.x, u.known, u.offset, u.partition = permuted(u.x, perm), permuted(u.known, perm), permuted(u.offset, perm), permuted(u.partition, perm)
	u.perm = perm
}

func permuted[T any](s []T, perm []int32) []T {
	out := make([]T, len(perm))
	for i, p := range perm {
		out[i] = s[p]
	}
	return out
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
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

func readInt32s(ctx context.Context, d *dataFile, group int, c Column, dst []int32, n int) ([]int32, error) {
	dst = sized(dst, n)
	chunk, err := d.chunk(group, c)
	if err != nil {
		return dst, err
	}
	read := 0
	err = d.pages(ctx, chunk, c.Name, nil, func(p *page) error {
		read += p.rows
		return whole(dst, p, p.values.i32)
	})
	return dst, complete(d, c, read, n, err)
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
