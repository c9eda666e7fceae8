package app

import (
	"context"
	"time"

	"github.com/weir-ml/weir/serving"
	servingkafka "github.com/weir-ml/weir/serving/kafka"
)

// logTime is how long a stop waits for logged answers that Kafka has not taken yet.
const logTime = 3 * time.Second

// startLog has a sample of answers logged, where a topic for them is set.
func (a *App) startLog(l *serving.Lookups) error {
	c := a.cfg.Serving.Log
	if c.Topic == "" {
		return nil
	}
	o := servingkafka.Options{Topic: c.Topic, Partitions: -1, Replicas: int16(a.cfg.Kafka.Replicas), Log: a.log}
	if a.cfg.EmbeddedKafka() {
		o.Partitions, o.Replicas = int32(a.cfg.Kafka.Partitions), 1
	}
	sink, err := servingkafka.New(a.kafka, o)
	if err != nil {
		return err
	}
	g := serving.NewLog(c, sink, a.log, a.metrics)
	a.onClose("logged answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), logTime)
		defer cancel()
		return g.Close(ctx)
	})
	l.LogTo(g)
	return nil
}
