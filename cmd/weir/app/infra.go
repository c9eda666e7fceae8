package app

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-ml/weir/cmd/weir/embedded"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// largestRecord is what Weir's own producer can send: the largest event a
// broker commonly takes, and what quarantine adds to it.
const largestRecord = 64 << 20

// openKafka finds Kafka or starts the embedded one, and makes the shared producer.
func (a *App) openKafka(ctx context.Context) error {
	c := a.cfg.Kafka
	brokers := c.Brokers
	if a.cfg.EmbeddedKafka() {
		k, err := embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: filepath.Join(a.cfg.DataDir, "kafka"), Addr: c.EmbeddedAddr, Partitions: c.Partitions, Logger: a.log})
		if err != nil {
			return err
		}
		a.onClose("kafka", k.Close)
		brokers = []string{k.Addr()}
	}
	a.brokers = brokers
	a.kafka = []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ClientID("weir"), kgo.DialTimeout(c.DialTimeout), kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.RetryTimeout(15 * time.Second), kgo.BrokerMaxReadBytes(128 << 20)}
	if c.TLS {
		a.kafka = append(a.kafka, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	switch pass := string(c.SASL.Password); c.SASL.Mechanism {
	case "plain":
		a.kafka = append(a.kafka, kgo.SASL(plain.Auth{User: c.SASL.User, Pass: pass}.AsMechanism()))
	case "scram-sha-256":
		a.kafka = append(a.kafka, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: pass}.AsSha256Mechanism()))
	case "scram-sha-512":
		a.kafka = append(a.kafka, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: pass}.AsSha512Mechanism()))
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, a.kafka...), kgo.ProducerBatchMaxBytes(largestRecord), kgo.MaxBufferedBytes(4*largestRecord))...)
	if err != nil {
		return feature.Errorf(feature.Invalid, "start", "kafka", "%w", err)
	}
	a.onClose("producer", func() error { cl.Close(); return nil })
	a.producer = cl
	a.held = quarantine.NewWriter(cl)
	return nil
}

// topics makes missing topics of sources; only the embedded Kafka is ours to fill.
type topics struct {
	adm *kadm.Client
	n   int32

	mu    sync.Mutex
	there map[string]bool
}

func (t *topics) create(ctx context.Context, topic string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.there[topic] {
		return nil
	}
	_, err := t.adm.CreateTopic(ctx, t.n, 1, nil, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return feature.Errorf(feature.Unavailable, "kafka.create", "topic "+topic, "%w", err)
	}
	t.there[topic] = true
	return nil
}

// openRedis finds Redis or starts the embedded one.
func (a *App) openRedis(ctx context.Context) error {
	c := a.cfg.Redis.Config
	if a.cfg.EmbeddedRedis() {
		r, err := embedded.StartRedis(ctx, embedded.RedisConfig{Addr: a.cfg.Redis.EmbeddedAddr, Logger: a.log})
		if err != nil {
			return err
		}
		a.onClose("redis", r.Close)
		c.Addrs = []string{r.Addr()}
	}
	a.redisAddrs = c.Addrs
	s, err := redis.Open(c, a.log)
	if err != nil {
		return err
	}
	a.onClose("redis client", s.Close)
	a.metrics.MustRegister(s)
	a.store, a.lookups = s, s
	return nil
}
