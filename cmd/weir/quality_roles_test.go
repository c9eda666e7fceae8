package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver"
)

const rolesConfig = `
project: %[1]s
http: {addr: "127.0.0.1:0"}
serving: {addr: "127.0.0.1:0"}
kafka: {brokers: [%[2]q], replicas: 1}
redis: {addrs: [%[3]q]}
registry: {url: %[4]q, poll_interval: 100ms}
offline: {catalog: %[5]q, warehouse: %[6]q}
ingest: {flush_interval: 100ms}
drift: {poll: 100ms, outbox: {poll: 100ms}}
alerts: [{name: oncall, type: webhook, url: %[7]q, secret: %[8]q}]
`

const rolesManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: order, project: %[1]s}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: orders, project: %[1]s}
spec: {topic: %[2]s, event_time: {field: at}}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane, project: %[1]s}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: amount, max_value: 1000}}
    - {type: expect_column_mean_to_be_between, kwargs: {column: amount, max_value: 15}, severity: warning, id: usual}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: orders, project: %[1]s}
spec:
  source: orders
  entities: [order]
  features: [{name: amount, type: float64}]
  suite: sane
  quality:
    window: {size: 10m}
    max_reject_rate: 0.2
    reject_events: 20
    freshness: 1s
`

// TestQualityBetweenRoles has each role in a process of its own: one ingests, two judge
// and deliver, one is asked. What one finds out the others know, and it is told once.
func TestQualityBetweenRoles(t *testing.T) {
	t.Parallel()
	r := &alertReceiver{}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("a key"), 0o600))
	f := &fleet{t: t, kafka: testserver.Kafka(t), redis: testserver.Redis(t), project: testserver.Name(t), config: filepath.Join(t.TempDir(), "weir.yaml")}
	topic := f.project + ".orders"
	require.NoError(t, os.WriteFile(f.config, fmt.Appendf(nil, rolesConfig, f.project, f.kafka.Addr, f.redis.Addr,
		testserver.Postgres(t), testserver.Postgres(t), t.TempDir(), srv.URL+"/hook", "file:"+key), 0o600))
	t.Cleanup(func() {
		if t.Failed() {
			f.logs()
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.kafka.Addr))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)
	f.head = f.spawn("registry")
	ingest, drift, second := f.spawn("ingest"), f.spawn("drift"), f.spawn("drift")
	f.apply(fmt.Sprintf(rolesManifest, f.project, topic))
	sent := 0
	send := func(minute, n int, amount float64) {
		var recs []*kgo.Record
		for range n {
			sent++
			recs = append(recs, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"id": "o%d", "amount": %g, "at": "2020-11-20T12:%02d:00Z"}`, sent, amount, minute)})
		}
		require.NoError(t, cl.ProduceSync(context.Background(), recs...).FirstErr())
	}
	// heard waits for the events that are not about freshness, in any order.
	heard := func(types ...string) {
		t.Helper()
		f.eventually(func() bool {
			h, _ := r.got()
			h = slices.DeleteFunc(h, func(s string) bool { return strings.Contains(s, "freshness") })
			return slices.Equal(slices.Sorted(slices.Values(h)), slices.Sorted(slices.Values(types)))
		}, "%v", types)
	}
	asked := func(into any, args ...string) {
		t.Helper()
		_, out := f.command(append(args, "-o", "json")...)
		at := strings.IndexAny(out, "[{")
		require.GreaterOrEqual(t, at, 0, out)
		require.NoError(t, json.NewDecoder(strings.NewReader(out[at:])).Decode(into), out)
	}
	const failed, paused, resumed, resolved = "io.weir.quality.failed.v1", "io.weir.view.paused.v1", "io.weir.view.resumed.v1", "io.weir.quality.resolved.v1"
	send(1, 5, 100)
	send(11, 30, 10)
	heard(failed)
	var rules []struct{ Rule, Suite, State string }
	asked(&rules, "quality", "list")
	require.Len(t, rules, 3)
	require.Equal(t, "sane", rules[0].Suite)
	require.Equal(t, "firing", rules[0].State)
	code, out := f.command("quality", "show", "orders")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "x usual: 100")

	send(21, 1, 10)
	heard(failed, resolved)
	send(22, 30, 2000)
	heard(failed, resolved, paused)
	var st []guardedStatus
	asked(&st, "status", "--view", "orders")
	require.NotNil(t, st[0].RejectPause)
	require.EqualValues(t, 36, st[0].Rows)
	code, out = f.command("resume", "--view", "orders", "--accept")
	require.Equal(t, 0, code, out)
	send(31, 40, 10)
	heard(failed, resolved, paused, resumed, failed)
	var shown struct {
		Windows []struct {
			Rows    int64
			Results []struct{ Elements, Unexpected int64 }
		}
	}
	asked(&shown, "quality", "show", "orders", "--window", "2020-11-20T12:20:00Z")
	require.EqualValues(t, 31, shown.Windows[0].Rows, "events that waited are judged twice and counted once")
	require.EqualValues(t, 31, shown.Windows[0].Results[0].Elements)
	require.EqualValues(t, 30, shown.Windows[0].Results[0].Unexpected)
	f.eventually(func() bool { return f.rows("orders") == 76 }, "the rows")
	a := f.audit()
	require.True(t, a.Clean)
	f.eventually(func() bool {
		h, _ := r.got()
		return strings.Contains(h[len(h)-1], "freshness.stale")
	}, "the stream to be stale")
	for _, p := range []*process{ingest, drift, second, f.head} {
		f.stop(p)
	}
	require.Empty(t, r.bad)
}

