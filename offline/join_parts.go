package offline

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// A spine that fits no memory, by ranges of its keys. For each key set:
//
//	spine  row 0  key 7    -> partition 1   home of row 0: 1
//	       row 1  key 2    -> partition 0   home of row 1: 0
//	       row 2  no key   -> none          home of row 2: none
//	       row 3  key 9    -> partition 1   home of row 3: 1
//
// A partition's rows keep the spine's order, and are joined in that order; its
// features are written as they come. So the homes, read beside the spine, say from which
// partition the next row of features is to be taken: nothing is sorted, and no row
// numbers are kept. A partition that is larger than memory, as one key with most of the
// rows makes it, is joined by so many of its rows at a time.

// part of the way through partitions.
type partitioned struct {
	sub    *joiner // joins this key set alone
	keys   [][]byte
	firsts []uint64 // keyPrefix of keys
	homes  *spillStream
	in     []*spilledBatches // keys and times
	out    []*spilledBatches // features
	file   *spillFile        // of in
}

const (
	noHome        = 1<<16 - 1
	maxPartitions = 256 // of all key sets
	samples       = 1 << 16
	maxSample     = 64 // bytes of a key that tell where it belongs
)

// only is a join of the views of one key set alone, over a spine of its keys and times.
func (j *joiner) only(set int) *joiner {
	s := *j.service
	s.Columns = nil
	sub := &joiner{service: &s, memory: j.memory, workers: j.workers, slots: j.slots, progress: j.progress, texts: j.texts, spill: j.spill}
	sub.shape = &spineShape{sets: [][]int{nil}}
	var fields []arrow.Field
	for i, k := range j.shape.sets[set] {
		f := j.shape.keys[k].field
		sub.shape.keys = append(sub.shape.keys, spineKey{f, i})
		sub.shape.sets[0] = append(sub.shape.sets[0], i)
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type.Arrow(), Nullable: true})
	}
	sub.shape.time = len(fields)
	fields = append(fields, arrow.Field{Name: j.shape.schema.Field(j.shape.time).Name, Type: feature.Timestamp.Arrow(), Nullable: true})
	sub.shape.schema = arrow.NewSchema(fields, nil)
	for i, v := range j.views {
		if j.shape.setOf[i] != set {
			continue
		}
		own := *v
		own.outputs = nil
		for _, ci := range v.outputs {
			own.outputs = append(own.outputs, len(s.Columns))
			s.Columns = append(s.Columns, j.service.Columns[ci])
		}
		sub.views = append(sub.views, &own)
		sub.shape.setOf = append(sub.shape.setOf, 0)
	}
	fields = slices.Clone(fields)
	for _, c := range s.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: s.Views[c.View].Features[c.Feature].Type.Arrow(), Nullable: true})
	}
	sub.schema, sub.packed = arrow.NewSchema(fields, nil), true
	sub.result.Nulls = make([]int64, len(s.Columns))
	return sub
}

// keyBytes is about what a row's keys and time take.
func (j *joiner) keyBytes() int64 {
	n := int64(8)
	for _, k := range j.shape.keys {
		switch k.field.Type {
		case feature.String, feature.Bytes:
			n += 4 + firstText
		default:
			n += 8
		}
	}
	return n
}

// partitions is how many a spine of so many rows is cut into.
func (j *joiner) partitions(rows int64) int {
	need := rows * (j.rowBytes() + j.keyBytes())
	need += need / 8 // samples are not exact
	return int(min(maxPartitions, need/j.memory+1, max(1, rows)))
}

// inPartitions joins a spine on disk key set by key set, each by ranges of keys.
func (j *joiner) inPartitions(ctx context.Context, s *spooled, sink func(arrow.RecordBatch) error) error {
	// Of the time that is left: a tenth is sorting, a fifth is writing.
	left := 1 - shareOfReading
	each := left / float64(len(j.shape.sets))
	sets := make([]*partitioned, len(j.shape.sets))
	opened := make([]map[int]bool, len(j.views))
	for i := range opened {
		opened[i] = map[int]bool{}
	}
	j.progress.hush(true)
	for i := range sets {
		p, err := j.newPartitioned(ctx, s, i)
		if err != nil {
			return err
		}
		sets[i] = p
		j.progress.step(StageSorting, 0.1*each)
		if err := p.fill(ctx, j, s, i); err != nil {
			return err
		}
		if err := p.join(ctx, s, 0.7*each); err != nil {
			return err
		}
		j.result.RowsRead += p.sub.result.RowsRead
		j.result.FilesRead += p.sub.result.FilesRead
		j.result.FilesSkipped += p.sub.result.FilesSkipped
	}
	j.progress.hush(false)
	j.progress.step(StageWriting, 0.2*left)
	return j.merge(ctx, s, sets, sink)
}

