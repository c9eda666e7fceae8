package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver"
)

const peopleManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: person, project: %[1]s}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: people, project: %[1]s}
spec:
  topic: %[2]s
  event_time: {field: at}
  schema: {type: object, properties: {age: {type: [integer, "null"]}}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: people, project: %[1]s}
spec:
  source: people
  entities: [person]
  features: [{name: age, type: int64}, {name: score, type: float64}]
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: people, project: %[1]s}
spec: {features: ["people:*"]}
`

func kafkaClient(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ProducerBatchMaxBytes(32<<20), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func send(t *testing.T, cl *kgo.Client, recs ...*kgo.Record) {
	t.Helper()
	require.NoError(t, cl.ProduceSync(t.Context(), recs...).FirstErr())
}

func person(topic, id string, at time.Time, age int) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"id":%q,"at":%q,"age":%d}`, id, at.Format(time.RFC3339Nano), age)}
}

// lookupAge returns the age and the status that a lookup gives.
func (w *weir) lookupAge(project, id string) (age any, status string) {
	w.t.Helper()
	var got struct {
		Rows []struct {
			Features map[string]any    `json:"features"`
			Statuses map[string]string `json:"statuses"`
		} `json:"rows"`
	}
	w.json(&got, "lookup", "--project", project, "--service", "people", "--entity", "id="+id)
	return got.Rows[0].Features["age"], got.Rows[0].Statuses["people"]
}

// TestBadEvents sends what no producer should, on a real Kafka with topics that
// take large records: each is held back with its reason, payload untouched, and
// the good events around it go through.
func TestBadEvents(t *testing.T) {
	kafka := testserver.Kafka(t)
	project := testserver.Name(t)
	topic := project + ".people"
	c := testConfig(t)
	c.Kafka.Brokers, c.Kafka.Replicas = []string{kafka.Addr}, 1
	cl := kafkaClient(t, kafka.Addr)
	most := "20971520"
	r, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &most}, topic)
	require.NoError(t, err)
	require.NoError(t, r.Err)
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, project, topic))

	now := time.Now().UTC()
	at := now.Format(time.RFC3339)
	bad := []struct {
		name, rule string
		value      []byte
	}{
		{"10 MB", "too_large", []byte(`{"id":"x","at":"` + at + `","pad":"` + strings.Repeat("x", 10<<20) + `"}`)},
		{"0 bytes", "decode", []byte{}},
		{"invalid UTF-8", "decode", []byte("{\"id\":\"\xff\xfe\",\"at\":\"" + at + "\"}")},
		{"100,000 brackets", "decode", bytes.Repeat([]byte("["), 100_000)},
		{"huge exponent", "decode", []byte(`{"id":"x","at":"` + at + `","age":1e1500000}`)},
		{"null key", "key_null", []byte(`{"id":null,"at":"` + at + `","age":1}`)},
		{"year 9999", "max_future", []byte(`{"id":"x","at":"9999-12-31T23:59:59Z","age":1}`)},
		{"no time", "event_time", []byte(`{"id":"x","age":1}`)},
		{"cut off", "decode", []byte(`{"id":"x","at`)},
		{"not a number", "schema.type", []byte(`{"id":"x","at":"` + at + `","age":"ten"}`)},
	}
	send(t, cl, person(topic, "first", now, 1))
	for _, b := range bad {
		send(t, cl, &kgo.Record{Topic: topic, Value: b.value})
	}
	send(t, cl, &kgo.Record{Topic: topic, Key: []byte("gone"), Value: nil}) // a tombstone is no bad event
	send(t, cl, person(topic, "last", now, 2))
	st := w.arrived(project, "people", int64(len(bad)+3))
	require.EqualValues(t, 3, st.Rows)
	q := w.held(project, "people")
	require.EqualValues(t, len(bad), q.Total)
	byOffset := map[int64]int{}
	for i, e := range q.Entries {
		byOffset[e.Offset] = i
	}
	for i, b := range bad {
		e := q.Entries[byOffset[int64(i+1)]]
		var rules []string
		for _, r := range e.Reasons {
			rules = append(rules, r.Rule)
		}
		require.Contains(t, rules, b.rule, b.name)
		var whole struct {
			Payload string `json:"payload"`
		}
		if b.name != "10 MB" && b.name != "invalid UTF-8" {
			w.json(&whole, "quarantine", "show", "--project", project, "--view", "people", fmt.Sprintf("0/%d", i+1))
			require.Equal(t, string(b.value), whole.Payload, b.name)
		}
	}
	age, status := w.lookupAge(project, "last")
	require.EqualValues(t, 2, age)
	require.Equal(t, "PRESENT", status)
	_, status = w.lookupAge(project, "gone")
	require.Equal(t, "NOT_FOUND", status)

	// The whole 10 MB came through quarantine, byte for byte.
	qc, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr), kgo.ConsumeTopics("weir."+project+".people.quarantine"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer qc.Close()
	fs := qc.PollFetches(t.Context())
	found := false
	fs.EachRecord(func(r *kgo.Record) { found = found || bytes.Equal(r.Value, bad[0].value) })
	require.True(t, found)
}

