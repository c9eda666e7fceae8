package audit

import (
	"context"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/registry/feature"
)

// reader decodes events of one partition under some definitions. Not for concurrent use.
type reader struct {
	ctx  context.Context // of the audit: a schema registry may have to be asked
	hash *hasher
	seed uint64
	decs map[decoding]*decode.Decoder
	rows []uint64
	// known, when not 0, is the known time under which events are judged, as a replay
	// judges them; it is left out of the hashes.
	known int64
}

// decoding is how events are read: those of files are JSON, whatever the stream's are.
type decoding struct {
	d    *definition
	file bool
}

func newReader(ctx context.Context, h *hasher, seed uint64) *reader {
	return &reader{ctx: ctx, hash: h, seed: seed, decs: map[decoding]*decode.Decoder{}}
}

// decoded is what became of events under a definition, in their order.
type decoded struct {
	ok   []bool // false: the definition rejects the event
	hash []uint64
	day  []int32 // of effective time; of the record's timestamp where rejected
}

// read decodes events.
func (x *reader) read(d *definition, recs []*kgo.Record, into *decoded) error {
	n := len(recs)
	into.ok, into.hash, into.day = slices.Grow(into.ok[:0], n)[:n], slices.Grow(into.hash[:0], n)[:n], slices.Grow(into.day[:0], n)[:n]
	clear(into.ok)
	if n == 0 {
		return nil
	}
	res, err := x.decode(d, recs)
	if err != nil {
		return err
	}
	b := res.Batch
	defer b.Rows.Release()
	if x.known != 0 {
		clear(b.KnownTime)
	}
	x.rows = x.hash.rows(x.rows, x.seed, b, d.pick)
	k := 0
	for i, r := range recs {
		if k < b.Len() && b.Offsets[k] == r.Offset {
			into.ok[i], into.hash[i], into.day[i] = true, x.rows[k], dayOf(b.Stamp(k).Effective())
			k++
			continue
		}
		into.hash[i], into.day[i] = 0, dayOf(r.Timestamp.UnixMicro())
	}
	return nil
}

// decode runs the decoder. An event that makes it panic counts as rejected, as it
// does for ingestion.
func (x *reader) decode(d *definition, recs []*kgo.Record) (decode.Result, error) {
	bad := map[int64]bool{}
	k := decoding{d, recs[0].Partition == feature.ImportPartition}
	o := decode.Options{MaxEventBytes: math.MaxInt, Schema: d.schema, Known: x.known, Import: k.file}
	if d.format != nil && !k.file {
		o.Format = d.format
		for _, r := range recs {
			if id, missing := d.format.Missing(r.Value); missing {
				if err := d.format.Load(x.ctx, id); err != nil {
					return decode.Result{}, err
				}
			}
		}
	}
	for {
		dec := x.decs[k]
		if dec == nil {
			var err error
			// No limit of size: what was too large for ingestion is in quarantine, whatever the limit was then.
			dec, err = decode.New(d.view.SourceOf, []*feature.View{d.view}, o)
			if err != nil {
				return decode.Result{}, err
			}
			x.decs[k] = dec
		}
		dec.Expect(len(recs))
		at := tryDecode(dec, recs, bad)
		if at < 0 {
			return dec.Cut(feature.Origin{Topic: recs[0].Topic, Partition: recs[0].Partition, First: recs[0].Offset, Next: recs[len(recs)-1].Offset + 1})[0], nil
		}
		bad[at] = true
		delete(x.decs, k) // it may be in any state
	}
}

// tryDecode returns the offset of the event that made the decoder panic, or -1.
func tryDecode(dec *decode.Decoder, recs []*kgo.Record, without map[int64]bool) (at int64) {
	defer func() {
		if recover() == nil {
			at = -1
		}
	}()
	for _, r := range recs {
		if at = r.Offset; !without[at] {
			dec.Decode(decode.Record{Key: r.Key, Value: r.Value, Offset: r.Offset, Timestamp: r.Timestamp.UnixMicro()})
		}
	}
	return -1
}
