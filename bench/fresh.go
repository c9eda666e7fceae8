package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode/decodetest"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

const (
	freshRate    = 20_000 // events a second
	freshProbe   = 128    // one event in so many is of a customer nobody has seen
	freshWarm    = 5 * time.Second
	freshCounted = 30 * time.Second
	freshTarget  = 100 // ms
)

// measureFresh is the way from an event to the lookup that shows it, under a
// steady load: a worker, a server of lookups, Kafka and Redis, each a process of its own.
func measureFresh(ctx context.Context, r *run) error {
	redis, err := r.redis(ctx, "fresh")
	if redis == nil || err != nil {
		return err
	}
	defer redis.Stop()
	k, err := r.kafka(ctx, "fresh")
	if err != nil {
		return err
	}
	defer k.stop()
	for _, v := range []struct {
		name, what string
		target     float64
		settings   []string
	}{
		{"default", "event to lookup at 20,000 events/s, real Redis, commits every 5 s: p99", freshTarget, nil},
		{"quiet", "the same without commits in that time: p99", 0, []string{"ingest.flush_interval=10m", "ingest.flush_bytes=1073741824", "ingest.memory_limit=2147483648"}},
	} {
		settings := append(v.settings, "kafka.brokers="+k.addr, "kafka.replicas=1", "redis.addrs="+redis.Addr)
		f, err := r.fresh(ctx, v.name, "", k, settings)
		if err != nil {
			return err
		}
		l := Line{What: v.what, Value: f.at(0.99), Unit: "ms", Target: v.target, CPU: f.cpu / f.events, CPUUnit: "event",
			Note: fmt.Sprintf("p50 %s, p99.9 %s, slowest %s ms, of %d events asked for every ms; from when each was due, so a producer that is late counts too (at most %s ms); the worker's threads waited %s for a core; CPU is the worker's; %s",
				number(f.at(0.5)), number(f.at(0.999)), number(f.at(1)), len(f.took), number(f.late), duration(f.wait), k.what)}
		if v.target > 0 && (l.Value > v.target || r.profiles != "") {
			profile := filepath.Join(r.dir, "fresh.prof")
			if _, err := r.fresh(ctx, "profiled", profile, k, settings); err != nil {
				return err
			}
			l.Profile = top(ctx, profile)
		}
		r.add(l)
	}
	return nil
}

type freshness struct {
	took        []float64 // ms, sorted
	late        float64   // ms; the worst delay of the producer itself
	cpu, events float64
	wait        float64 // seconds the worker's threads waited for a core
}

func (f *freshness) at(q float64) float64 {
	return f.took[min(int(q*float64(len(f.took))), len(f.took)-1)]
}

// fresh runs one round in a project of its own.
func (r *run) fresh(ctx context.Context, name, profile string, k *broker, settings []string) (*freshness, error) {
	data := filepath.Join(r.dir, "fresh-"+name)
	worker, err := r.role(ctx, "ingest", data, profile, settings...)
	if err != nil {
		return nil, err
	}
	defer worker.stop()
	server, err := r.role(ctx, "serving", data, "", settings...)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	topic := "payments_" + name
	if err := createTopic(ctx, k.addr, topic, flowPartitions); err != nil {
		return nil, err
	}
	manifests, err := paymentsManifests(topic, "payment_"+name, true)
	if err != nil {
		return nil, err
	}
	if err := worker.apply(ctx, manifests); err != nil {
		return nil, err
	}
	w := &watcher{server: server, view: "payment_" + name}
	load, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan error, 1)
	f := &freshness{events: freshRate * freshCounted.Seconds()}
	go func() { sent <- w.produce(load, k.addr, topic, f, worker) }()
	err = w.watch(load)
	cancel()
	if serr := <-sent; err == nil && serr != nil && !errors.Is(serr, context.Canceled) {
		err = serr
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, worker.logs)
	}
	f.took = w.took
	slices.Sort(f.took)
	return f, worker.stop()
}

func createTopic(ctx context.Context, broker, topic string, partitions int32) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic)
	return err
}

