package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/internal/outbox/webhook"
)

// alertReceiver is a webhook and an Alertmanager.
type alertReceiver struct {
	mu     sync.Mutex
	hooks  []string // types of events, in order
	labels []string // of alerts: "name expectation firing|ended", without repetitions in a row
	paged  []string // what the pager got
	bad    []string
}

func (r *alertReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/hook" {
		h := req.Header
		want, err := webhook.Sign("a key", h.Get("webhook-id"), h.Get("webhook-timestamp"), body)
		var e struct{ ID, Type string }
		if err != nil || json.Unmarshal(body, &e) != nil || want != h.Get("webhook-signature") || e.ID != h.Get("webhook-id") {
			r.bad = append(r.bad, string(body))
		}
		r.hooks = append(r.hooks, e.Type)
		return
	}
	if req.URL.Path == "/pager" {
		r.paged = append(r.paged, string(body))
		return
	}
	var all []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	if req.URL.Path != "/api/v2/alerts" || json.Unmarshal(body, &all) != nil {
		r.bad = append(r.bad, req.URL.Path+" "+string(body))
	}
	for _, a := range all {
		s := a.Labels["alertname"] + " " + a.Labels["expectation"] + map[bool]string{true: " firing", false: " ended"}[a.EndsAt.After(time.Now())]
		if n := len(r.labels); n == 0 || r.labels[n-1] != s {
			r.labels = append(r.labels, s)
		}
	}
}

func (r *alertReceiver) got() (hooks, labels []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.hooks...), append([]string(nil), r.labels...)
}

const watchedStream = `
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
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - type: expect_column_values_to_be_between
      kwargs: {column: amount, min_value: 0}
    - type: expect_column_mean_to_be_between
      kwargs: {column: amount, min_value: 5, max_value: {$PARAMETER: most}}
      severity: warning
      id: usual
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: orders}
spec:
  source: orders
  entities: [order]
  features: [{name: amount, type: float64}]
  suite: sane
  quality:
    window: {size: 10m, lateness: 20m}
    parameters: {most: 15}
    freshness: 1h
`

// TestQualityOnTheStream: a window breaks its mean, everybody hears of it; late events amend it, and everybody hears of that.
func TestQualityOnTheStream(t *testing.T) {
	r := &alertReceiver{}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	t.Setenv("WEIR_TEST_HOOK_KEY", "a key")
	c := testConfig(t)
	c.Kafka.Partitions = 1
	c.Drift.Poll, c.Drift.Outbox.Poll = 50*time.Millisecond, 50*time.Millisecond
	c.Alerts = app.AlertList{
		{Name: "oncall", Type: "webhook", URL: srv.URL + "/hook", Secret: "env:WEIR_TEST_HOOK_KEY", Severities: []string{"warning"}},
		{Type: "alertmanager", URL: srv.URL, Resend: time.Second},
		{Name: "pager", Type: "webhook", URL: srv.URL + "/pager", Severities: []string{"critical"}},
	}
	w := start(t, c)
	w.apply(watchedStream)
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	sent := int64(0)
	send := func(minute int, amounts ...float64) {
		for _, a := range amounts {
			sent++
			e := fmt.Sprintf(`{"id": "o%d", "amount": %g, "at": "2020-11-20T12:%02d:00Z"}`, sent, a, minute)
			require.NoError(t, cl.ProduceSync(context.Background(), &kgo.Record{Topic: "shop.orders", Value: []byte(e)}).FirstErr())
		}
	}
	heard := func(hooks, labels []string) {
		t.Helper()
		w.eventually(func() bool {
			h, l := r.got()
			return strings.Join(h, ",") == strings.Join(hooks, ",") && strings.Join(l, ",") == strings.Join(labels, ",")
		}, "%v and %v", hooks, labels)
	}
	const alert = "WeirQualityFailed usual "
	send(1, 100, 90)
	send(11, 10)
	heard([]string{"io.weir.quality.failed.v1"}, []string{alert + "firing"})
	code, out, errs := w.try("quality", "show", "orders")
	require.Equal(t, 1, code, errs)
	require.Contains(t, out, "x usual: 95, expected")
	require.Contains(t, out, "FAILED, early")

	for range 30 {
		send(4, 8)
	}
	heard([]string{"io.weir.quality.failed.v1", "io.weir.quality.resolved.v1"}, []string{alert + "firing", alert + "ended"})
	out = w.run("quality", "show", "orders", "--window", "2020-11-20T12:09:59Z")
	require.Contains(t, out, "amended")
	require.NotContains(t, out, "12:10:00Z", "only the window that was asked for")

	send(2, -5) // held back: a row of the window all the same, which a critical expectation counts
	var shown struct {
		Rules []struct {
			Rule, Suite, State, Reason string
		}
		Windows []struct {
			Start, Outcome string
			Rows           int64
			Results        []struct {
				Outcome    string
				Elements   int64
				Unexpected int64
				Observed   float64
				Examples   []string
			}
		}
	}
	w.eventually(func() bool {
		w.json(&shown, "quality", "show", "orders", "--window", "2020-11-20T12:00:00Z")
		return len(shown.Windows) == 1 && shown.Windows[0].Rows == 33 && shown.Rules[0].State == "firing"
	}, "the window to count what was held back: %+v", &shown)
	require.Equal(t, "failed", shown.Windows[0].Outcome)
	require.EqualValues(t, 33, shown.Windows[0].Results[0].Elements)
	require.EqualValues(t, 1, shown.Windows[0].Results[0].Unexpected)
	require.Equal(t, []string{"-5"}, shown.Windows[0].Results[0].Examples)
	require.InDelta(t, (100+90+30*8)/32.0, shown.Windows[0].Results[1].Observed, 1e-9)
	require.Equal(t, "ok", shown.Windows[0].Results[1].Outcome)

	var events []struct {
		Type, View, Monitor, State string
	}
	w.eventually(func() bool {
		w.json(&events, "events", "list", "--view", "orders")
		return len(events) == 3 && events[1].State == "delivered" && events[2].State == "delivered"
	}, "the events to be delivered: %+v", &events)
	require.Equal(t, "orders/sane", events[0].Monitor)
	require.Equal(t, "io.weir.quality.failed.v1", events[0].Type)
	require.Contains(t, w.run("quality", "list"), "freshness")

	heard([]string{"io.weir.quality.failed.v1", "io.weir.quality.resolved.v1"},
		[]string{alert + "firing", alert + "ended", "WeirQualityFailed expect_column_values_to_be_between(amount) firing"})
	w.stop()
	require.Empty(t, r.bad)
	require.NotEmpty(t, r.paged, "what is critical")
	for _, body := range r.paged {
		require.Contains(t, body, `"severity":"critical"`)
	}
}
