package quarantine

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/weir-ml/weir/registry/feature"
)

// Headroom is what a quarantine record may be larger than its payload: key,
// headers and reasons.
const Headroom = 1 << 20

// MaxReasons bounds the rules written for one event, so that an event with
// thousands of bad items does not outgrow its own record.
const MaxReasons = 200

// underWay bounds the entries that are not acknowledged yet, in bytes; leastShare
// is what one of them counts at least, so that they stay well below the number of
// records at which a client makes its callers wait.
const (
	underWay   = 32 << 20
	leastShare = underWay / 5000
)

// Writer produces entries, through Sessions. Safe for concurrent use; one per process.
type Writer struct {
	cl  *kgo.Client
	adm *kadm.Client

	room *semaphore.Weighted // bytes under way

	most int64 // largest record that cl sends

	mu      sync.Mutex
	limits  map[string]int64        // guarded by mu; topic -> largest payload; topics that exist
	ids     map[string]kadm.TopicID // guarded by mu; of topics that were there once
	refused map[string]int64        // guarded by mu; topic -> smallest payload that was too large all the same
	lines   map[string]*line        // guarded by mu; by topic
}

// NewWriter writes through cl, which must allow batches as large as the
// largest payload + Headroom (kgo.ProducerBatchMaxBytes).
func NewWriter(cl *kgo.Client) *Writer {
	most, _ := cl.OptValue(kgo.ProducerBatchMaxBytes).(int32)
	return &Writer{cl: cl, adm: kadm.NewClient(cl), room: semaphore.NewWeighted(underWay), most: int64(most),
		limits: map[string]int64{}, ids: map[string]kadm.TopicID{}, refused: map[string]int64{}, lines: map[string]*line{}}
}

// Ensure creates the view's topic if it is not there, and lets it take larger
// records if it has to. maxEvent is the largest record that the source's topic
// takes, in bytes.
func (w *Writer) Ensure(ctx context.Context, project, view string, maxEvent int64, replicas int16) error {
	topic := Topic(project, view)
	w.mu.Lock()
	limit, ok := w.limits[topic]
	w.mu.Unlock()
	if ok && limit >= maxEvent {
		return nil
	}
	most := maxEvent + Headroom
	conf := map[string]*string{
		"cleanup.policy":    kadm.StringPtr("compact"),
		"max.message.bytes": kadm.StringPtr(strconv.FormatInt(most, 10)),
	}
	made, err := w.adm.CreateTopic(ctx, 1, replicas, conf, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return feature.Errorf(kindOf(err), "quarantine.ensure", "topic "+topic, "create it: %w", err).
			WithHint("Weir needs the right to create it, or create it yourself with cleanup.policy=compact")
	}
	if !ok {
		id := made.ID
		if err != nil { // it was there
			ts, lerr := w.adm.ListTopics(ctx, topic)
			if lerr == nil {
				lerr = ts[topic].Err
			}
			if lerr != nil {
				return feature.Errorf(feature.Unavailable, "quarantine.ensure", "topic "+topic, "%w", lerr)
			}
			id = ts[topic].ID
		}
		w.renew(topic, id)
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		if now, ok := w.largest(ctx, topic); ok && now < most {
			if _, err := w.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: conf["max.message.bytes"]}}, topic); err == nil {
				if now = w.altered(ctx, topic, most); now >= most {
					w.mu.Lock()
					delete(w.refused, topic) // it was because of that
					w.line(topic).single = false
					w.mu.Unlock()
				}
			}
			most = now
		}
	}
	w.mu.Lock()
	w.limits[topic] = w.fits(topic, most)
	w.line(topic).most = most
	w.mu.Unlock()
	return nil
}

// altered is the largest record that a topic takes, once it is most: a broker hears of
// a change that it has acknowledged a little later, and longer under load.
func (w *Writer) altered(ctx context.Context, topic string, most int64) int64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		now, ok := w.largest(ctx, topic)
		if !ok || now >= most {
			return now
		}
		select {
		case <-ctx.Done():
			return now
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// renew makes the client look a topic up again that was made anew since it first
// sent there: it would go on sending to the old one, by its id. It must not do so
// with the same topic: a client that forgets a topic numbers its batches from zero
// again, and a broker that knows the numbers acknowledges without writing.
func (w *Writer) renew(topic string, id kadm.TopicID) {
	w.mu.Lock()
	old, known := w.ids[topic]
	w.ids[topic] = id
	w.mu.Unlock()
	if known && old != id {
		w.cl.PurgeTopicsFromProducing(topic)
	}
}

// fits is the largest payload for a topic whose largest record is said to be
// most. What was refused counts for more than what is said: a broker need not
// tell, nor let Weir change it. The caller holds mu.
func (w *Writer) fits(topic string, most int64) int64 {
	n := max(0, min(most-Headroom, w.most-Headroom/2)) // a client is told of no more than it sends
	if r, ok := w.refused[topic]; ok {
		n = min(n, r-1)
	}
	return n
}

// largest is the largest record that a topic takes, where the broker tells.
func (w *Writer) largest(ctx context.Context, topic string) (int64, bool) {
	rc, err := w.adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, false
	}
	c, err := rc.On(topic, nil)
	if err != nil {
		return 0, false
	}
	for _, kv := range c.Configs {
		if kv.Key == "max.message.bytes" && kv.Value != nil {
			n, err := strconv.ParseInt(*kv.Value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// failed notes that a topic did not take an entry with a payload of that size;
// alone tells that it cannot have stood in one batch with others.
func (w *Writer) failed(topic string, payload int64, alone bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.limits, topic) // it may be gone: Ensure is to look again
	if !errors.Is(err, kerr.MessageTooLarge) {
		return
	}
	if !alone {
		w.line(topic).single = true // the next time tells which of them it was
		return
	}
	if r, ok := w.refused[topic]; !ok || payload < r {
		w.refused[topic] = payload
	}
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