// watcher looks for the values of marked events until they show.
type watcher struct {
	server *process
	view   string

	mu     sync.Mutex
	open   []probe   // guarded by mu; sent and not seen yet
	closed bool      // guarded by mu; no more will be sent
	took   []float64 // ms; by watch alone
}

type probe struct {
	customer string
	due      time.Time
	counts   bool // not part of the warm-up
}

// produce sends events at a steady rate, each when it is due, whatever became
// of those before it.
func (w *watcher) produce(ctx context.Context, broker, topic string, f *freshness, worker *process) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(5*time.Millisecond), // what Kafka's own producer waits
		kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		return err
	}
	defer cl.Close()
	rng := rand.New(rand.NewPCG(7, 8))
	const step = time.Second / freshRate
	warm, total := int(freshWarm/step), int((freshWarm+freshCounted)/step)
	var from, waited float64
	for i, began := 0, time.Now(); i < total; {
		if wait := time.Until(began.Add(time.Duration(i) * step)); wait > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(max(wait, time.Millisecond)):
			}
		}
		now := time.Now()
		for ; i < total; i++ {
			due := began.Add(time.Duration(i) * step)
			if due.After(now) {
				break
			}
			if i == warm {
				from, waited = worker.usedCPU(), waitedFor(worker.cmd.Process.Pid)
			}
			if i >= warm {
				f.late = max(f.late, 1000*now.Sub(due).Seconds())
			}
			rec := &kgo.Record{Timestamp: due}
			if i%freshProbe == 0 {
				who := decodetest.Customers + i/freshProbe
				rec.Value = ofCustomer(decodetest.Event(i, rng), who)
				w.mu.Lock()
				w.open = append(w.open, probe{string(decodetest.AppendCustomer(nil, who)), due, i >= warm})
				w.mu.Unlock()
			} else {
				rec.Value = decodetest.Event(i, rng)
			}
			cl.Produce(ctx, rec, nil)
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	f.cpu, f.wait = worker.usedCPU()-from, waitedFor(worker.cmd.Process.Pid)-waited
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return nil
}

// ofCustomer makes an event one of customer number who.
func ofCustomer(event []byte, who int) []byte {
	const before = `"customer_id":"`
	at := bytes.Index(event, []byte(before)) + len(before)
	decodetest.AppendCustomer(event[:at], who) // all ids are of the same length
	return event
}

// watch asks for every open probe at once, about a thousand times a second.
func (w *watcher) watch(ctx context.Context) error {
	var newest time.Time // when something was seen last
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		open, closed := slices.Clone(w.open), w.closed
		w.mu.Unlock()
		if len(open) == 0 {
			if closed {
				return nil
			}
			newest = time.Now()
			continue
		}
		who := make([]string, len(open))
		for i, p := range open {
			who[i] = p.customer
		}
		a, err := w.server.features.Lookup(ctx, &weirv1.LookupRequest{IncludeStatuses: true,
			What:     &weirv1.LookupRequest_Features{Features: &weirv1.FeatureList{Refs: []string{w.view + ":amount", w.view + ":event_id"}}},
			Entities: []*weirv1.EntityColumn{{Name: "customer_id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: who}}}}}})
		now := time.Now()
		if err != nil && now.Sub(began) < freshWarm && ctx.Err() == nil {
			continue // the server has not heard of the view yet
		}
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for i, p := range open {
			if a.Views[0].Statuses[i] == weirv1.Status_STATUS_PRESENT {
				seen[p.customer] = true
				if newest = now; p.counts {
					w.took = append(w.took, 1000*now.Sub(p.due).Seconds())
				}
			}
		}
		if len(seen) > 0 {
			w.mu.Lock()
			w.open = slices.DeleteFunc(w.open, func(p probe) bool { return seen[p.customer] })
			w.mu.Unlock()
		}
		if now.Sub(newest) > 30*time.Second && now.Sub(began) > 30*time.Second {
			return fmt.Errorf("%d events do not show up online", len(open))
		}
	}
}
