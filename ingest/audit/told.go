package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// told is where the consumer groups of the source were told that the table stands.
func (r *run) told(ctx context.Context) ([]feature.Position, error) {
	cl, err := kgo.NewClient(append(slices.Clone(r.a.Kafka), kgo.RetryTimeout(kafkalog.Patience))...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, op, "kafka", "%w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var out []feature.Position
	for _, view := range []string{"", r.v.Meta.Name} {
		group := ingest.GroupOf(r.v.Meta.Project, r.v.SourceOf.Meta.Name, view)
		os, err := adm.FetchOffsets(ctx, group)
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			continue
		case errors.Is(err, kerr.GroupAuthorizationFailed):
			r.note("consumer group %s may not be read, so it was not asked whether the table was rolled back", group)
			continue
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, feature.Errorf(feature.Unavailable, op, "group "+group, "%w", err).WithHint("check kafka.brokers")
		}
		os.Each(func(o kadm.OffsetResponse) {
			if at, ok := ingest.Told(o.Metadata, o.Topic, o.Partition, r.v.Meta.Name); ok && o.Err == nil && r.wants(o.Partition) {
				out = append(out, at)
			}
		})
	}
	return out, nil
}

// behind finds partitions on which the table stands behind what was told of it
// before it was looked at. A table never goes back by itself; where Weir was asked to
// roll it back, it reads on from there.
func (r *run) behind(told []feature.Position) {
	worst := map[partKey]feature.Position{}
	for _, t := range told {
		k := partKey{t.TopicID, t.Partition}
		if t.Next > worst[k].Next {
			worst[k] = t
		}
	}
	for k, t := range worst {
		var at int64
		stands := "knows nothing of the partition"
		if p := r.parts[k]; p != nil && p.known {
			at = p.at.Next
			stands = fmt.Sprintf("stands at %d", at)
		}
		if t.Next > at && !offline.WentBack(r.undone.rollbacks, t, at) {
			r.found.thing(Difference{Kind: RolledBack, Topic: t.Topic, TopicID: t.TopicID, Partition: t.Partition, First: at, Last: t.Next - 1, Count: t.Next - at,
				Detail: fmt.Sprintf("the table %s, and it stood at %d when that was told to its consumer group: it was set back, or dropped", stands, t.Next)})
		}
	}
}
