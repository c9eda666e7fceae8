package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

const windowedStream = `
apiVersion: weir/v1
kind: Entity
metadata: {name: shop}
spec: {join_keys: [{name: shop, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: sales}
spec: {topic: sales, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: sales}
spec: {source: sales, entities: [shop], online: false, features: [{name: amount, type: float64}]}
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: slides}
spec:
  view: sales
  reference: {from: 2020-11-20T12:00:00Z, to: 2020-11-20T12:20:00Z}
  window: {size: 10m, slide: 5m}
  min_count: 20
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: trails}
spec:
  view: sales
  reference: {trailing: 20m}
  window: {size: 10m}
  min_count: 20
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: counts}
spec:
  view: sales
  reference: {from: 2020-11-20T12:00:00Z, to: 2020-11-20T12:20:00Z}
  window: {size: 5m, rows: 60, at_most: 30m}
  min_count: 20
`

// TestWindowsOfMonitors: windows that overlap, a reference that trails and windows of a number of rows, from the manifest to
// what the command line shows of them.
func TestWindowsOfMonitors(t *testing.T) {
	c := testConfig(t)
	c.Kafka.Partitions = 1
	c.Drift.Poll = 50 * time.Millisecond
	w := start(t, c)
	w.apply(windowedStream)
	at := func(minute int) string {
		return time.Date(2020, 11, 20, 12, minute, 0, 0, time.UTC).Format(time.RFC3339)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	defer cl.Close()
	var rows []*kgo.Record
	sale := func(minute, i int, amount float64) {
		rows = append(rows, &kgo.Record{Topic: "sales", Value: fmt.Appendf(nil, `{"shop": "s%d", "amount": %g, "at": "%s"}`, i, amount, at(minute))})
	}
	for minute := range 60 {
		n, more := 6, 0.0
		if minute >= 30 && minute < 40 {
			n = 12
		}
		if minute >= 40 {
			more = 100 // from here on all are larger
		}
		for i := range n {
			sale(minute, i, float64((minute*7+i*3)%20)+more)
		}
	}
	sale(90, 0, 1)
	require.NoError(t, cl.ProduceSync(context.Background(), rows...).FirstErr())
	w.arrived("default", "sales", int64(len(rows)))

	type window struct {
		Start, End    string
		Rows          int64
		Open, Drifted bool
		Features      []struct {
			ReferenceCount int64 `json:"reference_count"`
			Skipped        string
		}
	}
	show := func(monitor string, n int) (out []window) {
		t.Helper()
		var shown struct{ Results []window } // newest first
		w.eventually(func() bool {
			w.json(&shown, "monitor", "show", monitor)
			if len(shown.Results) != n {
				return false
			}
			over := shown.Results
			if monitor != "counts" {
				over = over[1:] // the newest takes rows
			}
			return !slices.ContainsFunc(over, func(x window) bool {
				return x.Open || len(x.Features) == 0 || x.Features[0].Skipped == "not judged yet"
			})
		}, "%s: %+v", monitor, &shown)
		for i := range shown.Results {
			out = append(out, shown.Results[n-1-i])
		}
		return out
	}
	slides := show("slides", 13)
	for i, x := range slides[:12] { // the first ends at 12:05
		first, last := 5*i-5, 5*i+5
		n := int64(0)
		for minute := max(0, first); minute < last; minute++ {
			n += 6
			if minute >= 30 && minute < 40 {
				n += 6
			}
		}
		require.Equal(t, []any{at(first), at(last), n, last > 40}, []any{x.Start, x.End, x.Rows, x.Drifted}, "slides, window %d", i)
	}
	require.True(t, slides[12].Open)
	trails := show("trails", 7)
	for i, x := range trails[:6] {
		counted := int64(0) // nothing was counted before noon
		if i >= 2 {
			counted = trails[i-1].Rows + trails[i-2].Rows
		}
		require.Equal(t, []any{at(10 * i), counted, i >= 4}, []any{x.Start, x.Features[0].ReferenceCount, x.Drifted}, "trails, window %d", i)
	}
	ends := []int{0, 10, 20, 30, 35, 40, 50, 60}
	for i, x := range show("counts", 7) {
		require.Equal(t, []any{at(ends[i]), at(ends[i+1]), int64(60), i >= 5}, []any{x.Start, x.End, x.Rows, x.Drifted}, "counts, window %d", i)
	}

	// What people read says which time a window is, where its start alone does not.
	lines := func(args ...string) string {
		t.Helper()
		_, out, errs := w.try(args...)
		require.Empty(t, errs)
		return strings.Join(strings.Fields(out), " ")
	}
	require.Contains(t, lines("monitor", "show", "slides"), "2020-11-20T12:35:00Z 2020-11-20T12:45:00Z 90 DRIFT")
	require.Contains(t, lines("monitor", "show", "counts"), "2020-11-20T12:30:00Z 2020-11-20T12:35:00Z 60")
	require.NotContains(t, lines("monitor", "show", "trails"), "until")
	require.Contains(t, lines("monitor", "profile", "slides", "--window", at(44)), "2020-11-20T12:40:00Z to 2020-11-20T12:50:00Z: 60 rows")
	for monitor, found := range map[string]string{"slides": "4 of 12 windows drifted", "trails": "2 of 6 windows drifted", "counts": "2 of 7 windows drifted"} {
		code, out, errs := w.try("monitor", "run", monitor, "--from", at(-5), "--to", at(60))
		require.Equal(t, 1, code, errs)
		require.Contains(t, out, "it would have fired 1 times")
		require.Contains(t, out, found)
	}
}