// TestMissingTopic: the source waits and says for what; once the topic is there it goes on.
func TestMissingTopic(t *testing.T) {
	kafka := testserver.Kafka(t)
	project := testserver.Name(t)
	topic := project + ".people"
	c := testConfig(t)
	c.Kafka.Brokers, c.Kafka.Replicas = []string{kafka.Addr}, 1
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, project, topic))
	w.eventually(func() bool {
		p := w.status(project, "people").Paused
		return strings.Contains(p, topic) && strings.Contains(p, "does not exist")
	}, "the status to name the missing topic")
	cl := kafkaClient(t, kafka.Addr)
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)
	send(t, cl, person(topic, "a", time.Now(), 7))
	w.arrived(project, "people", 1)
}

// TestServersDown: Redis and Kafka are away at the start and in the middle.
// The process lives, says so, loses nothing, and goes on when they are back.
func TestServersDown(t *testing.T) {
	kafka, redis := testserver.OwnKafka(t), testserver.OwnRedis(t)
	const project, topic = "p", "people"
	cl := kafkaClient(t, kafka.Addr)
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, topic)
	require.NoError(t, err)
	c := testConfig(t)
	c.Kafka.Brokers, c.Kafka.Replicas = []string{kafka.Addr}, 1
	c.Redis.Addrs = []string{redis.Addr}
	redis.Stop(t)
	kafka.Stop(t)
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, project, topic))
	ready := func() int {
		r, err := http.Get("http://" + w.app.HTTPAddr() + "/readyz")
		require.NoError(t, err)
		r.Body.Close()
		return r.StatusCode
	}
	require.Equal(t, http.StatusServiceUnavailable, ready())
	_, status := w.lookupAge(project, "a")
	require.Equal(t, "STORE_ERROR", status, "a store that does not answer is never NOT_FOUND")
	kafka.Start(t)
	redis.Start(t)
	n := 0
	some := func() {
		for range 100 {
			send(t, cl, person(topic, "a", time.Now(), n))
			n++
		}
	}
	some()
	w.arrived(project, "people", int64(n))
	require.Equal(t, http.StatusOK, ready())

	redis.Stop(t)
	some()
	redis.Start(t) // empty: without its data
	w.arrived(project, "people", int64(n))
	kafka.Stop(t)
	kafka.Start(t)
	some()
	st := w.arrived(project, "people", int64(n))
	require.EqualValues(t, n, st.Rows)
	w.eventually(func() bool { age, _ := w.lookupAge(project, "a"); return age == float64(n-1) }, "the newest value online")
}

// TestRestart: what was embedded is there again after a stop and after a kill
// (Run that never comes to its end is what the crash test of bin/weir does).
func TestRestart(t *testing.T) {
	c := testConfig(t)
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	cl := kafkaClient(t, w.app.KafkaAddr())
	for i := range 50 {
		send(t, cl, person("people", fmt.Sprintf("p%d", i%5), time.Now(), i))
	}
	w.arrived("default", "people", 50)
	w.stop()
	cl.Close()

	w = start(t, c)
	age, status := w.lookupAge("default", "p4")
	require.Equal(t, "PRESENT", status, "online values are there as soon as it is ready")
	require.EqualValues(t, 49, age)
	cl = kafkaClient(t, w.app.KafkaAddr())
	send(t, cl, person("people", "p4", time.Now(), 99))
	st := w.arrived("default", "people", 51)
	require.EqualValues(t, 51, st.Rows)
	age, _ = w.lookupAge("default", "p4")
	require.EqualValues(t, 99, age)
}

// TestBadManifest: every fault at once, with file, line and what to do; nothing applied.
func TestBadManifest(t *testing.T) {
	w := start(t, testConfig(t))
	f := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(f, []byte(`apiVersion: weir/v1
kind: Entity
metadata: {name: person, ownr: me}
spec:
  join_keys:
    - {name: id, type: strin}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: people}
spec:
  source: nowhere
  entities: [person]
  features: [{name: Age, type: int64}]
`), 0o644))
	code, _, errs := w.try("apply", "-f", f)
	require.Equal(t, 1, code)
	for _, want := range []string{"bad.yaml:3:", `owner`, "bad.yaml:6:", "string", "bad.yaml:12:", "nowhere", "bad.yaml:14:", "Age"} {
		require.Contains(t, errs, want)
	}
	out := w.run("get", "all", "-o", "json")
	require.Equal(t, "[]\n", out)
}

// TestExitCodes: 2 for wrong use, with what to do.
func TestExitCodes(t *testing.T) {
	w := start(t, testConfig(t))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"lookup"}, "--entity"},
		{[]string{"lookup", "--service", "none", "--entity", "a=1"}, "none"},
		{[]string{"get", "view", "none"}, "does not exist"},
		{[]string{"frobnicate"}, "unknown command"},
		{[]string{"config", "--set", "ingest.flush_intervall=1s"}, "flush_interval"},
		{[]string{"--server", "127.0.0.1:1", "status"}, "weir up"},
	} {
		code, _, errs := w.try(tc.args...)
		require.Equal(t, 2, code, "%v: %s", tc.args, errs)
		require.Contains(t, errs, tc.want, "%v", tc.args)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.app.HTTPAddr()+"/metrics", nil)
	require.NoError(t, err)
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer r.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(r.Body)
	require.NoError(t, err)
	for _, m := range []string{"go_goroutines", "weir_registry_revision"} {
		require.Contains(t, b.String(), m)
	}
}
