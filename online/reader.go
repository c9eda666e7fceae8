package online

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// Reader answers lookups: Compile once for a service and catalog revision, then
// Plan.Read for each request. It asks the store once for all views of a request.
type Reader struct {
	store   Store
	clock   func() time.Time
	log     *slog.Logger
	metrics *Metrics
	scratch sync.Pool // *asked

	seconds prometheus.Observer
	warned  atomic.Int64 // unix second of the last warning about a value: one a second is enough
}

// NewReader makes a reader. clock decides what is outside its ttl; time.Now when nil.
func NewReader(store Store, clock func() time.Time, log *slog.Logger, m *Metrics) *Reader {
	if clock == nil {
		clock = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if m == nil {
		m = NewMetrics(prometheus.NewRegistry())
	}
	return &Reader{store: store, clock: clock, log: log, metrics: m, seconds: m.store.WithLabelValues("get"),
		scratch: sync.Pool{New: func() any { return &asked{} }}}
}

// asked is the memory of one request.
type asked struct {
	bytes  []byte
	ends   []int
	keys   []string
	vals   [][]byte
	failed []bool
	where  []int32 // view * rows + row of each key
	// The schema that the store was asked for and did not tell, of which view, and why not.
	unknown struct {
		of  *planView
		id  uint32
		err error
	}
}

// Read fills b with rows rows; keys are in the order of Keys and have rows
// entries each. A null join key is answered NOT_FOUND.
//
// What the store did not answer has the status StoreError, and the rest of the
// block is good. The error tells of a request that is wrong, or that the store turned away for
// having too many (feature.Exhausted); a store that answers nothing at all is no error
// here, only a block full of StoreError.
func (p *Plan) Read(ctx context.Context, keys []feature.Vector, rows int, b *feature.Block) error {
	if err := p.check(keys, rows); err != nil {
		return err
	}
	p.reset(b, rows)
	r := p.reader
	a := r.scratch.Get().(*asked)
	defer func() {
		a.drop()
		r.scratch.Put(a)
	}()
	p.ask(a, keys, rows, b)
	if len(a.keys) == 0 {
		return nil
	}
	start := time.Now()
	err := r.store.Get(ctx, a.keys, a.vals, a.failed)
	r.seconds.Observe(time.Since(start).Seconds())
	if err != nil {
		if feature.KindOf(err) == feature.Exhausted { // nothing was asked
			return err
		}
		r.warn("the online store did not answer a lookup", "err", err)
	}
	now := r.clock().UnixMicro()
	for i, w := range a.where {
		v, row := int(w)/rows, int(w)%rows
		if a.failed[i] {
			b.Views[v].Status[row] = feature.StoreError
			continue
		}
		p.views[v].fill(ctx, r, a, a.vals[i], now, b, &b.Views[v], row)
	}
	return nil
}

func (p *Plan) check(keys []feature.Vector, rows int) error {
	if len(keys) != len(p.keys) {
		return feature.Errorf(feature.Invalid, "online.read", "", "%d join keys where %d are needed", len(keys), len(p.keys))
	}
	if rows*len(p.views) > 1<<31-1 {
		return feature.Errorf(feature.Exhausted, "online.read", "", "too many rows: %d", rows)
	}
	for i := range keys {
		if keys[i].Type != p.keys[i].Type || len(keys[i].Valid) != rows {
			return feature.Errorf(feature.Invalid, "online.read", "join key "+p.keys[i].Name, "%d values of type %s where %d of type %s are needed",
				len(keys[i].Valid), keys[i].Type, rows, p.keys[i].Type)
		}
	}
	return nil
}

// ask builds the keys: the rows of the first view, then of the next.
func (p *Plan) ask(a *asked, keys []feature.Vector, rows int, b *feature.Block) {
	for v := range p.views {
		pv := &p.views[v]
		for row := range rows {
			at := len(a.bytes)
			var ok bool
			if a.bytes, ok = pv.keys.appendAsked(a.bytes, keys, pv.use, row); !ok {
				a.bytes = a.bytes[:at]
				b.Views[v].Status[row] = feature.NotFoundStatus
				continue
			}
			a.ends = append(a.ends, len(a.bytes))
			a.where = append(a.where, int32(v*rows+row))
		}
	}
	n := len(a.ends)
	a.keys, a.vals, a.failed = zeroed(a.keys, n), zeroed(a.vals, n), zeroed(a.failed, n)
	from := 0
	for i, end := range a.ends {
		a.keys[i] = unsafe.String(&a.bytes[from], end-from) // never empty; dropped before bytes is used again
		from = end
	}
}

func (a *asked) drop() {
	clear(a.keys)
	clear(a.vals)
	a.bytes, a.ends, a.where = a.bytes[:0], a.ends[:0], a.where[:0]
	a.unknown.of, a.unknown.err = nil, nil
	if cap(a.bytes) > 4<<20 {
		*a = asked{}
	}
}

// fill judges one value and decodes it.
func (v *planView) fill(ctx context.Context, r *Reader, a *asked, val []byte, now int64, b *feature.Block, out *feature.BlockView, row int) {
	if val == nil {
		out.Status[row] = feature.NotFoundStatus
		return
	}
	h, cells, err := ReadHeader(val)
	if err != nil {
		v.bad(r, out, row, err)
		return
	}
	if h.Tombstone {
		out.Status[row] = feature.NotFoundStatus
		return
	}
	if h.Stamp.Expired(v.view.TTL, now) {
		out.Status[row], out.EventTime[row] = feature.OutsideMaxAge, h.Stamp.Event
		return
	}
	p := v.projection(h.Schema)
	if p == nil {
		u := &a.unknown
		if u.of != v || u.id != h.Schema { // once, not for each row
			var text string
			if text, err = r.store.Schema(ctx, v.id, h.Schema); err == nil {
				p, err = v.learn(h.Schema, text)
			}
			if err != nil {
				u.of, u.id, u.err = v, h.Schema, err
			}
		}
		if p == nil {
			v.bad(r, out, row, u.err)
			return
		}
	}
	if err := p.decode(cells, b.Columns, row); err != nil {
		p.clearRow(b.Columns, row)
		v.bad(r, out, row, err)
		return
	}
	out.Status[row], out.EventTime[row] = feature.Present, h.Stamp.Event
}

// bad marks a value that cannot be read. It is a fault of the store's content,
// so never "not found".
func (v *planView) bad(r *Reader, out *feature.BlockView, row int, err error) {
	out.Status[row] = feature.StoreError
	r.metrics.bad.WithLabelValues(labels(v.view)...).Inc()
	r.warn("a value in the online store cannot be read", "view", v.id, "err", fmt.Errorf("online.read: %w", err))
}

func (r *Reader) warn(msg string, args ...any) {
	now := time.Now().Unix()
	if last := r.warned.Load(); last != now && r.warned.CompareAndSwap(last, now) {
		r.log.Warn(msg, args...)
	}
}