// newPartitioned finds the keys at which the partitions of a key set begin, so
// that each gets about as many rows: from a sample, by one more look at the spine.
func (j *joiner) newPartitioned(ctx context.Context, s *spooled, set int) (*partitioned, error) {
	p := &partitioned{sub: j.only(set)}
	n := min(p.sub.partitions(s.rows), max(1, maxPartitions/len(j.shape.sets)))
	if n > 1 {
		found, err := j.sample(ctx, s, set)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found, bytes.Compare)
		for i := 1; i < n && len(found) > 0; i++ {
			k := found[i*len(found)/n]
			if len(p.keys) == 0 || !bytes.Equal(p.keys[len(p.keys)-1], k) {
				p.keys = append(p.keys, k)
				p.firsts = append(p.firsts, keyPrefix(k))
			}
		}
	}
	return p, nil
}

func (j *joiner) sample(ctx context.Context, s *spooled, set int) ([][]byte, error) {
	var found [][]byte
	var key []byte
	r := rand.New(rand.NewPCG(1, 1)) // always the same: the result does not depend on it, its speed does
	every := max(1, s.rows/samples)
	next := r.Int64N(every)
	return found, s.each(ctx, func(rec arrow.RecordBatch, first int64) error {
		rows := first + rec.NumRows()
		if next >= rows {
			return nil
		}
		cols, times, err := j.shape.keyColumns(rec, j.shape.sets[set], first)
		if err != nil {
			return err
		}
		defer releaseKeys(cols, times)
		for next < rows {
			if i := int(next - first); !times.IsNull(i) && !anyNull(cols, i) {
				key = feature.AppendKey(key[:0], cols, i)
				found = append(found, bytes.Clone(key[:min(len(key), maxSample)]))
			}
			next += 1 + r.Int64N(2*every-1)
		}
		return nil
	})
}

// each goes through the spine's batches on disk.
func (s *spooled) each(ctx context.Context, f func(rec arrow.RecordBatch, first int64) error) error {
	r := s.disk.reader()
	defer r.close()
	for first := int64(0); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n := rec.NumRows()
		err = f(rec, first)
		rec.Release()
		if err != nil {
			return err
		}
		first += n
	}
}

// of is the partition of a key: how many of them begin at or before it.
func (p *partitioned) of(key []byte) int {
	first := keyPrefix(key)
	return sort.Search(len(p.keys), func(i int) bool {
		if p.firsts[i] != first {
			return p.firsts[i] > first
		}
		return bytes.Compare(p.keys[i], key) > 0
	})
}

// fill writes the keys and times of the spine's rows to their partitions.
func (p *partitioned) fill(ctx context.Context, j *joiner, s *spooled, set int) error {
	var err error
	if p.file, err = j.spill.create("keys"); err != nil {
		return err
	}
	homes, err := j.spill.create("homes")
	if err != nil {
		return err
	}
	p.homes = homes.stream(streamBlock(j.memory, 1))
	n := len(p.keys) + 1
	for range n {
		p.in = append(p.in, newSpilledBatches(p.file, p.sub.shape.schema, streamBlock(j.memory, n)))
	}
	w := pending{p: p, at: make([][]place, n), most: max(maxOutRows, 1024*n)}
	defer w.release()
	var key, home []byte
	err = s.each(ctx, func(rec arrow.RecordBatch, first int64) error {
		cols, times, err := j.shape.keyColumns(rec, j.shape.sets[set], first)
		if err != nil {
			return err
		}
		src := int32(len(w.from))
		w.from = append(w.from, append(cols, times))
		home = home[:0]
		for i := range int(rec.NumRows()) {
			if times.IsNull(i) || anyNull(cols, i) {
				home = binary.LittleEndian.AppendUint16(home, noHome)
				continue
			}
			k := 0
			if n > 1 {
				key = feature.AppendKey(key[:0], cols, i)
				k = p.of(key)
			}
			home = binary.LittleEndian.AppendUint16(home, uint16(k))
			w.at[k] = append(w.at[k], place{src, int32(i)})
		}
		w.rows += int(rec.NumRows())
		w.bytes += recordBytes(rec)
		j.progress.moved(share(first, s.rows))
		if _, err := p.homes.Write(home); err != nil {
			return err
		}
		if w.rows >= w.most || w.bytes > j.memory/4 {
			return w.write()
		}
		return nil
	})
	if err == nil {
		err = w.write()
	}
	for _, b := range p.in {
		if err == nil {
			err = b.end()
		}
	}
	if err == nil {
		err = p.homes.end()
	}
	return err
}

