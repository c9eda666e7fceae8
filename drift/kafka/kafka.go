// Package kafka delivers events to Kafka: the topic weir.<project>.events, one
// structured CloudEvent a record, keyed by the monitor.
//
// The one rule: an event is delivered when the brokers have acknowledged it,
// and not before.
package kafka

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// Topic is where a project's events go.
func Topic(project string) string { return "weir." + project + ".events" }

// Deliverer implements outbox.Deliverer on a client that it shares with others.
type Deliverer struct {
	client *kgo.Client
	admin  *kadm.Client

	mu    sync.Mutex
	there map[string]bool // topics known to exist
}

var _ outbox.Deliverer = (*Deliverer)(nil)

// New makes a deliverer. The client stays the caller's to close.
func New(client *kgo.Client) *Deliverer {
	return &Deliverer{client: client, admin: kadm.NewClient(client), there: map[string]bool{}}
}

// Deliver produces one record: the payload, the entry's headers, and as key the
// monitor's name, so that a monitor's events stay in order.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	topic := Topic(e.Scope)
	if err := d.ensure(ctx, topic); err != nil {
		return err
	}
	r := &kgo.Record{Topic: topic, Key: []byte(strings.TrimPrefix(e.Key, e.Scope+"/")), Value: e.Payload}
	for k, v := range e.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	err := d.client.ProduceSync(ctx, r).FirstErr()
	if err == nil {
		return nil
	}
	kind := feature.Unavailable
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		d.mu.Lock()
		delete(d.there, topic)
		d.mu.Unlock()
	case errors.Is(err, kerr.MessageTooLarge):
		kind = feature.Invalid
	}
	return feature.Errorf(kind, "drift.kafka", "topic "+topic, "%w", err)
}

// ensure creates the topic where it is missing, with the brokers' defaults.
func (d *Deliverer) ensure(ctx context.Context, topic string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.there[topic] {
		return nil
	}
	_, err := d.admin.CreateTopic(ctx, -1, -1, nil, topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		// Somebody else has to create it, and may have done so: producing will tell.
	default:
		return feature.Errorf(feature.Unavailable, "drift.kafka", "topic "+topic, "%w", err)
	}
	d.there[topic] = true
	return nil
}
