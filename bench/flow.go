package main

import (
	"context"
	"encoding/json"
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
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

const flowPartitions = 4

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

// measureFlow lets weir take in what stands in Kafka: once as a worker whose
// Kafka is another process' and whose view is for training only, once with
// everything in one process and the online store filled too.
func measureFlow(ctx context.Context, r *run) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	k, err := embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: filepath.Join(r.dir, "kafka"), Addr: "127.0.0.1:0", Partitions: flowPartitions, Logger: log})
	if err != nil {
		return err
	}
	worker, err := r.flow(ctx, "worker", 2_000_000, false, k.Addr())
	if cerr := k.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	whole, err := r.flow(ctx, "whole", 500_000, true, "")
	if err != nil {
		return err
	}
	r.add(Line{What: "Kafka to committed table: schema + ten expectations, the worker", Value: worker.events / worker.cpu, Unit: "events/CPU-s",
		CPU: worker.cpu / worker.events, CPUUnit: "event", Profile: worker.profile,
		Note: fmt.Sprintf("%s events/s by the clock, Kafka and the worker on the same cores; view not online; the next aim is 350,000", number(worker.events/worker.seconds))})
	r.add(Line{What: "the same in one weir up: embedded Kafka, online store, table", Value: whole.events / whole.cpu, Unit: "events/CPU-s",
		CPU: whole.cpu / whole.events, CPUUnit: "event", Profile: whole.profile,
		Note: fmt.Sprintf("%s events/s by the clock; %d customers", number(whole.events/whole.seconds), decodetest.Customers)})
	return nil
}

type flowed struct {
	events, seconds, cpu float64
	profile              []string
}

// flow fills the topic, puts the view in force and waits for the table. The
// clock and the CPU time run from the apply to the commit of the last event.
func (r *run) flow(ctx context.Context, name string, events int, online bool, broker string) (flowed, error) {
	profile := filepath.Join(r.dir, name+".prof")
	var settings []string
	if broker != "" {
		settings = append(settings, "kafka.brokers="+broker, "kafka.replicas=1")
	}
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
		case <-time.After(100 * time.Millisecond):
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
