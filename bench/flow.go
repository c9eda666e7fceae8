package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/internal/testserver/native"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	flowPartitions = 4
	flowTarget     = 350_000 // events/CPU-s of the worker
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
metadata: {name: @VIEW@, description: Payments of the shop, owner: bench@example.com}
spec:
  topic: @TOPIC@
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
metadata: {name: @VIEW@, description: The newest payment of each customer, owner: bench@example.com}
spec:
  source: @VIEW@
  entities: [customer]
  suite: payment
  online: @ONLINE@
  features:
@FEATURES@
`

// paymentsManifests defines a view, and a source of the same name, over a topic of payments.
func paymentsManifests(topic, view string, online bool) (string, error) {
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
		"@ONLINE@", fmt.Sprint(online), "@TOPIC@", topic, "@VIEW@", view).Replace(paymentsManifest), nil
}

// measureFlow lets weir take in what stands in Kafka: first as a worker, with
// Kafka and Redis outside of its process, then with everything in one process.
func measureFlow(ctx context.Context, r *run) error {
	if err := r.measureWorker(ctx); err != nil {
		return err
	}
	if err := r.measureOnline(ctx); err != nil {
		return err
	}
	p, err := r.up(ctx, filepath.Join(r.dir, "flow-whole"), filepath.Join(r.dir, "whole.prof"))
	if err != nil {
		return err
	}
	err = publish(ctx, p.kafka, flowPartitions, 500_000)
	var whole flowed
	if err == nil {
		whole, err = p.flow(ctx, 500_000, true)
	}
	if serr := p.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	l := whole.line("the same in one weir up: embedded Kafka and Redis, all in its CPU time", "view online; 100,000 customers")
	l.Profile = top(ctx, filepath.Join(r.dir, "whole.prof"))
	r.add(l)
	return nil
}

// measureWorker is the line with a target. A Python consumer reads the same
// topic between the rounds of the worker.
func (r *run) measureWorker(ctx context.Context) error {
	const events, rounds = 2_000_000, 3
	k, err := r.kafka(ctx, "worker")
	if err != nil {
		return err
	}
	defer k.stop()
	if err := publish(ctx, k.addr, flowPartitions, events); err != nil {
		return err
	}
	peer := findPeer()
	var ours, theirs []flowed
	var versions string
	for i := range rounds {
		f, err := r.flowWorker(ctx, fmt.Sprintf("worker-%d", i), "", k, events, nil, nil)
		if err != nil {
			return err
		}
		ours = append(ours, f)
		if peer == nil {
			continue
		}
		if f, versions, err = peer.consume(ctx, k.addr, events); err != nil {
			fmt.Fprintln(os.Stderr, "  the Python consumer is not measured:", err)
			peer = nil
			continue
		}
		theirs = append(theirs, f)
	}
	worker := middle(ours)
	l := worker.line("Kafka to committed table: schema + ten expectations, the worker",
		fmt.Sprintf("%s, 205-byte events uncompressed; view not online; median of %d, from %s to %s", k.what, rounds, number(slowest(ours)), number(fastest(ours))))
	l.Target, l.AtLeast = flowTarget, true
	python := middle(theirs)
	ratio := Line{What: "the worker's events per CPU-second to Python's", Target: 2, AtLeast: true,
		Note: "the worker also checks ten expectations, sorts, writes Parquet and commits"}
	if len(theirs) > 0 {
		ratio.Value = worker.rate() / python.rate()
	}
	if worker.rate() < flowTarget || len(theirs) > 0 && ratio.Value < ratio.Target || r.profiles != "" {
		profile := filepath.Join(r.dir, "worker.prof")
		if _, err := r.flowWorker(ctx, "worker-profiled", profile, k, events, nil, nil); err != nil {
			return err
		}
		l.Profile = top(ctx, profile)
	}
	r.add(l)
	if len(theirs) == 0 {
		return nil
	}
	r.add(python.line("Python on the same topic: consume + decode + schema, nothing stored",
		fmt.Sprintf("%s; median of %d, from %s to %s", versions, len(theirs), number(slowest(theirs)), number(fastest(theirs)))))
	ratio.Unit = "x"
	r.add(ratio)
	return nil
}

func (r *run) measureOnline(ctx context.Context) error {
	redis, err := r.redis(ctx, "flow")
	if redis == nil || err != nil {
		return err
	}
	defer redis.Stop()
	k, err := r.kafka(ctx, "online")
	if err != nil {
		return err
	}
	defer k.stop()
	const events = 1_000_000
	if err := publish(ctx, k.addr, flowPartitions, events); err != nil {
		return err
	}
	var checked, rebuilt upkeep
	f, err := r.flowWorker(ctx, "online", "", k, events, redis, func(p *process) (err error) {
		if checked, err = p.audit(ctx, events); err == nil {
			rebuilt, err = p.materialize(ctx, redis.Addr)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.add(f.line("the same, and to a real Redis, the worker", "view online; 100,000 customers"))
	r.add(checked.line("weir audit of that: log, table, quarantine and Redis", "events", "it found nothing"))
	r.add(rebuilt.line("weir materialize of that, into an empty Redis", "rows", "the newest row of each customer, out of the table"))
	return nil
}

// flowWorker lets a worker take in what k has. With a Redis the view is online;
// after, where given, is called before the worker stops.
func (r *run) flowWorker(ctx context.Context, name, profile string, k *broker, events int, redis *native.Redis, after func(*process) error) (flowed, error) {
	settings := []string{"kafka.brokers=" + k.addr, "kafka.replicas=1"}
	if redis != nil {
		settings = append(settings, "redis.addrs="+redis.Addr)
	}
	p, err := r.role(ctx, "ingest", filepath.Join(r.dir, "flow-"+name), profile, settings...)
	if err != nil {
		return flowed{}, err
	}
	f, err := p.flow(ctx, events, redis != nil)
	if err == nil && after != nil {
		err = after(p)
	}
	if serr := p.stop(); err == nil {
		err = serr
	}
	return f, err
}

// flowed is one round of it.
type flowed struct{ events, seconds, cpu float64 }

func (f flowed) rate() float64 { return f.events / f.cpu }

func (f flowed) line(what, note string) Line {
	return Line{What: what, Value: f.rate(), Unit: "events/CPU-s", CPU: f.cpu / f.events, CPUUnit: "event",
		Note: fmt.Sprintf("%s events/s by the clock, all on the same cores; %s", number(f.events/f.seconds), note)}
}

func byRate(a, b flowed) int { return cmp.Compare(a.rate(), b.rate()) }

// middle is the round with the median rate; nothing of none.
func middle(all []flowed) flowed {
	if len(all) == 0 {
		return flowed{}
	}
	all = slices.SortedFunc(slices.Values(all), byRate)
	return all[len(all)/2]
}

func slowest(all []flowed) float64 { return slices.MinFunc(all, byRate).rate() }
func fastest(all []flowed) float64 { return slices.MaxFunc(all, byRate).rate() }

// flow puts the view in force and waits for the table to have what stands in
// the topic. The clock and the CPU time run from the apply to the commit of the
// last event.
func (p *process) flow(ctx context.Context, events int, online bool) (flowed, error) {
	manifests, err := paymentsManifests("payments", "payment", online)
	if err != nil {
		return flowed{}, err
	}
	return p.takes(ctx, manifests, "payment", events)
}

// takes puts a view in force and waits, as flow does.
func (p *process) takes(ctx context.Context, manifests, view string, events int) (flowed, error) {
	f := flowed{events: float64(events)}
	began, from := time.Now(), p.usedCPU()
	if err := p.apply(ctx, manifests); err != nil {
		return f, err
	}
	for {
		st, err := p.ingest.Status(ctx, &weirv1.IngestStatusRequest{Project: "default", View: view})
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

// publish produces the events to a topic made for them, uncompressed: what a
// producer does that nobody has tuned.
func publish(ctx context.Context, broker string, partitions int32, events int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("payments"), kgo.ProducerLinger(20*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(200_000), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, "payments"); err != nil {
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
