package offline

import (
	"context"
	"math"
	"sync"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// emit gives out a chunk's rows, batch by batch as the spine came.
func (j *joiner) emit(ctx context.Context, c *spineChunk, out []feature.Vector, sink func(arrow.RecordBatch) error) error {
	from := 0
	for _, rec := range c.recs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := int(rec.NumRows())
		cols := append(make([]arrow.Array, 0, j.schema.NumFields()), rec.Columns()...)
		for i := range out {
			a, err := vectorArray(&out[i], from, from+n)
			if err != nil {
				return err
			}
			j.result.Nulls[i] += int64(a.NullN())
			cols = append(cols, a)
		}
		j.result.NullTimes += int64(rec.Column(j.shape.time).NullN())
		b := array.NewRecordBatch(j.schema, cols, int64(n))
		for _, a := range cols[rec.NumCols():] {
			a.Release()
		}
		err := sink(b)
		b.Release()
		if err != nil {
			return err
		}
		from += n
		j.result.Rows += int64(n)
		j.progress.emitted(n)
	}
	return nil
}

// vectorArray is rows [from, to) of a vector as an Arrow array. Values of fixed
// width are shared with the vector, which is not changed after this.
func vectorArray(v *feature.Vector, from, to int) (arrow.Array, error) {
	valid := v.Valid[from:to]
	nulls := 0
	for _, ok := range valid {
		if !ok {
			nulls++
		}
	}
	bufs := []*memory.Buffer{nil, nil}
	if nulls > 0 {
		bufs[0] = memory.NewBufferBytes(bitmap(valid))
	}
	switch v.Type {
	case feature.Bool:
		bufs[1] = memory.NewBufferBytes(bitmap(v.Bools[from:to]))
	case feature.Int32:
		bufs[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(v.Int32s[from:to]))
	case feature.Int64, feature.Timestamp:
		bufs[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(v.Int64s[from:to]))
	case feature.Float32:
		bufs[1] = memory.NewBufferBytes(arrow.Float32Traits.CastToBytes(v.Float32[from:to]))
	case feature.Float64:
		bufs[1] = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(v.Float64[from:to]))
	default:
		offsets := make([]int32, 1, to-from+1)
		size := 0
		for _, b := range v.Bytes[from:to] {
			if size += len(b); size > math.MaxInt32 {
				return nil, feature.Errorf(feature.Exhausted, opJoin, "", "%d values of a column take more than 2 GiB", to-from)
			}
			offsets = append(offsets, int32(size))
		}
		data := make([]byte, 0, size)
		for _, b := range v.Bytes[from:to] {
			data = append(data, b...)
		}
		bufs[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))
		bufs = append(bufs, memory.NewBufferBytes(data))
	}
	d := array.NewData(v.Type.Arrow(), to-from, bufs, nil, nulls, 0)
	defer d.Release()
	return array.MakeFromData(d), nil
}

func bitmap(bits []bool) []byte {
	out := make([]byte, bitutil.BytesForBits(int64(len(bits))))
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(bits))), len(bits)) // a bool is 0 or 1
	for i, b := range bytes {
		out[i>>3] |= b << (i & 7)
	}
	return out
}

// progress turns the phases of a chunk into rows that are done: 60 % of a chunk
// is matching, 30 % fetching, 10 % giving out.
type progress struct {
	report func(done, total int64)
	count  int64 // of the spine, where known

	mu            sync.Mutex
	base          int64 // rows of earlier chunks
	rows          int64 // of this chunk
	files, seen   int64 // table rows to match, and matched
	want, fetchOf int64 // rows to fetch (spine rows x views), and fetched
	out           int64
	last          time.Time
}

func (p *progress) begin(rows int, views []*viewJoin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows, p.files, p.seen, p.out, p.fetchOf = int64(rows), 0, 0, 0, 0
	for _, v := range views {
		p.files += v.state.Rows
	}
	p.want = int64(rows * len(views))
	p.tell(false)
}

// matched counts table rows that have been dealt with, read or skipped.
func (p *progress) matched(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen += rows
	p.tell(false)
}

// fetching tells how many rows a view will fetch, which is at most one a spine row.
func (p *progress) fetching(_ *viewJoin, rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetchOf += p.rows - int64(rows)
}

func (p *progress) fetched(rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetchOf += int64(rows)
	p.tell(false)
}

func (p *progress) emitted(rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out += int64(rows)
	if p.out == p.rows {
		p.base += p.rows
		p.rows, p.out = 0, 0
	}
	p.tell(p.rows == 0)
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(true)
}

// tell reports at most ten times a second; the clock only thins the reports out.
func (p *progress) tell(always bool) {
	if p.report == nil {
		return
	}
	now := time.Now()
	if !always && now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	part := 0.0
	if p.rows > 0 {
		part = 0.6*share(p.seen, p.files) + 0.3*share(p.fetchOf, p.want) + 0.1*share(p.out, p.rows)
	}
	done := p.base + int64(part*float64(p.rows))
	p.report(done, max(p.count, p.base+p.rows))
}

func share(done, of int64) float64 {
	if of <= 0 {
		return 1
	}
	return min(1, float64(done)/float64(of))
}
