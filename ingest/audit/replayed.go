package audit

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/registry/feature"
)

// takeReplayed tells which rows of a batch a replay brought: an entry of
// quarantine has their coordinates, and their known time is that of a replay that was
// recorded before its first row. It makes that known time zero in b.
func (r *run) takeReplayed(p *part, b *feature.Batch) []bool {
	replayed := make([]bool, b.Len())
	if len(r.replays) == 0 || p.held.Len() == 0 {
		return replayed
	}
	known := b.KnownTime
	for i, o := range b.Offsets {
		if o < 0 || !r.replays[known[i]] || !p.held.Has(o) {
			continue
		}
		if !slices.Contains(replayed, true) {
			b.KnownTime = slices.Clone(known) // the batch's own is not ours to change
		}
		replayed[i], b.KnownTime[i] = true, 0
	}
	return replayed
}

// readReplayed compares the rows that replays brought with their entries. That the
// entries are as the log has the events is compared like that of all entries.
func (r *run) readReplayed(ctx context.Context) error {
	total := 0
	for _, p := range r.parts {
		total += len(p.replayed)
	}
	if total == 0 {
		return nil
	}
	r.say("replayed", 0, int64(total))
	readers, wrong := map[*part]*reader{}, map[*part]*offsets.Set{}
	done, unread := 0, 0
	var out decoded
	err := r.eachEntry(ctx, nil, func(e *quarantine.Entry) error {
		p := r.parts[partKey{e.TopicID, e.Partition}]
		if p == nil {
			return nil
		}
		hash, ok := p.replayed[e.Offset]
		if !ok {
			return nil
		}
		done++
		r.say("replayed", int64(done), int64(total))
		if e.Omitted > 0 || e.KeyOmitted > 0 && e.Payload == nil {
			unread++
			return nil
		}
		x := readers[p]
		if x == nil {
			x = newReader(ctx, r.hash, p.seed)
			x.known = feature.MaxTime
			readers[p], wrong[p] = x, &offsets.Set{}
		}
		rec := []*kgo.Record{{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Timestamp: time.UnixMicro(e.Timestamp), Key: e.Key, Value: e.Payload}}
		for _, all := range []bool{false, true} {
			defs, err := r.defs.present()
			if all && err == nil {
				defs, err = r.defs.all(ctx)
			}
			if err != nil {
				return err
			}
			for _, d := range defs {
				if err := x.read(d, rec, &out); err != nil {
					return err
				}
				if out.ok[0] && out.hash[0] == hash {
					return nil
				}
			}
		}
		wrong[p].Add(e.Offset)
		return nil
	})
	if err != nil {
		return err
	}
	for p, set := range wrong {
		for o := range set.All() {
			if d := r.found.offset(Unfaithful, p, o, o-1, 0, true); d != nil {
				d.Detail = "replayed from quarantine; no definition of the view gives this row for the entry's event"
			}
		}
	}
	r.note("%d events were replayed from quarantine: their rows were compared with their entries", total)
	if unread > 0 {
		r.note("of them %d were not compared: quarantine does not keep their payload", unread)
	}
	return nil
}
