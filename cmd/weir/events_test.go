package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/cmd/weir/app"
)

const quietStream = `
apiVersion: weir/v1
kind: Entity
metadata: {name: order}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: orders}
spec: {topic: shop.orders, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: orders}
spec:
  source: orders
  entities: [order]
  features: [{name: amount, type: float64}]
  quality: {freshness: 1s}
`

// hook is a webhook that answers what it is told to, and keeps what it got.
type hook struct {
	mu     sync.Mutex
	status int
	got    []string // "type id content-type", of binary events
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status == 200 {
		h.got = append(h.got, strings.Join([]string{r.Header.Get("ce-type"), r.Header.Get("ce-id"), r.Header.Get("content-type"), fmt.Sprint(strings.HasPrefix(string(body), `{"project"`))}, " "))
	}
	w.WriteHeader(h.status)
}

func (h *hook) answers(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.got...)
}

// shownEvent is an event of `weir events list -o json`.
type shownEvent struct {
	ID, Type, State string
	Deliveries      []struct{ Destination, State string }
}

// TestEventsThatAreGivenUp: a webhook that refuses for good is told of to the others; mended, it gets
// what it missed, under the same id, and the alert ends.
func TestEventsThatAreGivenUp(t *testing.T) {
	refuses, fine := &hook{status: 410}, &hook{status: 200}
	one, two := httptest.NewServer(refuses), httptest.NewServer(fine)
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	c := testConfig(t)
	c.Kafka.Partitions = 1
	c.Drift.Poll, c.Drift.Outbox.Poll = 50*time.Millisecond, 50*time.Millisecond
	c.Events.Mode = "binary"
	c.Alerts = app.AlertList{{Name: "refuses", Type: "webhook", URL: one.URL, Mode: "binary"}, {Name: "fine", Type: "webhook", URL: two.URL, Mode: "binary"}}
	w := start(t, c)
	w.apply(quietStream)
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	require.NoError(t, cl.ProduceSync(context.Background(), &kgo.Record{Topic: "shop.orders", Value: []byte(`{"id": "o1", "amount": 1, "at": "2026-11-20T12:00:00Z"}`)}).FirstErr())

	var dead []shownEvent
	w.eventually(func() bool {
		w.json(&dead, "events", "list", "--state", "dead")
		return len(dead) > 0
	}, "a delivery that is given up")
	require.Len(t, dead, 1)
	require.Equal(t, "io.weir.freshness.stale.v1", dead[0].Type)
	id := dead[0].ID
	state := func() string {
		var e shownEvent
		w.json(&e, "events", "show", id)
		var out []string
		for _, d := range e.Deliveries {
			out = append(out, d.Destination+" "+d.State)
		}
		return e.State + ": " + strings.Join(out, ", ")
	}
	w.eventually(func() bool { return state() == "dead: kafka delivered, refuses dead, fine delivered" }, "the others' deliveries")
	line := func(kind string) func() bool {
		return func() bool {
			for _, l := range fine.heard() {
				if strings.HasPrefix(l, kind+" ") && strings.HasSuffix(l, " application/json true") {
					return true
				}
			}
			return false
		}
	}
	w.eventually(line("io.weir.delivery.failed.v1"), "the others to hear of it")
	require.Contains(t, w.run("events", "show", id), "answered 410")
	code, _, errs := w.try("events", "discard", id, "--destination", "fine")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "there is no such delivery")
	code, _, errs = w.try("events", "resend")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--dead")
	code, _, errs = w.try("events", "resend", "nobody")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "event nobody: there is none")

	refuses.answers(200)
	require.Equal(t, "1 delivery is pending again\n", w.run("events", "resend", id, "--destination", "refuses"))
	w.eventually(func() bool { return state() == "delivered: kafka delivered, refuses delivered, fine delivered" }, "the event to arrive")
	require.Equal(t, []string{"io.weir.freshness.stale.v1 " + id + " application/json true"}, refuses.heard()[:1], "the id that it had")
	w.eventually(line("io.weir.delivery.resolved.v1"), "the others to hear of the end")

	// Kafka has all of it, in binary mode, and never what the refusing one was told of itself.
	in, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.ConsumeTopics("weir.default.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(in.Close)
	var kinds []string
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(kinds) < 3 {
		f := in.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) {
			h := map[string]string{}
			for _, x := range r.Headers {
				h[x.Key] = string(x.Value)
			}
			require.Equal(t, "application/json", h["content-type"])
			require.Equal(t, "1.0", h["ce_specversion"])
			require.True(t, strings.HasPrefix(string(r.Value), `{"project"`), string(r.Value))
			kinds = append(kinds, strings.TrimPrefix(h["ce_type"], "io.weir."))
		})
	}
	require.ElementsMatch(t, []string{"freshness.stale.v1", "delivery.failed.v1", "delivery.resolved.v1"}, kinds)
	for _, l := range refuses.heard() {
		require.NotContains(t, l, "io.weir.delivery.", "not about itself")
	}

	schema, err := os.ReadFile(filepath.Join("..", "..", "docs", "delivery-v1.schema.json"))
	require.NoError(t, err)
	require.Equal(t, string(schema), w.run("events", "schema", "urn:io.weir:schema:delivery:v1"))
	require.Contains(t, w.run("events", "list"), "delivery@refuses")
}
