package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

const (
	tapRounds   = 5
	tapEvents   = 500_000
	tapFeatures = 20
	tapTarget   = 25 // % of the worker's CPU time without monitors
)

// monitored is a kind of events whose features are watched.
type monitored struct {
	name   string
	what   string
	span   time.Duration // of event time
	schema string        // of one feature
	kind   feature.Type
	value  func(r *rand.Rand, b []byte, feature int) []byte
	rules  []string // expectations, ten of them
}

func monitoredKinds() []monitored {
	few := []string{"card", "cash", "transfer", "voucher", "invoice", "instalment"}
	floats := monitored{name: "floats", what: "floats", span: 30 * time.Minute, schema: `{"type": "number"}`, kind: feature.Float64, value: func(r *rand.Rand, b []byte, i int) []byte {
		switch i % 4 {
		case 0: // an amount of money
			return strconv.AppendFloat(b, math.Round((r.ExpFloat64()+r.ExpFloat64())*4000)/100, 'f', -1, 64)
		case 1: // a share
			return strconv.AppendFloat(b, math.Round(r.Float64()*1e4)/1e4, 'f', -1, 64)
		case 2: // a small count
			return strconv.AppendFloat(b, math.Floor(math.Abs(20*r.NormFloat64())), 'f', -1, 64)
		default:
			return strconv.AppendFloat(b, math.Round(r.NormFloat64()*1e6)/1e6, 'f', -1, 64)
		}
	}}
	texts := monitored{name: "texts", what: "texts", span: 30 * time.Minute, schema: `{"type": "string"}`, kind: feature.String, value: func(r *rand.Rand, b []byte, i int) []byte {
		switch i % 4 {
		case 0, 1:
			return strconv.AppendQuote(b, few[r.IntN(len(few))])
		case 2: // a city
			return fmt.Appendf(b, `"city-%03d"`, min(299, int(r.ExpFloat64()*60)))
		default: // a product
			return fmt.Appendf(b, `"product-%05d"`, min(19_999, int(r.ExpFloat64()*3000)))
		}
	}}
	for i := range 5 {
		floats.rules = append(floats.rules, fmt.Sprintf("{type: expect_column_values_to_not_be_null, kwargs: {column: f%02d}}", i),
			fmt.Sprintf("{type: expect_column_values_to_be_between, kwargs: {column: f%02d, min_value: -1000000, max_value: 1000000}}", 10+i))
		texts.rules = append(texts.rules, fmt.Sprintf("{type: expect_column_values_to_not_be_null, kwargs: {column: f%02d}}", i),
			fmt.Sprintf("{type: expect_column_value_lengths_to_be_between, kwargs: {column: f%02d, min_value: 1, max_value: 40}}", 10+i))
	}
	history := floats
	history.name, history.what, history.span = "history", "floats, ten hours of history at once", 10*time.Hour
	return []monitored{floats, texts, history}
}

const tapManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: customer, description: A customer of the shop, owner: bench@example.com}
spec:
  join_keys: [{name: customer_id, type: string}]
---
apiVersion: weir/v1
kind: Source
metadata: {name: basket, description: Baskets of the shop, owner: bench@example.com}
spec:
  topic: @TOPIC@
  event_time: {field: ts}
  schema: @SCHEMA@
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: basket, description: What a basket looks like, owner: bench@example.com}
spec:
  expectations:
@RULES@
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: basket, description: The newest basket of each customer, owner: bench@example.com}
spec:
  source: basket
  entities: [customer]
  suite: basket
  online: false
  features:
@FEATURES@
`

const tapMonitor = `---
apiVersion: weir/v1
kind: Monitor
metadata: {name: basket, description: The distributions of all features, owner: bench@example.com}
spec:
  view: basket
  reference: {from: 2020-01-01, to: 2020-02-01}
  window: {size: 1h}