// pending is rows that wait to be written to their partitions, many together.
type pending struct {
	p     *partitioned
	from  [][]arrow.Array // by batch: keys, time
	at    [][]place       // by partition
	rows  int
	bytes int64
	most  int
}

func (w *pending) write() error {
	schema := w.p.sub.shape.schema
	defer w.release()
	sources := make([]arrow.Array, len(w.from))
	for k, at := range w.at {
		if len(at) == 0 {
			continue
		}
		cols := make([]arrow.Array, schema.NumFields())
		for c := range cols {
			for i, f := range w.from {
				sources[i] = f[c]
			}
			t := feature.Timestamp
			if c < len(w.p.sub.shape.keys) {
				t = w.p.sub.shape.keys[c].field.Type
			}
			var err error
			if cols[c], err = gather(t, sources, at); err != nil {
				return err
			}
		}
		rec := array.NewRecordBatch(schema, cols, int64(len(at)))
		for _, c := range cols {
			c.Release()
		}
		err := w.p.in[k].write(rec)
		rec.Release()
		if err != nil {
			return err
		}
		w.at[k] = at[:0]
	}
	return nil
}

func (w *pending) release() {
	for _, f := range w.from {
		for _, c := range f {
			c.Release()
		}
	}
	w.from, w.rows, w.bytes = w.from[:0], 0, 0
}

// join joins partition by partition and writes the features.
func (p *partitioned) join(ctx context.Context, s *spooled, span float64) error {
	j := p.sub
	file, err := j.spill.create("features")
	if err != nil {
		return err
	}
	keys := len(j.shape.schema.Fields())
	schema := arrow.NewSchema(j.schema.Fields()[keys:], nil)
	most := max(4<<10, j.memory/int64(4*maxPartitions))
	if n := j.memory / int64(8*len(p.in)); n > most {
		most = min(n, maxOutBytes/2)
	}
	for _, in := range p.in {
		out := newSpilledBatches(file, schema, streamBlock(j.memory, 1))
		p.out = append(p.out, out)
		if err := p.joinOne(ctx, in, s, span, func(rec arrow.RecordBatch) error {
			features := array.NewRecordBatch(schema, rec.Columns()[keys:], rec.NumRows())
			defer features.Release()
			n := max(1, most*rec.NumRows()/max(1, recordBytes(features)))
			for at := int64(0); at < rec.NumRows(); at += n {
				part := features.NewSlice(at, min(rec.NumRows(), at+n))
				err := out.write(part)
				part.Release()
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if err := out.end(); err != nil {
			return err
		}
	}
	p.in = nil
	return p.file.remove()
}

func (p *partitioned) joinOne(ctx context.Context, in *spilledBatches, s *spooled, span float64, sink func(arrow.RecordBatch) error) error {
	rows := in.reader()
	defer rows.close()
	r := p.sub.chunks(rows, &spooled{rows: in.rows, memory: in.bytes + in.rows*p.sub.rowBytes()})
	defer r.close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, err := r.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.sub.progress.step(StageJoining, span*share(int64(c.rows), s.rows))
		err = p.sub.part(ctx, c, sink)
		c.release()
		if err != nil {
			return err
		}
	}
}
