package ingest

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// split finds the views that are so far behind the others of the source that
// waiting for them would keep the others stale; each gets a consumer of its own.
func (r *runner) split(ctx context.Context, t *task, outlets []*Outlets) (together, apart []*Outlets, err error) {
	if len(outlets) < 2 {
		return outlets, nil, nil
	}
	behind, err := r.behind(ctx, t, outlets)
	if err != nil {
		return nil, nil, err
	}
	least := slices.Min(behind)
	for i, o := range outlets {
		if behind[i] > least+r.s.CatchUp {
			apart = append(apart, o)
			r.s.Log.Info("view catches up on a consumer of its own", "view", o.View.ID(), "events", behind[i])
		} else {
			together = append(together, o)
		}
	}
	return together, apart, nil
}

// together reports whether split would leave the views together now. A worker's
// own partitions do not tell: while those of others lag, splitting again would
// be all that came of joining.
func (r *runner) together(ctx context.Context, t *task, outlets []*Outlets) bool {
	behind, err := r.behind(ctx, t, outlets)
	return err == nil && slices.Max(behind) <= slices.Min(behind)+r.s.CatchUp
}

// behind is how many events of the log each view's table does not have yet.
func (r *runner) behind(ctx context.Context, t *task, outlets []*Outlets) ([]int64, error) {
	cl, err := kgo.NewClient(slices.Clone(r.s.Kafka)...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "ingest.open", "kafka", "%w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx, t.source.Topic)
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "ingest.open", "topic "+t.source.Topic, "%w", err)
	}
	starts, err := adm.ListStartOffsets(ctx, t.source.Topic)
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "ingest.open", "topic "+t.source.Topic, "%w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, t.source.Topic)
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "ingest.open", "topic "+t.source.Topic, "%w", err)
	}
	id := topics[t.source.Topic].ID
	behind := make([]int64, len(outlets))
	for i, o := range outlets {
		at, err := o.Table.Positions(ctx)
		if err != nil {
			return nil, err
		}
		next := map[int32]int64{}
		for _, p := range at {
			if p.TopicID == id {
				next[p.Partition] = p.Next
			}
		}
		ends.Each(func(e kadm.ListedOffset) {
			s, _ := starts.Lookup(e.Topic, e.Partition)
			behind[i] += max(0, e.Offset-max(s.Offset, next[e.Partition]))
		})
	}
	return behind, nil
}

// caughtUp reports whether every pipeline is within lag events of the end of its partitions.
func caughtUp(ps []*Pipeline, lag int64) bool {
	for _, p := range ps {
		total := int64(0)
		for _, v := range p.views() {
			for _, st := range v.Partitions {
				total += st.Lag()
			}
		}
		if total > lag {
			return false
		}
	}
	return true
}
