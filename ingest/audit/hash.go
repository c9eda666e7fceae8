package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

// Hashes are 64 bits, mixed lane by lane as XXH64 mixes its input. They find
// accidents; they are no proof against someone who makes collisions on purpose.
const (
	prime1 = 0x9e3779b185ebca87
	prime2 = 0xc2b2ae3d27d4eb4f
	prime3 = 0x165667b19e3779f9
	prime4 = 0x85ebca77c2b2ae63

	laneNull = 0x6e756c6c6e756c6c // in place of a value
	laneDead = 0x746f6d6273746f6e
	laneKept = 0x6f6d697474656421 // a hash stands in for the bytes
)

func mix(h, lane uint64) uint64 {
	h ^= bits.RotateLeft64(lane*prime2, 31) * prime1
	return bits.RotateLeft64(h, 27)*prime1 + prime4
}

func finish(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// seedOf is the part of a hash that all rows of a partition share.
func seedOf(topic [16]byte, partition int32) uint64 {
	return xxhash.Sum64(binary.LittleEndian.AppendUint32(topic[:], uint32(partition)))
}

// hasher hashes rows of a view: coordinates, both times, tombstone, and the typed
// value of every column by its name, another width's as the view's own. Batches and the order of rows do not matter,
// nor how Arrow lays the values out; every NaN is the same one.
type hasher struct {
	columns []uint64
	types   []feature.Type
}

func newHasher(v *feature.View) *hasher {
	h := &hasher{}
	for _, c := range v.Columns() {
		h.columns = append(h.columns, xxhash.Sum64String(c.Name+" "+c.Type.String()))
		h.types = append(h.types, c.Type)
	}
	return h
}

// rows returns the hashes of a batch's rows, in dst. pick tells which column of
// the batch is the view's column i, -1 where the batch has none and the value is
// null; nil where they are the same.
func (h *hasher) rows(dst []uint64, seed uint64, b *feature.Batch, pick []int) []uint64 {
	dst = dst[:0]
	for i, o := range b.Offsets {
		x := mix(mix(mix(seed, uint64(o)), uint64(b.EventTime[i])), uint64(b.KnownTime[i]))
		if b.Deleted(i) {
			x = mix(x, laneDead)
		}
		dst = append(dst, x)
	}
	for i, name := range h.columns {
		at := i
		if pick != nil {
			at = pick[i]
		}
		if at < 0 {
			for k := range dst {
				dst[k] = mix(dst[k], name^laneNull)
			}
			continue
		}
		column(dst, name, b.Rows.Column(at), h.types[i])
	}
	for k := range dst {
		dst[k] = finish(dst[k])
	}
	return dst
}

func column(dst []uint64, name uint64, col arrow.Array, as feature.Type) {
	switch a := col.(type) {
	case *array.Int64:
		if as == feature.Int32 {
			numbers(dst, name, col, a.Int64Values(), func(v int64) uint64 { return uint64(uint32(v)) })
			return
		}
		numbers(dst, name, col, a.Int64Values(), func(v int64) uint64 { return uint64(v) })
	case *array.Timestamp:
		numbers(dst, name, col, a.TimestampValues(), func(v arrow.Timestamp) uint64 { return uint64(v) })
	case *array.Int32:
		if as == feature.Int64 {
			numbers(dst, name, col, a.Int32Values(), func(v int32) uint64 { return uint64(int64(v)) })
			return
		}
		numbers(dst, name, col, a.Int32Values(), func(v int32) uint64 { return uint64(uint32(v)) })
	case *array.Float64:
		if as == feature.Float32 {
			numbers(dst, name, col, a.Float64Values(), func(v float64) uint64 { return float32Lane(float32(v)) })
			return
		}
		numbers(dst, name, col, a.Float64Values(), float64Lane)
	case *array.Float32:
		if as == feature.Float64 {
			numbers(dst, name, col, a.Float32Values(), func(v float32) uint64 { return float64Lane(float64(v)) })
			return
		}
		numbers(dst, name, col, a.Float32Values(), float32Lane)
	case *array.Boolean:
		values(dst, name, col, func(i int) uint64 {
			if a.Value(i) {
				return 1
			}
			return 0
		})
	case *array.String:
		values(dst, name, col, func(i int) uint64 { return xxhash.Sum64String(a.Value(i)) })
	case *array.Binary:
		values(dst, name, col, func(i int) uint64 { return xxhash.Sum64(a.Value(i)) })
	default: // a type that views do not have
		values(dst, name, col, func(i int) uint64 { return xxhash.Sum64String(a.ValueStr(i)) })
	}
}

func float64Lane(v float64) uint64 {
	if v != v {
		return laneDead
	}
	return math.Float64bits(v)
}

func float32Lane(v float32) uint64 {
	if v != v {
		return laneDead
	}
	return uint64(math.Float32bits(v))
}

func numbers[T any](dst []uint64, name uint64, col arrow.Array, vals []T, lane func(T) uint64) {
	if col.NullN() > 0 {
		values(dst, name, col, func(i int) uint64 { return lane(vals[i]) })
		return
	}
	for i, v := range vals {
		dst[i] = mix(dst[i], name+lane(v))
	}
}

func values(dst []uint64, name uint64, col arrow.Array, lane func(i int) uint64) {
	nulls := col.NullN() > 0
	for i := range dst {
		if nulls && col.IsNull(i) {
			dst[i] = mix(dst[i], name^laneNull)
		} else {
			dst[i] = mix(dst[i], name+lane(i))
		}
	}
}

// entryHash is over what an entry keeps of its event.
func entryHash(seed uint64, e *quarantine.Entry) uint64 {
	payload, key := bytesLane(e.Payload), bytesLane(e.Key)
	if e.Omitted > 0 {
		payload = keptLane(e.Omitted, e.SHA256)
	}
	if e.KeyOmitted > 0 {
		key = keptLane(e.KeyOmitted, "")
	}
	if len(e.Key) == 0 && e.KeyOmitted == 0 {
		key = laneNull // Kafka tells an empty header value from none, but not every client does
	}
	return finish(mix(mix(mix(mix(seed, uint64(e.Offset)), uint64(e.Timestamp)), payload), key))
}

// recordHash is the entryHash that the event's entry must have, given what it had
// no room for.
func recordHash(seed uint64, r *kgo.Record, bigPayload, bigKey bool) uint64 {
	e := quarantine.Entry{Offset: r.Offset, Timestamp: r.Timestamp.UnixMicro(), Key: r.Key, Payload: r.Value}
	if bigPayload {
		sum := sha256.Sum256(r.Value)
		e.Omitted, e.SHA256 = max(1, int64(len(r.Value))), hex.EncodeToString(sum[:])
	}
	if bigKey {
		e.KeyOmitted = max(1, int64(len(r.Key)))
	}
	return entryHash(seed, &e)
}

func bytesLane(b []byte) uint64 {
	if b == nil {
		return laneNull
	}
	return xxhash.Sum64(b)
}

func keptLane(size int64, sum string) uint64 {
	return laneKept ^ mix(uint64(size), xxhash.Sum64String(sum))
}
