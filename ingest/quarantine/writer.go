package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// Headroom is what a quarantine record may be larger than its payload: key,
// headers and reasons.
const Headroom = 1 << 20

// MaxReasons bounds the rules written for one event, so that an event with
// thousands of bad items does not outgrow its own record.
const MaxReasons = 200

// Writer produces entries. Safe for concurrent use; one per process.
type Writer struct {
	cl  *kgo.Client
	adm *kadm.Client

	mu      sync.Mutex
	limits  map[string]int64 // topic -> largest payload; topics that exist
	firstNo error            // first failed produce since the last Flush that reported it
}

// NewWriter writes through cl, which must allow batches as large as the
// largest payload + Headroom (kgo.ProducerBatchMaxBytes).
func NewWriter(cl *kgo.Client) *Writer {
	return &Writer{cl: cl, adm: kadm.NewClient(cl), limits: map[string]int64{}}
}

// Ensure creates the view's topic if it is not there. maxEvent is the largest
// record that the source's topic takes, in bytes.
func (w *Writer) Ensure(ctx context.Context, project, view string, maxEvent int64, replicas int16) error {
	topic := Topic(project, view)
	w.mu.Lock()
	_, ok := w.limits[topic]
	w.mu.Unlock()
	if ok {
		return nil
	}
	most := maxEvent + Headroom
	conf := map[string]*string{
		"cleanup.policy":    kadm.StringPtr("compact"),
		"max.message.bytes": kadm.StringPtr(strconv.FormatInt(most, 10)),
	}
	_, err := w.adm.CreateTopic(ctx, 1, replicas, conf, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return feature.Errorf(kindOf(err), "quarantine.ensure", "topic "+topic, "create it: %w", err).
			WithHint("Weir needs the right to create it, or create it yourself with cleanup.policy=compact")
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		if rc, derr := w.adm.DescribeTopicConfigs(ctx, topic); derr == nil {
			if c, cerr := rc.On(topic, nil); cerr == nil {
				for _, kv := range c.Configs {
					if kv.Key == "max.message.bytes" && kv.Value != nil {
						if n, perr := strconv.ParseInt(*kv.Value, 10, 64); perr == nil {
							most = n
						}
					}
				}
			}
		}
	}
	w.mu.Lock()
	w.limits[topic] = most - Headroom
	w.mu.Unlock()
	return nil
}

// Write hands an entry to the producer; Flush tells whether it is safe. The
// payload must not change until then. A payload that the topic cannot hold is
// replaced by its size and hash; its coordinates still lead to it in the source.
func (w *Writer) Write(ctx context.Context, e *Entry) error {
	if len(e.Reasons) > MaxReasons {
		e.Reasons = e.Reasons[:MaxReasons]
	}
	w.mu.Lock()
	limit, ok := w.limits[Topic(e.Project, e.View)]
	w.mu.Unlock()
	if ok && int64(len(e.Payload)) > limit {
		sum := sha256.Sum256(e.Payload)
		e.Omitted, e.SHA256, e.Payload = int64(len(e.Payload)), hex.EncodeToString(sum[:]), nil
	}
	r, err := e.record()
	if err != nil {
		return feature.Errorf(feature.Internal, "quarantine.write", e.ID(), "%w", err)
	}
	w.cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			w.mu.Lock()
			if w.firstNo == nil {
				w.firstNo = err
			}
			w.mu.Unlock()
		}
	})
	return nil
}

// Flush waits until every entry written so far is acknowledged by all in-sync
// replicas. An error means that at least one is not: the caller must not move
// its positions, and the events will come again.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.cl.Flush(ctx); err != nil {
		return feature.Errorf(feature.Unavailable, "quarantine.flush", "", "%w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.firstNo; err != nil {
		w.firstNo = nil
		return feature.Errorf(feature.Conflict, "quarantine.flush", "", "an entry was not taken: %w", err)
	}
	return nil
}

func kindOf(err error) feature.ErrorKind {
	if kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) || errors.Is(err, context.DeadlineExceeded) {
		return feature.Unavailable
	}
	if ke := (*kerr.Error)(nil); errors.As(err, &ke) {
		return feature.Invalid
	}
	return feature.Unavailable
}
