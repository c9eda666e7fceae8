package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// ErrGone is the cause of a Conflict error: the log no longer has the offset
// that comes next. List the bounds again.
var ErrGone = errors.New("the log no longer has these offsets")

// Patience is how long a broker may be away before an error says so.
const Patience = 20 * time.Second

// Log is one topic. Safe for concurrent use.
type Log struct {
	Topic string
	ID    [16]byte

	cl  *kgo.Client
	adm *kadm.Client
	dec kgo.Decompressor

	mu      sync.Mutex
	leaders map[int32]int32 // guarded by mu
}

// Bounds of a partition: offsets in [Start, End) are there and committed.
type Bounds struct{ Start, End int64 }

// Open finds the topic; NotFound where there is none.
func Open(ctx context.Context, opts []kgo.Opt, topic string) (*Log, error) {
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.RetryTimeout(Patience), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "kafkalog.open", "topic "+topic, "%w", err)
	}
	l := &Log{Topic: topic, cl: cl, adm: kadm.NewClient(cl), dec: kgo.DefaultDecompressor()}
	if err := l.lookUp(ctx); err != nil {
		cl.Close()
		return nil, err
	}
	return l, nil
}

// Close ends the connections.
func (l *Log) Close() { l.cl.Close() }

// lookUp learns the topic's id and who leads its partitions.
func (l *Log) lookUp(ctx context.Context) error {
	ts, err := l.adm.ListTopics(ctx, l.Topic)
	if err != nil {
		return l.error(err)
	}
	t := ts[l.Topic]
	if errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
		return feature.Errorf(feature.NotFound, "kafkalog.open", "topic "+l.Topic, "the topic does not exist")
	}
	if t.Err != nil {
		return l.error(t.Err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaders != nil && t.ID != l.ID {
		return feature.Errorf(feature.NotFound, "kafkalog.open", "topic "+l.Topic, "the topic was recreated while it was read")
	}
	l.ID, l.leaders = t.ID, map[int32]int32{}
	for _, p := range t.Partitions {
		l.leaders[p.Partition] = p.Leader
	}
	return nil
}

// error gives an error of Kafka its kind.
func (l *Log) error(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	kind := feature.Unavailable
	if ke := (*kerr.Error)(nil); errors.As(err, &ke) && !ke.Retriable {
		kind = feature.Invalid
	}
	return feature.Errorf(kind, "kafkalog.read", "topic "+l.Topic, "%w", err).WithHint("check kafka.brokers, and that Weir may read the topic")
}

// Partitions of the topic, ascending.
func (l *Log) Partitions() []int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.leaders))
}

// Bounds lists where each partition begins, and where what is committed ends.
func (l *Log) Bounds(ctx context.Context) (map[int32]Bounds, error) {
	starts, err := l.adm.ListStartOffsets(ctx, l.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, l.error(err)
	}
	ends, err := l.adm.ListCommittedOffsets(ctx, l.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, l.error(err)
	}
	out := map[int32]Bounds{}
	ends.Each(func(o kadm.ListedOffset) {
		s, _ := starts.Lookup(l.Topic, o.Partition)
		out[o.Partition] = Bounds{Start: s.Offset, End: o.Offset}
	})
	return out, nil
}

// Compacted reports whether the topic may lose records from its middle; an error
// where the broker does not tell.
func (l *Log) Compacted(ctx context.Context) (bool, error) {
	rc, err := l.adm.DescribeTopicConfigs(ctx, l.Topic)
	if err != nil {
		return false, l.error(err)
	}
	c, err := rc.On(l.Topic, nil)
	if err == nil {
		err = c.Err
	}
	if err != nil {
		return false, l.error(err)
	}
	for _, kv := range c.Configs {
		if kv.Key == "cleanup.policy" && kv.Value != nil {
			return strings.Contains(*kv.Value, "compact"), nil
		}
	}
	return false, l.error(fmt.Errorf("the broker does not tell its cleanup.policy"))
}