`

// manifests defines the view, with a monitor of all its features or without.
func (m *monitored) manifests(watched bool) string {
	properties := []string{`"customer_id": {"type": "string"}`, `"ts": {"type": "string"}`}
	required := []string{"customer_id", "ts"}
	var features, rules []string
	for i := range tapFeatures {
		name := fmt.Sprintf("f%02d", i)
		properties = append(properties, fmt.Sprintf("%q: %s", name, m.schema))
		required = append(required, name)
		features = append(features, fmt.Sprintf("    - {name: %s, type: %s}", name, m.kind))
	}
	for _, r := range m.rules {
		rules = append(rules, "    - "+r)
	}
	names, _ := json.Marshal(required) // of texts
	schema := fmt.Sprintf(`{"type": "object", "required": %s, "properties": {%s}}`, names, strings.Join(properties, ", "))
	text := strings.NewReplacer("@TOPIC@", m.name, "@SCHEMA@", schema, "@RULES@", strings.Join(rules, "\n"), "@FEATURES@", strings.Join(features, "\n")).Replace(tapManifest)
	if watched {
		text += tapMonitor
	}
	return text
}

// publish produces the events, in the order of their time.
func (m *monitored) publish(ctx context.Context, broker string) (size int, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(m.name), kgo.ProducerLinger(20*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(200_000), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, flowPartitions, 1, nil, m.name); err != nil {
		return 0, err
	}
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	step := m.span / tapEvents
	var failed atomic.Pointer[error]
	rng := rand.New(rand.NewPCG(8, 9))
	for i := range tapEvents {
		b := fmt.Appendf(nil, `{"customer_id": "c%06d", "ts": %q`, rng.IntN(100_000), start.Add(time.Duration(i)*step).Format("2006-01-02T15:04:05.000Z"))
		for f := range tapFeatures {
			b = fmt.Appendf(b, `, "f%02d": `, f)
			b = m.value(rng, b, f)
		}
		b = append(b, '}')
		size += len(b)
		cl.Produce(ctx, &kgo.Record{Value: b}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return 0, err
	}
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return size / tapEvents, nil
}

// measureTap has the same events taken in by a worker without a monitor, and by one with
// a monitor of twenty features, in turns.
func (r *run) measureTap(ctx context.Context) error {
	k, err := r.kafka(ctx, "tap")
	if err != nil {
		return err
	}
	defer k.stop()
	for _, m := range monitoredKinds() {
		size, err := m.publish(ctx, k.addr)
		if err != nil {
			return err
		}
		var shares []float64
		runs := map[bool][]flowed{}
		for round := range tapRounds {
			order := []bool{round%2 == 0, round%2 != 0}
			for _, watched := range order {
				f, err := r.tapRound(ctx, &m, fmt.Sprintf("tap-%s-%d-%t", m.name, round, watched), "", k, watched)
				if err != nil {
					return err
				}
				runs[watched] = append(runs[watched], f)
			}
			shares = append(shares, 100*(runs[true][round].cpu/runs[false][round].cpu-1))
		}
		without, with := middle(runs[false]), middle(runs[true])
		l := Line{What: fmt.Sprintf("%d monitored features, %s: what they add to the worker's CPU", tapFeatures, m.what), Value: 100 * (with.cpu/without.cpu - 1), Unit: "%", Target: tapTarget,
			CPU: with.cpu / with.events, CPUUnit: "event", Note: fmt.Sprintf("%s; %d-byte events, schema, ten expectations, committed table, not online; %s an event without; %d rounds in turns, each for itself from %.0f to %.0f %%",
				k.what, size, duration(without.cpu/without.events), tapRounds, slices.Min(shares), slices.Max(shares))}
		if l.Value > l.Target || r.profiles != "" {
			profile := filepath.Join(r.dir, "tap-"+m.name+".prof")
			if _, err := r.tapRound(ctx, &m, "tap-"+m.name+"-profiled", profile, k, true); err != nil {
				return err
			}
			l.Profile = top(ctx, profile)
		}
		r.add(l)
	}
	return nil
}

func (r *run) tapRound(ctx context.Context, m *monitored, name, profile string, k *broker, watched bool) (flowed, error) {
	p, err := r.role(ctx, "ingest", filepath.Join(r.dir, name), profile, "kafka.brokers="+k.addr, "kafka.replicas=1")
	if err != nil {
		return flowed{}, err
	}
	f, err := p.takes(ctx, m.manifests(watched), "basket", tapEvents)
	if serr := p.stop(); err == nil {
		err = serr
	}
	return f, err
}
