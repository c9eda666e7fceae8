package audit

import (
	"maps"
	"slices"

	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

type partKey struct {
	topic     [16]byte
	partition int32
}

// part is what was found of one partition: sets of offsets, a bit each, and
// sums of hashes, a few bytes for every 65,536 offsets.
type part struct {
	at    feature.Position
	known bool // the table has a position for it
	seed  uint64

	rows  offsets.Set // of the table, below the position
	again offsets.Set // those of them that are there more than once
	above offsets.Set // rows of the table that no position covers

	held       offsets.Set // in quarantine, below the position
	bigPayload offsets.Set // entries that keep a hash in place of the payload
	bigKey     offsets.Set // entries that keep a size in place of the key
	unclaimed  offsets.Set // entries of a partition that the table does not know

	// replayed are rows of the table that a replay brought, by offset: the hash but for
	// the known time. They are not among rows, and their entries are among held.
	replayed map[int64]uint64

	sums map[int64]*sums // by bucket
	days map[int32]*day

	// What the log had: offsets in [start, at.Next), all of them where whole.
	read      bool
	start     int64
	compacted bool
}

// sums are over the hashes of a bucket.
type sums struct{ table, entries uint64 }

// day is a line of the report, and the first offset of the table and quarantine in it.
type day struct {
	Line
	first int64
}

func newPart(topic string, id [16]byte, partition int32) *part {
	return &part{at: feature.Position{Topic: topic, TopicID: id, Partition: partition}, seed: seedOf(id, partition),
		sums: map[int64]*sums{}, days: map[int32]*day{}, replayed: map[int64]uint64{}}
}

func (p *part) bucket(n int64) *sums {
	b := p.sums[n]
	if b == nil {
		b = &sums{}
		p.sums[n] = b
	}
	return b
}

func (p *part) day(n int32) *day {
	d := p.days[n]
	if d == nil {
		d = &day{Line: Line{Topic: p.at.Topic, TopicID: p.at.TopicID, Partition: p.at.Partition, Day: n}, first: p.at.Next}
		p.days[n] = d
	}
	return d
}

// report gives the lines, days ascending.
func (p *part) report() []Line {
	var out []Line
	for _, n := range slices.Sorted(maps.Keys(p.days)) {
		d := p.days[n]
		d.Compared = p.read && d.first >= p.start && (!p.compacted || d.Log == d.Table+d.Quarantine)
		if !d.Compared {
			d.LogHash, d.TableHash = 0, 0
		}
		out = append(out, d.Line)
	}
	return out
}

// below counts the offsets of a set below n.
func below(s *offsets.Set, n int64) int64 {
	var c int64
	for o := range s.All() {
		if o >= n {
			break
		}
		c++
	}
	return c
}

func dayOf(micros int64) int32 { return offline.DayOf(micros) }
