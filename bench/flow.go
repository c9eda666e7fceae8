package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/cmd/weir/embedded"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/internal/testserver/native"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	flowPartitions = 4
	flowAim        = 350_000 // events/CPU-s that the worker shall reach next; below it, a profile is shown
)

const paymentsManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: customer, description: A customer of the shop, owner: bench@example.com}
spec:
  join_keys: [{name: customer_id, type: string}]
---
apiVersion: weir/v1
kind: Source
metadata: {name: payments, description: Payments of the shop, owner: bench@example.com}
spec:
  topic: payments
  event_time: {field: ts}
  schema: @SCHEMA@
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: payment, description: What a payment looks like, owner: bench@example.com}
spec:
  expectations:
@RULES@
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: payment, description: The newest payment of each customer, owner: bench@example.com}
spec:
  source: payments
  entities: [customer]
  suite: payment
  online: @ONLINE@
  features:
@FEATURES@
`

func paymentsManifests(online bool) (string, error) {
	var schema any
	if err := json.Unmarshal([]byte(decodetest.Schema), &schema); err != nil {
		return "", err
	}
	line, err := json.Marshal(schema) // JSON is YAML
	if err != nil {
		return "", err
	}
	var rules, features []string
	for _, r := range tenRules {
		rules = append(rules, fmt.Sprintf("    - {type: %s, kwargs: %s}", r.kind, r.kwargs))
	}
	for _, f := range decodetest.View().Features {
		features = append(features, fmt.Sprintf("    - {name: %s, type: %s}", f.Name, f.Type))
	}
	return strings.NewReplacer("@SCHEMA@", string(line), "@RULES@", strings.Join(rules, "\n"), "@FEATURES@", strings.Join(features, "\n"),
		"@ONLINE@", fmt.Sprint(online)).Replace(paymentsManifest), nil
}

// measureFlow lets weir take in what stands in Kafka: first as a worker, with
// Kafka and Redis outside of its process, then with everything in one process.
func measureFlow(ctx context.Context, r *run) error {
	worker, err := r.flowWorker(ctx, "worker", 2_000_000, "")
	if err != nil {
		return err
	}
	r.addFlow(worker, "Kafka to committed table: schema + ten expectations, the worker", "view not online; the next aim is 350,000")
	dir := filepath.Join(r.dir, "flow-redis")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	redis, err := native.StartRedis(ctx, dir)
	switch {
	case errors.Is(err, native.ErrAbsent):
		fmt.Fprintln(os.Stderr, "  ingestion with a real Redis is not measured:", err)
	case err != nil:
		return err
	default:
		online, err := r.flowWorker(ctx, "online", 500_000, redis.Addr)
		redis.Stop()
		if err != nil {
			return err
		}
		r.addFlow(online, "the same, and to a real Redis, the worker", "view online; 100,000 customers")
	}
	whole, err := r.flow(ctx, "whole", 500_000, true)
	if err != nil {
		return err
	}
	r.addFlow(whole, "the same in one weir up: embedded Kafka and Redis, all in its CPU time", "view online; 100,000 customers")
	return nil
}

func (r *run) addFlow(f flowed, what, note string) {
	l := Line{What: what, Value: f.events / f.cpu, Unit: "events/CPU-s", CPU: f.cpu / f.events, CPUUnit: "event",
		Note: fmt.Sprintf("%s events/s by the clock, all on the same cores, the wait for the last flush included; %s", number(f.events/f.seconds), note)}
	if l.Value < flowAim {
		l.Profile = f.profile
	}
	r.add(l)
}

// flowWorker is flow with Kafka in this process and, where it has an address, a Redis.
func (r *run) flowWorker(ctx context.Context, name string, events int, redis string) (flowed, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	k, err := embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: filepath.Join(r.dir, "kafka-"+name), Addr: "127.0.0.1:0", Partitions: flowPartitions, Logger: log})
	if err != nil {
		return flowed{}, err
	}
	settings := []string{"kafka.brokers=" + k.Addr(), "kafka.replicas=1"}
	if redis != "" {
		settings = append(settings, "redis.addrs="+redis)
	}
	f, err := r.flow(ctx, name, events, redis != "", settings...)
	if cerr := k.Close(); err == nil {
		err = cerr
	}
	return f, err
}

type flowed struct {
	events, seconds, cpu float64
	profile              []string
}

// flow fills the topic, puts the view in force and waits for the table. The
// clock and the CPU time run from the apply to the commit of the last event.
func (r *run) flow(ctx context.Context, name string, events int, online bool, settings ...string) (flowed, error) {
	profile := filepath.Join(r.dir, name+".prof")
	p, err := r.up(ctx, filepath.Join(r.dir, "flow-"+name), profile, settings...)
	if err != nil {
		return flowed{}, err
	}
	f, err := p.flow(ctx, p.kafka, events, online)
	if serr := p.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return flowed{}, err
	}
	f.profile = top(ctx, profile)
	return f, nil
}

func (p *process) flow(ctx context.Context, broker string, events int, online bool) (flowed, error) {
	f := flowed{events: float64(events)}
	if err := publish(ctx, broker, events); err != nil {
		return f, err
	}
	manifests, err := paymentsManifests(online)
	if err != nil {
		return f, err
	}
	began, from := time.Now(), p.usedCPU()
	if err := p.apply(ctx, manifests); err != nil {
		return f, err
	}
	for {
		st, err := p.ingest.Status(ctx, &weirv1.IngestStatusRequest{Project: "default", View: "payment"})
		if err != nil {
			return f, err
		}
		var done, held, rows int64
		for _, v := range st.Views {
			rows, held = v.Rows, v.Quarantined
			for _, part := range v.Partitions {
				done += part.Position
				if part.Stopped != "" {
					return f, fmt.Errorf("partition %d has stopped: %s", part.Partition, part.Stopped)
				}
			}
		}
		if done >= int64(events) {
			f.seconds, f.cpu = time.Since(began).Seconds(), p.usedCPU()-from
			if rows != int64(events) || held != 0 {
				return f, fmt.Errorf("%d events gave %d rows and %d held back", events, rows, held)
			}
			return f, nil
		}
		if time.Since(began) > 2*time.Minute {
			return f, fmt.Errorf("after two minutes %d of %d events are in the table\n%s", done, events, p.logs)
		}
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// publish produces the events to a topic made for them.
func publish(ctx context.Context, broker string, events int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("payments"), kgo.ProducerLinger(20*time.Millisecond),
		kgo.ProducerBatchMaxBytes(4<<20), kgo.MaxBufferedRecords(200_000), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, flowPartitions, 1, nil, "payments"); err != nil {
		return err
	}
	var failed atomic.Pointer[error]
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range events {
		cl.Produce(ctx, &kgo.Record{Value: decodetest.Event(i, rng)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return feature.Errorf(feature.Unavailable, "bench.publish", "topic payments", "%w", *err)
	}
	return nil
}
