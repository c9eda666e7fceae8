package audit

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// bucketDoubt is a bucket whose sums are not equal, and what is needed to say why.
type bucketDoubt struct {
	p       *part
	n       int64
	entries bool // the quarantine's sums too

	rows    []uint64           // row hash by offset within the bucket, where the table has one
	doubles map[int64][]uint64 // of those that are there more than once, the others
	held    map[int64]uint64   // entry hash by offset, when entries
}

func (r *run) doubtful(b *bucketDoubt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubt = append(r.doubt, b)
}

// lookInto reads the buckets that are in doubt again, some at a time, row by row.
func (r *run) lookInto(ctx context.Context, log *kafkalog.Log) error {
	doubt := r.doubt
	r.doubt = nil
	slices.SortFunc(doubt, func(a, b *bucketDoubt) int {
		return cmp.Or(cmp.Compare(a.p.at.Partition, b.p.at.Partition), cmp.Compare(a.n, b.n))
	})
	doubt = slices.CompactFunc(doubt, func(a, b *bucketDoubt) bool {
		same := a.p == b.p && a.n == b.n
		a.entries = a.entries || same && b.entries
		return same
	})
	for some := range slices.Chunk(doubt, r.a.perDrill) {
		if err := r.fetchDoubts(ctx, some); err != nil {
			return err
		}
		for _, b := range some {
			if err := r.settle(ctx, log, b); err != nil {
				return err
			}
			b.rows, b.doubles, b.held = nil, nil, nil
		}
	}
	return nil
}

// fetchDoubts reads the hashes of rows and entries of some buckets.
func (r *run) fetchDoubts(ctx context.Context, some []*bucketDoubt) error {
	type key struct {
		part partKey
		n    int64
	}
	find := map[key]*bucketDoubt{}
	var within []offline.Range
	entries := false
	for _, b := range some {
		b.rows, b.doubles, b.held = make([]uint64, offsets.Bucket), map[int64][]uint64{}, map[int64]uint64{}
		k := partKey{b.p.at.TopicID, b.p.at.Partition}
		find[key{k, b.n}] = b
		within = append(within, offline.Range{TopicID: k.topic, Partition: k.partition, First: max(b.p.start, b.n*offsets.Bucket),
			Next: min((b.n+1)*offsets.Bucket, b.p.at.Next)})
		entries = entries || b.entries
	}
	var hashes []uint64
	seen := map[key]*offsets.Bits{}
	err := r.scan(ctx, within, func(batch *feature.Batch) error {
		k := partKey{batch.Origin.TopicID, batch.Origin.Partition}
		hashes = r.hash.rows(hashes, r.parts[k].seed, batch, nil)
		for i, o := range batch.Offsets {
			at := key{k, o / offsets.Bucket}
			b, have := find[at], seen[at]
			if b == nil {
				continue
			}
			if have == nil {
				have = &offsets.Bits{}
				seen[at] = have
			}
			if have.Has(o % offsets.Bucket) {
				b.doubles[o] = append(b.doubles[o], hashes[i])
				continue
			}
			have.Set(o % offsets.Bucket)
			b.rows[o%offsets.Bucket] = hashes[i]
		}
		return nil
	})
	if err != nil || !entries {
		return err
	}
	return r.eachEntry(ctx, nil, func(e *quarantine.Entry) error {
		if b := find[key{partKey{e.TopicID, e.Partition}, e.Offset / offsets.Bucket}]; b != nil && b.entries && b.p.held.Has(e.Offset) {
			b.held[e.Offset] = entryHash(b.p.seed, e)
		}
		return nil
	})
}

// settle reads a bucket's events again and names those that differ.
func (r *run) settle(ctx context.Context, log *kafkalog.Log, b *bucketDoubt) error {
	defs, err := r.defs.all(ctx)
	if err != nil {
		return err
	}
	p, x := b.p, newReader(ctx, r.hash, b.p.seed)
	from, to := max(p.start, b.n*offsets.Bucket), min((b.n+1)*offsets.Bucket, p.at.Next)
	if from >= to {
		return nil
	}
	outs := make([]decoded, len(defs))
	before, entry := from-1, from-1 // the event before: that is a row, that is an entry
	err = log.Read(ctx, p.at.Partition, from, to, func(recs []*kgo.Record) error {
		for k, d := range defs {
			if err := x.read(d, recs, &outs[k]); err != nil {
				return err
			}
		}
		for i, rec := range recs {
			if p.held.Has(rec.Offset) {
				r.settleEntry(b, rec, entry)
				entry = rec.Offset
				continue
			}
			prev := before
			before = rec.Offset
			is := slices.IndexFunc(outs, func(o decoded) bool { return o.ok[i] && b.has(rec.Offset, o.hash[i], p) })
			as := max(is, 0) // what the log's line counts
			if is < 0 {
				as = max(0, slices.IndexFunc(outs, func(o decoded) bool { return o.ok[i] }))
			}
			line := p.day(outs[as].day[i])
			line.Log++
			line.LogHash += outs[as].hash[i]
			if is < 0 && p.rows.Has(rec.Offset) {
				if d := r.found.offset(Changed, p, rec.Offset, prev, outs[as].day[i], false); d != nil {
					d.log = x.cells(defs[as], r.v, rec)
				}
			}
		}
		return nil
	})
	if errors.Is(err, kafkalog.ErrGone) {
		bounds, berr := log.Bounds(ctx)
		if berr != nil {
			return berr
		}
		if start := bounds[p.at.Partition].Start; start > p.start {
			p.start = min(start, p.at.Next) // overtaken by retention; finish says what was not compared
			return nil
		}
	}
	return err
}

// has reports whether every row of the table at that offset has that hash.
func (b *bucketDoubt) has(offset int64, hash uint64, p *part) bool {
	if !p.rows.Has(offset) || b.rows[offset%offsets.Bucket] != hash {
		return false
	}
	return !slices.ContainsFunc(b.doubles[offset], func(h uint64) bool { return h != hash })
}

func (r *run) settleEntry(b *bucketDoubt, rec *kgo.Record, before int64) {
	p := b.p
	if have, ok := b.held[rec.Offset]; !b.entries || !ok || have == recordHash(p.seed, rec, p.bigPayload.Has(rec.Offset), p.bigKey.Has(rec.Offset)) {
		return
	}
	if d := r.found.offset(Changed, p, rec.Offset, before, dayOf(rec.Timestamp.UnixMicro()), true); d != nil {
		d.Detail = "the entry in quarantine has another payload, key or timestamp than the event in the log"
	}
}
