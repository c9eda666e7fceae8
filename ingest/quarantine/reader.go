package quarantine

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/registry/feature"
)

// Query chooses entries of one view.
type Query struct {
	Project, View string
	Rule          string // only entries that failed this rule; "" for all
	ID            string // only this entry
	Limit         int    // newest this many; 0 for all
}

// Result is what a Query found.
type Result struct {
	Entries []*Entry // newest last
	Total   int64    // entries that match, whatever the limit
	ByRule  []RuleCount
}

// RuleCount is how many entries failed a rule; one event may fail several.
type RuleCount struct {
	Rule  string
	Path  string
	Count int64
}

// Reader reads quarantine topics from their beginning.
type Reader struct {
	opts []kgo.Opt // how to reach Kafka
}

// NewReader reads through clients made with opts.
func NewReader(opts ...kgo.Opt) *Reader { return &Reader{opts: opts} }

// Read returns the entries a view has now; entries written twice count once.
func (r *Reader) Read(ctx context.Context, q Query) (*Result, error) {
	res := &Result{}
	counts := newGroups(ByReason, nil)
	err := r.Each(ctx, q.Project, q.View, nil, func(e *Entry) error {
		if q.ID != "" && e.ID() != q.ID {
			return nil
		}
		if q.Rule != "" && !slices.ContainsFunc(e.Reasons, func(r feature.Reason) bool { return r.Rule == q.Rule }) {
			return nil
		}
		res.Total++
		counts.add(e)
		res.Entries = append(res.Entries, e)
		if q.Limit > 0 && len(res.Entries) >= 2*q.Limit {
			res.Entries = slices.Delete(res.Entries, 0, len(res.Entries)-q.Limit)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if q.Limit > 0 && len(res.Entries) > q.Limit {
		res.Entries = res.Entries[len(res.Entries)-q.Limit:]
	}
	res.ByRule = counts.rules()
	return res, nil
}

// Each calls fn with the entries that a view has at the call, in the order in
// which they were last written: entries written twice come once, as they are now,
// those that were deleted not at all. The topic is read twice, first for which
// records count, so that memory holds a few bits an entry and not the entries.
// progress, when not nil, is told how many records have been read and will be.
// A view without a quarantine topic has no entries.
func (r *Reader) Each(ctx context.Context, project, view string, progress func(done, total int64), fn func(*Entry) error) error {
	return r.walk(ctx, project, view, progress, walk{entry: fn})
}

// walk is what a pass over a quarantine topic finds.
type walk struct {
	replay  func(*Replay)                         // each replay, before the entries; may be nil
	between func(map[[20]byte]*offsets.Set) error // once all entries are known, before they come; may be nil
	entry   func(*Entry) error
}

func (r *Reader) walk(ctx context.Context, project, view string, progress func(done, total int64), w walk) error {
	log, err := kafkalog.Open(ctx, r.opts, Topic(project, view))
	if err != nil {
		if feature.KindOf(err) == feature.NotFound {
			return nil
		}
		return err
	}
	defer log.Close()
	bounds, err := log.Bounds(ctx)
	if err != nil {
		return err
	}
	p := pace{say: progress}
	for _, b := range bounds {
		p.total += 2 * (b.End - b.Start)
	}
	counts := newest{} // an entry is always in the same partition, for its key decides: the last record there counts
	for _, part := range log.Partitions() {
		if err := p.read(ctx, log, part, bounds[part], func(rec *kgo.Record) error {
			if c, ok := coordinatesOf(rec.Key, view); ok {
				counts.see(c, rec.Offset, rec.Value == nil)
			} else if w.replay != nil {
				if x, ok := parseReplay(rec, view); ok {
					w.replay(x)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if w.between != nil {
		if err := w.between(counts.once); err != nil {
			return err
		}
	}
	for _, part := range log.Partitions() {
		if err := p.read(ctx, log, part, bounds[part], func(rec *kgo.Record) error {
			c, ok := coordinatesOf(rec.Key, view)
			if !ok || rec.Value == nil || !counts.stands(c, rec.Offset) {
				return nil
			}
			e, err := Parse(rec)
			if err != nil || e.ID() != string(rec.Key) {
				return nil // not ours; someone else wrote to the topic
			}
			return w.entry(e)
		}); err != nil {
			return err
		}
	}
	return nil
}

// pace adds up progress.
type pace struct {
	done, total int64
	say         func(done, total int64)
}

// read calls fn with the records of a partition that are in bounds. Records that
// compaction takes away meanwhile, up to the beginning of the log, are superseded.
func (p *pace) read(ctx context.Context, log *kafkalog.Log, part int32, b kafkalog.Bounds, fn func(*kgo.Record) error) error {
	at := b.Start
	for {
		err := log.Read(ctx, part, at, b.End, func(recs []*kgo.Record) error {
			for _, rec := range recs {
				if err := fn(rec); err != nil {
					return err
				}
			}
			next := recs[len(recs)-1].Offset + 1
			p.passed(next - at)
			at = next
			return nil
		})
		if err == nil {
			p.passed(b.End - at)
			return nil
		}
		if !errors.Is(err, kafkalog.ErrGone) {
			return err
		}
		now, lerr := log.Bounds(ctx)
		if lerr != nil {
			return lerr
		}
		if now[part].Start <= at {
			return err
		}
		p.passed(min(now[part].Start, b.End) - at)
		at = now[part].Start
	}
}

func (p *pace) passed(n int64) {
	p.done += n
	if p.say != nil {
		p.say(p.done, p.total)
	}
}

// coordinates are those of an event, as an entry's key names them.
type coordinates struct {
	log    [20]byte // topic id and partition
	offset int64
}

// coordinatesOf reads the key of an entry of a view.
func coordinatesOf(key []byte, view string) (c coordinates, ok bool) {
	rest, ok := strings.CutPrefix(string(key), view+"/")
	if !ok {
		return c, false
	}
	id, rest, _ := strings.Cut(rest, "/")
	part, offset, ok := strings.Cut(rest, "/")
	if n, err := hex.Decode(c.log[:16], []byte(id[:min(len(id), 32)])); err != nil || n != 16 || !ok {
		return c, false
	}
	p, err := strconv.ParseInt(part, 10, 32)
	if err != nil {
		return c, false
	}
	c.log[16], c.log[17], c.log[18], c.log[19] = byte(p>>24), byte(p>>16), byte(p>>8), byte(p)
	c.offset, err = strconv.ParseInt(offset, 10, 64)
	return c, err == nil && c.offset >= 0
}

// newest knows which record of each entry counts: the only one, or the last.
type newest struct {
	once  map[[20]byte]*offsets.Set // entries that were seen
	again map[coordinates]int64     // of those written more than once: the last record; -1 where that deletes
}

func (n *newest) see(c coordinates, record int64, deletes bool) {
	s := n.once[c.log]
	if s == nil {
		if n.once == nil {
			n.once, n.again = map[[20]byte]*offsets.Set{}, map[coordinates]int64{}
		}
		s = &offsets.Set{}
		n.once[c.log] = s
	}
	if s.Add(c.offset) && !deletes {
		return
	}
	if deletes {
		record = -1
	}
	n.again[c] = record
}

func (n *newest) stands(c coordinates, record int64) bool {
	last, ok := n.again[c]
	return !ok || last == record
}
