package ingest

import (
	"sync/atomic"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

// budget is what one source holds in memory, against Config.MemoryLimit:
//
//	records   fetched, in queues and in hand, payload and bookkeeping alike
//	columns   decoded, on their way to the sinks
//	sinks     what Sink.Buffered says
//	held      quarantine entries that are not acknowledged yet
//	client    fetched by the Kafka client and not polled yet
//
// Nothing is fetched that might not fit: fetch sizes follow from the limit, from
// what a byte on the wire has cost so far, and from the number of brokers, each
// of which may have one fetch under way and one waiting. What can still go over
// the limit is one fetch that inflates far more than any before it, the columns
// of the batches that are being decoded (at most one a core), and a record that
// is larger than a fetch should be.
type budget struct {
	records atomic.Int64
	columns atomic.Int64
	cost    atomic.Int64 // of a byte on the wire, in hundredths; see OnFetchBatchRead
}

const (
	mostFetch     = 8 << 20  // more makes a fetch no faster
	leastFetch    = 64 << 10 // less makes it slow; a limit that is smaller is not kept
	mostOfOne     = 1 << 20  // of one partition in a fetch
	leastOfOne    = 16 << 10
	firstCost     = 400
	mostCost      = 10_000
	recordCost    = int64(unsafe.Sizeof(kgo.Record{})) + 16
	headerCost    = int64(unsafe.Sizeof(kgo.RecordHeader{}))
	fetchShare    = 8 // the limit's part for what brokers may be about to send
	backlogShare  = 4 // the limit's part that queues may take before single ones are paused
	onePartsShare = 8 // the limit's part for one queue of each partition
	othersShare   = 8 // the limit's part for what moves, beside paused partitions
)

// size is the memory that a fetched record costs.
func size(r *kgo.Record) int64 {
	n := int64(len(r.Key)+len(r.Value)) + recordCost
	for i := range r.Headers {
		n += headerCost + int64(len(r.Headers[i].Key)+len(r.Headers[i].Value))
	}
	return n
}

// OnFetchBatchRead learns what a byte on the wire costs in memory: most of what
// any recent batch did. It is called by the client for each batch.
func (b *budget) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	wire := int64(max(1, m.CompressedBytes))
	now := min(mostCost, 100*(int64(m.UncompressedBytes)+int64(m.NumRecords)*recordCost)/wire)
	if old := b.cost.Load(); now > old {
		b.cost.Store(now)
	} else if old > 100 {
		b.cost.Store(max(now, old-max(1, old>>10))) // forgotten within some thousand batches
	}
}

// sizes are the limits of a fetch and of one partition in it, on the wire, and
// what the brokers may be about to send, in memory.
func (b *budget) sizes(limit int64, brokers, partitions int) (fetch, one int32, coming int64) {
	cost, n := max(100, b.cost.Load()), int64(max(1, brokers))
	f := min(max(limit/fetchShare*100/cost/n, leastFetch), mostFetch)
	o := min(max(share(limit, partitions)*100/cost, leastOfOne), mostOfOne, f)
	return int32(f), int32(o), f * n * cost / 100
}

// share is how much of one partition may wait while memory is short.
func share(limit int64, partitions int) int64 {
	return limit / onePartsShare / int64(max(1, partitions))
}

// used is what the source holds now, without what waits in the client.
func (p *Pipeline) used() int64 {
	return p.mem.records.Load() + p.mem.columns.Load() + p.buffered() + p.held.Waiting()
}

// mayFetch reports whether what the brokers may send fits, and sets how much they may.
func (p *Pipeline) mayFetch() bool {
	p.mu.Lock()
	owned, brokers := len(p.parts), p.brokers
	p.mu.Unlock()
	fetch, one, coming := p.mem.sizes(p.MemoryLimit, brokers, owned)
	if fetch != p.fetch || one != p.one {
		p.fetch, p.one = fetch, one
		p.cl.UpdateFetchMaxBytes(fetch, one)
	}
	used := p.used()
	p.Metrics.buffered.WithLabelValues(p.Source.Meta.Project, p.Source.Meta.Name).
		Set(float64(used + p.cl.BufferedFetchBytes() + p.cl.BufferedFetchRecords()*recordCost))
	// Once what has come is taken, as much may be under way again. A limit that is
	// too small for the smallest fetch is still a limit to what is kept.
	if used <= max(p.MemoryLimit-2*coming, p.MemoryLimit/4) {
		return true
	}
	// Waiting frees what moves. What paused partitions keep may stay for as long as
	// their sink hangs, and gets no more: the others go on beside it.
	return used-p.kept() <= p.MemoryLimit/othersShare
}

// kept is what paused partitions hold, in queues and in hand.
func (p *Pipeline) kept() (n int64) {
	for _, part := range p.owned() {
		if waits, paused := part.q.waiting(); paused {
			n += waits + part.hand.Load()
		}
	}
	return n
}

// own copies the payloads of records that share one buffer with the whole fetch:
// a partition that waits for a slow sink would keep the records of all others.
// Compressed batches have a buffer each.
func own(recs []*kgo.Record) {
	total := 0
	for _, r := range recs {
		if r.Attrs.CompressionType() == 0 {
			total += len(r.Key) + len(r.Value)
		}
	}
	if total == 0 {
		return
	}
	buf := make([]byte, 0, total)
	copied := func(b []byte) []byte {
		if len(b) == 0 {
			return b // null stays null
		}
		from := len(buf)
		buf = append(buf, b...)
		return buf[from:len(buf):len(buf)]
	}
	for _, r := range recs {
		if r.Attrs.CompressionType() == 0 {
			r.Key, r.Value, r.Headers = copied(r.Key), copied(r.Value), asked(r.Headers)
		}
	}
}
