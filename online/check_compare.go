package online

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/registry/feature"
)

// verdict is what one look at a key says.
type verdict uint8

const (
	isFault verdict = iota
	isEqual
	isExpired
	isAhead
	isGone // no row in the table and none in the store
)

// compare takes rows of the table. Batches may be small, so they are gathered
// until it is worth asking the store.
func (c *checker) compare(ctx context.Context, rows []Row) error {
	for i := range rows {
		c.pending = append(c.pending, suspect{key: strings.Clone(rows[i].Key), want: bytes.Clone(rows[i].Value)})
		if len(c.pending) == perRead {
			if err := c.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush compares what compare has gathered.
func (c *checker) flush(ctx context.Context) error {
	list := c.pending
	c.pending = c.pending[:0]
	keys := make([]string, len(list))
	for i := range list {
		if keys[i] = list[i].key; c.Strangers {
			c.seen.add(xxhash.Sum64String(keys[i]))
		}
	}
	vals, err := c.get(ctx, keys)
	if err != nil {
		return err
	}
	for i := range list {
		s := &list[i]
		s.got = vals[i]
		v, err := c.judge(ctx, s)
		if err != nil {
			return err
		}
		if v != isFault {
			c.count(v, s)
		} else if err := c.suspect(ctx, *s); err != nil {
			return err
		}
	}
	before := c.result.Keys
	if c.result.Keys += int64(len(list)); c.Progress != nil && before/10_000 != c.result.Keys/10_000 {
		c.Progress(c.result.Keys)
	}
	return nil
}

// get asks the store. A check takes long, so it bears with a store that is away for a moment.
func (c *checker) get(ctx context.Context, keys []string) ([][]byte, error) {
	pause := c.Pause
	for try := 1; ; try++ {
		vals, failed := make([][]byte, len(keys)), make([]bool, len(keys))
		err := c.Store.Get(ctx, keys, vals, failed)
		if err == nil || feature.KindOf(err) != feature.Unavailable || try == 6 {
			return vals, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// judge compares the table's value of a key with the store's.
func (c *checker) judge(ctx context.Context, s *suspect) (verdict, error) {
	if s.want != nil && bytes.Equal(s.want, s.got) {
		return isEqual, nil
	}
	now := c.clock().UnixMicro()
	var table Header
	if s.want != nil {
		var err error
		if table, _, err = ReadHeader(s.want); err != nil {
			return isFault, &feature.Error{Kind: feature.Internal, Op: "online.check", What: "key " + s.key, Err: err}
		}
	}
	fault := func(kind CheckKind, format string, args ...any) (verdict, error) {
		s.kind, s.detail = kind, fmt.Sprintf(format, args...)
		return isFault, nil
	}
	if s.got == nil {
		switch {
		case s.want == nil:
			return isGone, nil
		case table.Stamp.Expired(c.View.TTL, now):
			return isExpired, nil
		}
		return fault(Missing, "the table has %s, the store nothing", place(table.Stamp))
	}
	store, cells, err := ReadHeader(s.got)
	switch {
	case err != nil && s.want == nil:
		return fault(Stranger, "the store has a value that cannot be read (%v), the table nothing", err)
	case err != nil:
		return fault(Changed, "the table has %s, the store a value that cannot be read: %v", place(table.Stamp), err)
	case s.want == nil && store.Stamp.Expired(c.View.TTL, now):
		return isGone, nil
	case s.want == nil && c.ahead(store.Stamp):
		return isGone, nil // counted is only what the table has keys of
	case s.want == nil:
		return fault(Stranger, "the store has %s, the table nothing", place(store.Stamp))
	}
	switch order := store.Stamp.Compare(table.Stamp); {
	case order < 0 && table.Stamp.Expired(c.View.TTL, now):
		// The store had dropped the newest row when an older one came again, which is
		// as expired: a lookup answers the same for both (see Config.expiry).
		return isExpired, nil
	case order < 0:
		return fault(Stale, "the table has %s, the store only %s", place(table.Stamp), place(store.Stamp))
	case order > 0 && c.ahead(store.Stamp):
		return isAhead, nil
	case order > 0:
		return fault(Stranger, "the store has %s, which the table does not have; its newest is %s", place(store.Stamp), place(table.Stamp))
	case store.Stamp.Event != table.Stamp.Event:
		return fault(Changed, "%s: the event time is %s in the table, %s in the store", place(table.Stamp), feature.Time(table.Stamp.Event), feature.Time(store.Stamp.Event))
	case store.Tombstone != table.Tombstone:
		return fault(Changed, "%s: deleted is %t in the table, %t in the store", place(table.Stamp), table.Tombstone, store.Tombstone)
	case store.Tombstone:
		return isEqual, nil // only the id of a schema that a tombstone does not use differs
	}
	differ, err := c.values(ctx, s.want, store.Schema, cells)
	if err != nil && feature.KindOf(err) == feature.Unavailable {
		return isFault, err
	}
	switch {
	case err != nil:
		return fault(Changed, "%s: the store's value cannot be read: %v", place(table.Stamp), err)
	case len(differ) > 0:
		return fault(Changed, "%s: %s differs", place(table.Stamp), strings.Join(differ, ", "))
	}
	return isEqual, nil
}

// values names the features whose values differ, in the view's order. Rows that were
// written under another schema read as a lookup reads them.
func (c *checker) values(ctx context.Context, want []byte, schema uint32, cells []byte) ([]string, error) {
	p := c.other.projection(schema)
	if p == nil {
		text, err := c.Store.Schema(ctx, c.id, schema)
		if err != nil {
			return nil, err
		}
		if p, err = c.other.learn(schema, text); err != nil {
			return nil, err
		}
	}
	features := c.View.Features
	cols := make([]feature.BlockColumn, len(features))
	for i, f := range features {
		cols[i].Reset(f.Type, 2)
	}
	_, tableCells, err := ReadHeader(want)
	if err == nil {
		err = c.other.first.decode(tableCells, cols, 0)
	}
	if err == nil {
		err = p.decode(cells, cols, 1)
	}
	if err != nil {
		return nil, err
	}
	var differ []string
	for i := range cols {
		if !sameValue(&cols[i].Vector) {
			differ = append(differ, features[i].Name)
		}
	}
	return differ, nil
}

// sameValue compares rows 0 and 1 of a column, bit by bit.
func sameValue(v *feature.Vector) bool {
	if v.Valid[0] != v.Valid[1] || !v.Valid[0] {
		return v.Valid[0] == v.Valid[1]
	}
	switch v.Type {
	case feature.Bool:
		return v.Bools[0] == v.Bools[1]
	case feature.Int32:
		return v.Int32s[0] == v.Int32s[1]
	case feature.Int64, feature.Timestamp:
		return v.Int64s[0] == v.Int64s[1]
	case feature.Float32:
		return math.Float32bits(v.Float32[0]) == math.Float32bits(v.Float32[1])
	case feature.Float64:
		return math.Float64bits(v.Float64[0]) == math.Float64bits(v.Float64[1])
	}
	return bytes.Equal(v.Bytes[0], v.Bytes[1])
}

// count records a last look at a key.
func (c *checker) count(v verdict, s *suspect) {
	r := &c.result
	switch v {
	case isEqual:
		r.Equal++
		h := rowHash(s.key, s.want)
		r.TableHash += h
		r.StoreHash += h
	case isExpired:
		r.Expired++
	case isAhead:
		r.Ahead++
	case isFault:
		r.Faults++
		if s.want != nil {
			r.TableHash += rowHash(s.key, s.want)
		}
		if s.got != nil {
			r.StoreHash += rowHash(s.key, s.got)
		}
	}
}

func rowHash(key string, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(key)
	_, _ = d.Write([]byte{0})
	_, _ = d.Write(value)
	return d.Sum64()
}
