package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

const predictedStream = `
apiVersion: weir/v1
kind: Entity
metadata: {name: prediction}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: predictions}
spec: {topic: churn.predictions, event_time: {field: at}}
---
apiVersion: weir/v1
kind: Source
metadata: {name: outcomes}
spec: {topic: churn.outcomes, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: predictions}
spec: {source: predictions, entities: [prediction], online: false, features: [{name: score, type: float64}]}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: outcomes}
spec: {source: outcomes, entities: [prediction], online: false, features: [{name: churned, type: bool}]}
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: quality}
spec:
  view: predictions
  performance:
    prediction: score
    kind: probability
    outcomes: {view: outcomes, label: churned, within: 20m}
  reference: {from: 2020-11-20T12:00:00Z, to: 2020-11-20T12:10:00Z}
  window: {size: 10m}
  min_count: 50
  retrain: {model: churn, pipeline: train}
`

// TestPerformanceOfAModel: predictions go through Weir, their outcomes later; the model becomes worse, which is told
// once, and good again. Weir is stopped in between.
func TestPerformanceOfAModel(t *testing.T) {
	c := testConfig(t)
	c.Kafka.Partitions = 1
	c.Drift.Poll, c.Drift.Outbox.Poll = 50*time.Millisecond, 50*time.Millisecond
	w := start(t, c)
	w.apply(predictedStream)
	sent := map[string]int64{}
	send := func(topic string, events ...string) {
		t.Helper()
		cl, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.UnknownTopicRetries(-1))
		require.NoError(t, err)
		defer cl.Close()
		for _, e := range events {
			require.NoError(t, cl.ProduceSync(context.Background(), &kgo.Record{Topic: "churn." + topic, Value: []byte(e)}).FirstErr())
		}
		sent[topic] += int64(len(events))
		w.arrived("default", topic, sent[topic])
	}
	at := func(minute int) string {
		return time.Date(2020, 11, 20, 12, minute, 0, 0, time.UTC).Format(time.RFC3339)
	}
	// Of 60 predictions of a window, so many are wrong.
	var predictions, outcomes []string
	for window, wrong := range []int{6, 7, 30, 33, 5} {
		for i := range 60 {
			id, yes := fmt.Sprintf("w%d-%d", window, i), i%2 == 0
			score := map[bool]float64{true: 0.8, false: 0.3}[yes]
			predictions = append(predictions, fmt.Sprintf(`{"id": "%s", "score": %g, "at": "%s"}`, id, score, at(10*window+i%10)))
			outcomes = append(outcomes, fmt.Sprintf(`{"id": "%s", "churned": %v, "at": "%s"}`, id, yes != (i < wrong), at(10*window+i%10+10)))
		}
	}
	last := fmt.Sprintf(`{"id": "last", "score": 0.5, "at": "%s"}`, at(55))
	send("predictions", append(predictions, last)...)
	type window struct {
		Start       string
		Open        bool
		Drifted     bool
		Performance *struct {
			Predictions, Outcomes int64
			Coverage              float64
			Metrics               []struct {
				Metric           string
				Value, Reference float64
				Drifted          bool
			}
		}
	}
	var shown struct {
		State   string
		Results []window // newest first
	}
	w.eventually(func() bool {
		w.json(&shown, "monitor", "show", "quality")
		return len(shown.Results) == 6 && shown.Results[5].Open == false
	}, "the windows to end: %+v", &shown)
	require.Nil(t, shown.Results[4].Performance, "it waits for outcomes")
	w.stop()

	w = start(t, c)
	send("outcomes", outcomes[:250]...)
	send("outcomes", outcomes[200:]...) // some twice
	send("outcomes", `{"id": "nobody", "churned": true, "at": "`+at(75)+`"}`)
	w.eventually(func() bool {
		w.json(&shown, "monitor", "show", "quality")
		return len(shown.Results) == 6 && shown.Results[1].Performance != nil
	}, "the windows to be judged: %+v", &shown)
	require.Equal(t, "ok", shown.State)
	for i, right := range []float64{55, 27, 30, 53} {
		x := shown.Results[1+i]
		require.EqualValues(t, []int64{60, 60}, []int64{x.Performance.Predictions, x.Performance.Outcomes})
		require.Equal(t, "accuracy", x.Performance.Metrics[0].Metric)
		require.InDelta(t, right/60, x.Performance.Metrics[0].Value, 1e-12)
		require.InDelta(t, 0.9, x.Performance.Metrics[0].Reference, 1e-12)
		require.Equal(t, i == 1 || i == 2, x.Drifted)
	}
	var events []struct {
		Type string
		Data struct {
			Window  struct{ Start string }
			Retrain struct{ Model string }
		}
	}
	w.json(&events, "events", "list", "--monitor", "quality")
	require.Len(t, events, 2)
	require.Equal(t, "io.weir.drift.resolved.v1", events[0].Type)
	require.Equal(t, "2020-11-20T12:20:00Z", events[1].Data.Window.Start)
	require.Equal(t, "churn", events[1].Data.Retrain.Model)

	out := w.run("monitor", "show", "quality")
	require.Contains(t, out, "100.0 %")
	require.Contains(t, out, "0.5 was 0.9")
	code, out, errs := w.try("monitor", "run", "quality", "--from", "2020-11-20T12:00:00Z", "--to", "2020-11-20T13:00:00Z")
	require.Equal(t, 1, code, errs)
	require.Contains(t, out, "it would have fired 1 times")
	require.Contains(t, out, "2 of 5 windows drifted", "outcomes of the last window may still come")
	require.Contains(t, w.run("monitor", "list"), "2020-11-20T12:00Z to 2020-11-20T12:10Z")

	// What cannot work is refused.
	for fault, change := range map[string][2]string{
		`FeatureView "outcomes" has no feature "left"`: {"label: churned", "label: left"},
		"churned is string and no number":              {"kind: probability", "kind: number"},
		"there is no FeatureView":                      {"{view: outcomes", "{view: outcome"},
	} {
		text := strings.Replace(predictedStream, change[0], change[1], 1)
		if strings.Contains(fault, "string") {
			text = strings.NewReplacer("type: bool", "type: string", "name: outcomes}", "name: outcomes2}", "{view: outcomes", "{view: outcomes2").Replace(text)
		}
		f := filepath.Join(t.TempDir(), "manifest.yaml")
		require.NoError(t, os.WriteFile(f, []byte(text), 0o600))
		code, _, errs := w.try("plan", "-f", f)
		require.NotZero(t, code)
		require.Contains(t, errs, fault)
	}
}
