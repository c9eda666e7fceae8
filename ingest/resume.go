package ingest

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/registry/feature"
)

// LogEnds tells which topic has a name now, and where what is committed of its partitions ends.
type LogEnds func(ctx context.Context, topic string) (id [16]byte, ends map[int32]int64, err error)

// EndsOf asks Kafka.
func EndsOf(opts []kgo.Opt) LogEnds {
	return func(ctx context.Context, topic string) (id [16]byte, ends map[int32]int64, err error) {
		log, err := kafkalog.Open(ctx, opts, topic)
		if err != nil {
			return id, nil, err
		}
		defer log.Close()
		bounds, err := log.Bounds(ctx)
		if err != nil {
			return id, nil, err
		}
		ends = map[int32]int64{}
		for part, b := range bounds {
			ends[part] = b.End
		}
		return log.ID, ends, nil
	}
}

// Resume has a paused view go on: by accept with the bad events that the log has now, on all
// partitions, else judging them anew. It returns the partitions that stood still; the workers
// notice within a second or two.
func Resume(ctx context.Context, pauses Pauses, log LogEnds, v *feature.View, accept bool) ([]int32, error) {
	paused := func(all []Pause) bool {
		return slices.ContainsFunc(all, func(p Pause) bool { return p.State == PauseStanding })
	}
	not := feature.Errorf(feature.NotFound, "ingest.resume", "view "+v.ID(), "it is not paused").WithHint("weir status shows which views are")
	all, err := pauses.Of(ctx, v.Meta.Project, v.Meta.Name)
	if err != nil {
		return nil, err
	}
	if !paused(all) {
		return nil, not
	}
	r := Resumption{Project: v.Meta.Project, View: v.Meta.Name, State: PauseResumed}
	if accept {
		r.State = PauseAccepted
	}
	if r.TopicID, r.Ends, err = log(ctx, v.SourceOf.Topic); err != nil {
		return nil, err
	}
	ps, err := pauses.Resume(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(ps) == 0 { // it went on meanwhile
		return nil, not
	}
	var out []int32
	for _, p := range ps {
		out = append(out, p.Partition)
	}
	slices.Sort(out)
	return out, nil
}
