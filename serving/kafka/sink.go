// Package kafka writes logged answers to a topic of Kafka.
//
// The one rule: a lookup never waits for it. Records wait in a bounded buffer, and
// those that find no room or are not taken in time are given up.
package kafka

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving"
)

// Sink implements serving.Sink on a client of its own.
type Sink struct {
	client  *kgo.Client
	opts    Options
	missing chan struct{} // has one when the topic has to be made
	cancel  context.CancelFunc
	ended   chan struct{}
}

var _ serving.Sink = (*Sink)(nil)

// Options say where records go. The topic is made where it is missing and Weir may.
type Options struct {
	Topic      string
	Partitions int32 // of a topic that is made; -1 is the brokers' default
	Replicas   int16 // likewise
	Log        *slog.Logger
}

const (
	mostRecords = 50_000
	mostBytes   = 32 << 20
	// patience is how long a record waits for Kafka; then newer ones are worth more.
	patience = 30 * time.Second
	// linger gathers records of several answers into one batch.
	linger = 50 * time.Millisecond
	// refresh is how often it is looked whether the topic is there by now.
	refresh = 250 * time.Millisecond
)

// New opens a sink. conn says how to reach Kafka.
func New(conn []kgo.Opt, o Options) (*Sink, error) {
	c, err := kgo.NewClient(append(append([]kgo.Opt{}, conn...), kgo.MaxBufferedRecords(mostRecords), kgo.MaxBufferedBytes(mostBytes),
		kgo.RecordDeliveryTimeout(patience), kgo.ProducerLinger(linger), kgo.UnknownTopicRetries(-1),
		kgo.MetadataMinAge(refresh))...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "serving.kafka", "topic "+o.Topic, "%w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sink{client: c, opts: o, missing: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{})}
	s.missing <- struct{}{}
	go s.keep(ctx)
	return s, nil
}

// Put implements serving.Sink.
func (s *Sink) Put(key, value []byte, at time.Time, done func(error)) {
	s.client.TryProduce(context.Background(), &kgo.Record{Topic: s.opts.Topic, Key: key, Value: value, Timestamp: at}, func(_ *kgo.Record, err error) {
		switch {
		case errors.Is(err, kgo.ErrMaxBuffered):
			err = serving.ErrFull
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			select {
			case s.missing <- struct{}{}:
			default:
			}
		}
		done(err)
	})
}

// keep makes the topic, at the start and when somebody has deleted it.
func (s *Sink) keep(ctx context.Context) {
	defer close(s.ended)
	admin := kadm.NewClient(s.client)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.missing:
		}
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			_, err := admin.CreateTopic(ctx, s.opts.Partitions, s.opts.Replicas, nil, s.opts.Topic)
			if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
				break
			}
			if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
				break // somebody else has to make it, and may have done so: producing will tell
			}
			if ctx.Err() != nil {
				return
			}
			s.opts.Log.Warn("the topic for logged answers cannot be made", "topic", s.opts.Topic, "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// Close implements serving.Sink.
func (s *Sink) Close(ctx context.Context) error {
	err := s.client.Flush(ctx)
	s.cancel()
	<-s.ended
	s.client.Close() // what is still there is given up
	return err
}