// TestResumeBetweenWorkers has two workers pause, each on its partition and in its own time,
// and somebody resume the view as soon as he hears of the first: one word is enough.
func TestResumeBetweenWorkers(t *testing.T) {
	t.Parallel()
	r := &alertReceiver{}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("a key"), 0o600))
	f := &fleet{t: t, kafka: testserver.Kafka(t), redis: testserver.Redis(t), project: testserver.Name(t), config: filepath.Join(t.TempDir(), "weir.yaml")}
	topic := f.project + ".orders"
	require.NoError(t, os.WriteFile(f.config, fmt.Appendf(nil, rolesConfig, f.project, f.kafka.Addr, f.redis.Addr,
		testserver.Postgres(t), testserver.Postgres(t), t.TempDir(), srv.URL+"/hook", "file:"+key), 0o600))
	t.Cleanup(func() {
		if t.Failed() {
			f.logs()
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.kafka.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	const partitions = 2
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	f.head = f.spawn("registry")
	workers := []*process{f.spawn("ingest"), f.spawn("ingest"), f.spawn("drift")}
	f.apply(fmt.Sprintf(rolesManifest, f.project, topic))
	require.Eventually(t, func() bool {
		groups, err := kadm.NewClient(cl).DescribeGroups(t.Context())
		if err != nil {
			return false
		}
		for _, g := range groups.Sorted() {
			if g.AssignedPartitions()[topic] == nil || g.State != "Stable" {
				continue
			}
			shares := 0
			for _, m := range g.Members {
				if a, ok := m.Assigned.AsConsumer(); ok && len(a.Topics) == 1 && len(a.Topics[0].Partitions) == 1 {
					shares++
				}
			}
			return shares == partitions
		}
		return false
	}, time.Minute, 50*time.Millisecond, "each worker has a partition")
	sent := 0
	send := func(minute, n int, amount float64) {
		var recs []*kgo.Record
		for range n * partitions {
			sent++
			recs = append(recs, &kgo.Record{Topic: topic, Partition: int32(sent % partitions), Value: fmt.Appendf(nil, `{"id": "o%d", "amount": %g, "at": "2020-11-20T12:%02d:00Z"}`, sent, amount, minute)})
		}
		require.NoError(t, cl.ProduceSync(context.Background(), recs...).FirstErr())
	}
	heard := func(types ...string) {
		t.Helper()
		f.eventually(func() bool {
			h, _ := r.got()
			h = slices.DeleteFunc(h, func(s string) bool { return !strings.Contains(s, ".view.") })
			return slices.Equal(h, types)
		}, "%v", types)
	}
	const paused, resumed = "io.weir.view.paused.v1", "io.weir.view.resumed.v1"
	send(1, 20, 10)
	f.eventually(func() bool { return f.rows("orders") == 40 }, "the good rows")
	send(2, 30, 2000)
	heard(paused)
	code, out := f.command("resume", "--view", "orders", "--accept")
	require.Equal(t, 0, code, out)
	heard(paused, resumed)
	send(3, 20, 10)
	f.eventually(func() bool { return f.rows("orders") == 80 }, "the rows that came later")
	_, out = f.command("status", "--view", "orders", "-o", "json")
	require.NotContains(t, out, "paused since", "nothing waits")
	require.True(t, f.audit().Clean)
	heard(paused, resumed)
	for _, p := range append(workers, f.head) {
		f.stop(p)
	}
	require.Empty(t, r.bad)
}
