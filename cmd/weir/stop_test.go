package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver"
)

// TestStopsWhileServersAreDown: a stop takes less than the 30 s after which
// supervisors kill, whatever is away, and nothing is lost by it.
func TestStopsWhileServersAreDown(t *testing.T) {
	kafka, redis := testserver.OwnKafka(t), testserver.OwnRedis(t)
	const project, topic = "p", "people"
	cl := kafkaClient(t, kafka.Addr)
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, topic)
	require.NoError(t, err)
	c := testConfig(t)
	c.Kafka.Brokers, c.Kafka.Replicas = []string{kafka.Addr}, 1
	c.Redis.Addrs = []string{redis.Addr}
	n := 0
	some := func() {
		for range 100 {
			r := person(topic, fmt.Sprintf("k%d", n%7), time.Now(), n)
			if n%10 == 0 {
				r = &kgo.Record{Topic: topic, Value: []byte("{")}
			}
			send(t, cl, r)
			n++
		}
	}
	quickly := func(w *weir, what string) {
		t.Helper()
		began := time.Now()
		w.stop()
		t.Logf("%s: stopped in %v", what, time.Since(began).Round(time.Millisecond))
		require.Less(t, time.Since(began), 28*time.Second, what)
	}

	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, project, topic))
	some()
	w.arrived(project, "people", int64(n))
	redis.Stop(t)
	some()
	w.eventually(func() bool { return w.seen(t, `weir_ingest_retries_total{project="p",step="write"`) }, "a write to be repeated")
	quickly(w, "redis goes away")

	w = start(t, c)
	w.eventually(func() bool { return w.seen(t, `weir_ingest_retries_total{project="p",step="assign"`) }, "an assignment to be repeated")
	quickly(w, "redis is away from the start")

	redis.Start(t)
	w = start(t, c)
	w.arrived(project, "people", int64(n))
	kafka.Stop(t)
	quickly(w, "kafka goes away")

	redis.Stop(t)
	w = start(t, c)
	time.Sleep(time.Second) // into whatever it tries first
	quickly(w, "both are away from the start")

	kafka.Start(t)
	redis.Start(t)
	w = start(t, c)
	some()
	st := w.arrived(project, "people", int64(n))
	require.EqualValues(t, n*9/10, st.Rows)
	require.EqualValues(t, n/10, w.held(project, "people").Total)
}

func (w *weir) metrics(t *testing.T) string {
	t.Helper()
	r, err := http.Get("http://" + w.app.HTTPAddr() + "/metrics")
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

// seen reports whether the metrics have a line that begins like this.
func (w *weir) seen(t *testing.T, line string) bool {
	t.Helper()
	for _, l := range strings.Split(w.metrics(t), "\n") {
		if strings.HasPrefix(l, line) {
			return true
		}
	}
	return false
}
