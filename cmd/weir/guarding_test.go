package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

const guardedStream = `
apiVersion: weir/v1
kind: Entity
metadata: {name: user}
spec: {join_keys: [{name: email, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: visits}
spec: {topic: visits, event_time: {field: at}}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: age, max_value: %d}}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: stricter}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: age, min_value: 18}}
    - {type: expect_column_values_to_not_be_null, kwargs: {column: age}, severity: warning}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: visits}
spec:
  source: visits
  entities: [user]
  features: [{name: age, type: int64}]
  suite: %s
  %s
  quality: {max_reject_rate: 0.2, reject_events: 20, mask: [email]}
`

type previewed struct {
	Applied  bool
	None     string `json:"no_preview"`
	Previews []struct {
		View, Suite, None, Cut string
		Shadow                 bool
		Rows, Rejected         int64
		Share                  float64
		Held                   int64
		HeldPassing            int64 `json:"held_passing"`
		Rules                  []struct {
			Expectation       string
			Evaluated, Failed int64
			Examples          []struct {
				Key, Value string
			}
		}
	}
}

type guardedStatus struct {
	Rows, Quarantined int64
	Paused            string
	Shadow            *struct {
		Suite          string
		Rows, Rejected int64
		Rules          []struct {
			Expectation       string
			Evaluated, Failed int64
		}
	}
	RejectPause *struct {
		Limit      float64
		Rules      map[string]int64
		Partitions []int32
		Accepting  bool
	} `json:"reject_pause"`
}

// TestGuardingWithoutFear: a suite is tried on what is there, then in shadow, then
// in force; a stream that goes bad pauses its view, and goes on by the ways that there are.
func TestGuardingWithoutFear(t *testing.T) {
	c := testConfig(t)
	c.Kafka.Partitions = 1
	w := start(t, c)
	define := func(most int, suite, shadow string) string {
		f := filepath.Join(t.TempDir(), "visits.yaml")
		require.NoError(t, os.WriteFile(f, fmt.Appendf(nil, guardedStream, most, suite, shadow), 0o600))
		return f
	}
	w.run("apply", "-f", define(100, "sane", ""))
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	sent := int64(0)
	send := func(n int, age int) {
		var recs []*kgo.Record
		for range n {
			at := time.Date(2020, 11, 20, 12, 0, 0, 0, time.UTC).Add(time.Duration(sent) * time.Second)
			sent++
			recs = append(recs, &kgo.Record{Topic: "visits", Value: fmt.Appendf(nil, `{"email": "u%d@x.org", "age": %d, "at": "%s"}`, sent, age, at.Format(time.RFC3339))})
		}
		require.NoError(t, cl.ProduceSync(context.Background(), recs...).FirstErr())
	}
	status := func() (st guardedStatus) {
		var all []guardedStatus
		w.json(&all, "status", "--view", "visits")
		return all[0]
	}
	send(40, 50)
	send(10, 5)
	send(2, 150)
	w.arrived("default", "visits", 52)

	// In the plan: what a stricter suite would have done.
	var p previewed
	w.json(&p, "plan", "-f", define(100, "sane", "shadow_suite: stricter"))
	require.Len(t, p.Previews, 1, "%+v", p)
	x := p.Previews[0]
	require.Equal(t, "stricter", x.Suite)
	require.True(t, x.Shadow)
	require.EqualValues(t, 50, x.Rows)
	require.EqualValues(t, 10, x.Rejected)
	require.InDelta(t, 0.2, x.Share, 1e-9)
	require.Len(t, x.Rules, 1)
	require.EqualValues(t, 10, x.Rules[0].Failed)
	require.Len(t, x.Rules[0].Examples, 3)
	require.Equal(t, "email=***", x.Rules[0].Examples[0].Key)
	require.Equal(t, "age=5", x.Rules[0].Examples[0].Value)
	w.json(&p, "plan", "--no-preview", "-f", define(100, "sane", "shadow_suite: stricter"))
	require.Empty(t, p.Previews)
	w.json(&p, "plan", "--preview-hours", "0.001", "-f", define(100, "sane", "shadow_suite: stricter")) // 3.6 s before the newest row
	require.EqualValues(t, 4, p.Previews[0].Rows)
	w.json(&p, "plan", "-f", define(200, "sane", ""))
	require.Len(t, p.Previews, 1)
	require.EqualValues(t, 0, p.Previews[0].Rejected)
	require.EqualValues(t, 2, p.Previews[0].Held, "%+v", p)
	require.EqualValues(t, 2, p.Previews[0].HeldPassing)
	require.Contains(t, w.run("plan", "-f", define(100, "stricter", "")), "suite stricter: would have held back 10 of 50 rows (20.00 %)")

	// In shadow.
	require.Contains(t, w.run("apply", "-f", define(100, "sane", "shadow_suite: stricter")), "in shadow, would have counted 10 of 50 rows")
	send(10, 50)
	send(5, 6)
	w.arrived("default", "visits", 67)
	st := status()
	require.EqualValues(t, 65, st.Rows)
	require.Equal(t, "stricter", st.Shadow.Suite)
	require.EqualValues(t, 15, st.Shadow.Rows)
	require.EqualValues(t, 5, st.Shadow.Rejected)
	require.EqualValues(t, 5, st.Shadow.Rules[0].Failed)
	require.Contains(t, w.run("status"), "suite stricter is in shadow; it would have held back 5 of 15 rows")
	require.Contains(t, w.run("describe", "view", "visits"), "5 of 15 rows would be held back")

	// In force, and the stream goes bad.
	w.run("apply", "-f", define(100, "stricter", ""))
	send(20, 50)
	w.arrived("default", "visits", 87)
	send(30, 7)
	w.eventually(func() bool { st = status(); return st.RejectPause != nil }, "the view to pause")
	require.Contains(t, st.Paused, "weir resume --view visits")
	require.Equal(t, []int32{0}, st.RejectPause.Partitions)
	require.NotEmpty(t, st.RejectPause.Rules)
	require.Contains(t, w.run("status"), "expect_column_values_to_be_between")
	require.Contains(t, w.run("describe", "view", "visits"), "paused since")
	before := w.held("default", "visits").Total
	require.LessOrEqual(t, before, int64(2+4))
	w.eventually(func() bool {
		var events []struct{ Type string }
		w.json(&events, "events", "list", "--view", "visits")
		return len(events) == 1 && events[0].Type == "io.weir.view.paused.v1"
	}, "somebody to be told")

	require.Contains(t, w.run("resume", "--view", "visits", "--accept"), "visits goes on with 1 partition")
	w.arrived("default", "visits", 117)
	require.EqualValues(t, 2+30, w.held("default", "visits").Total)
	send(40, 50)
	w.arrived("default", "visits", 157)
	w.eventually(func() bool { return status().RejectPause == nil }, "the limit to hold again")

	send(30, 8)
	w.eventually(func() bool { return status().RejectPause != nil }, "the view to pause again")
	w.run("apply", "-f", define(100, "sane", "")) // a suite that takes them
	w.arrived("default", "visits", 187)
	code, _, errs := w.try("resume", "--view", "visits")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "it is not paused")
	w.run("audit", "--view", "visits")
}
