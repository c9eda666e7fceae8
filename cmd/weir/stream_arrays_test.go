package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// streamedLists is a view with an array of every type, from a topic. Its schema lets tags have
// %[1]s items at most.
const streamedLists = `apiVersion: weir/v1
kind: Entity
metadata: {name: shop}
spec: {join_keys: [{name: shop_id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: baskets}
spec:
  topic: baskets
  event_time: {field: at}
  schema: {type: object, properties: {tags: {type: [array, "null"], maxItems: %[1]s}}}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - {type: expect_column_values_to_not_be_null, kwargs: {column: vec}}
    - {type: expect_column_values_to_be_of_type, kwargs: {column: tags, type_: "array<string>"}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: baskets}
spec:
  source: baskets
  entities: [shop]
  suite: sane
  features:
    - {name: b, type: array<bool>}
    - {name: i, type: array<int32>}
    - {name: l, type: array<int64>}
    - {name: vec, type: array<float32>, path: model.vec}
    - {name: d, type: array<float64>}
    - {name: %[2]s, type: array<string>, path: tags%[3]s}
    - {name: y, type: array<bytes>}
    - {name: t, type: array<timestamp>}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model}
spec: {features: ["baskets:*"]}
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: watch}
spec: {view: baskets, reference: {from: 2026-01-01T00:00:00Z, to: 2030-01-01T00:00:00Z}, window: {size: 1h}}
`

// TestArraysOfTheStream: events with arrays of every type go the whole way, from the topic to
// lookups, the table and an audit; those with an element that fits no column, or that schema or
// suite refuse, are held back, grouped, explained, and replayed once the cause is mended.
func TestArraysOfTheStream(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(streamedLists, "2", "tags", ""))
	cl := kafkaClient(t, w.app.KafkaAddr())
	at := time.Now().Add(-time.Minute).UTC()
	event := func(shop, fields string) *kgo.Record {
		at = at.Add(time.Millisecond)
		return &kgo.Record{Topic: "baskets", Key: []byte(shop), Value: fmt.Appendf(nil, `{"shop_id":%q,"at":%q%s}`, shop, at.Format(time.RFC3339Nano), fields)}
	}
	full := `,"b":[true,false],"i":[-3,2.0],"l":[9007199254740993],"model":{"vec":[0.1,-0.0,3e38]},"d":[0.5,1e300],"tags":["Köln \"1\"\n",""],"y":["AAE=",""],"t":["2024-01-02T03:04:05.678+01:00",0]`
	send(t, cl,
		event("full", full),
		event("empty", `,"b":[],"i":[],"l":[],"model":{"vec":[]},"d":[],"tags":[],"y":[],"t":[]`),
		event("null", `,"tags":null,"model":{"vec":[1]}`),
		event("gone", full),
		&kgo.Record{Topic: "baskets", Key: []byte("gone"), Timestamp: time.Now()},
		event("x1", `,"model":{"vec":[1,null]}`),
		event("x2", `,"model":{"vec":[1,2,3,1e39]},"i":5`),
		event("x3", `,"model":{"vec":[1]},"tags":["a","b","c"]`), // schema
		event("x4", ""), // suite: no vec
	)
	w.arrived("default", "baskets", 9)

	type answer struct {
		Rows []struct {
			Features map[string]json.RawMessage
			Statuses map[string]string
		}
	}
	lookup := func(shops ...string) (r answer) {
		args := []string{"lookup", "--service", "model"}
		for _, s := range shops {
			args = append(args, "--entity", "shop_id="+s)
		}
		w.json(&r, args...)
		return r
	}
	want := map[string]string{"b": `[true,false]`, "i": `[-3,2]`, "l": `[9007199254740993]`, "vec": `[0.1,-0,3e+38]`, "d": `[0.5,1e+300]`, "tags": `["Köln \"1\"\n",""]`, "y": `["AAE=",""]`,
		"t": `["2024-01-02T02:04:05.678Z","1970-01-01T00:00:00Z"]`}
	var got answer
	w.eventually(func() bool {
		got = lookup("full", "empty", "null", "gone", "x1")
		return got.Rows[3].Statuses["baskets"] == "NOT_FOUND" && got.Rows[2].Statuses["baskets"] == "PRESENT"
	}, "the rows online")
	for name, x := range want {
		require.JSONEq(t, x, string(got.Rows[0].Features[name]), name)
		require.JSONEq(t, "[]", string(got.Rows[1].Features[name]), name)
		null := "null"
		if name == "vec" {
			null = "[1]"
		}
		require.JSONEq(t, null, string(got.Rows[2].Features[name]), name)
	}
	require.Equal(t, "NOT_FOUND", got.Rows[4].Statuses["baskets"])

	rows := map[string]map[string]json.RawMessage{}
	var shown []map[string]json.RawMessage
	w.json(&shown, "table", "rows", "--view", "baskets")
	for _, r := range shown {
		rows[string(r["shop_id"])] = r
	}
	require.Len(t, shown, 5)
	for name, x := range want {
		require.JSONEq(t, x, string(rows[`"full"`][name]), name)
		require.JSONEq(t, "[]", string(rows[`"empty"`][name]), name)
	}
	require.JSONEq(t, "null", string(rows[`"null"`]["tags"]))
	require.Contains(t, w.run("describe", "view", "baskets"), "array<float32>")

	q := w.held("default", "baskets")
	require.Equal(t, map[string]int64{"decode(model.vec[])": 2, "decode(i)": 1, "schema.maxItems(tags)": 1, "expect_column_values_to_not_be_null(vec)": 1}, q.Rules)
	reasons, err := json.Marshal(q.Entries)
	require.NoError(t, err)
	for _, what := range []string{"model.vec[1]", "an element may not be null", "model.vec[3]", "array\\u003cint32\\u003e: a list"} {
		require.Contains(t, string(reasons), what)
	}
	var chosen quarantined
	w.json(&chosen, "quarantine", "list", "--view", "baskets", "--rule", "decode(model.vec[])")
	require.EqualValues(t, 2, chosen.Total)

	// The cause is mended, and tags get another name.
	f := filepath.Join(t.TempDir(), "manifest.yaml")
	mended := strings.Replace(fmt.Sprintf(streamedLists, "3", "labels", ", renamed_from: tags"), "column: tags", "column: labels", 1)
	require.NoError(t, os.WriteFile(f, []byte(mended), 0o644))
	w.run("apply", "-f", f, "--allow-breaking")
	var res replayed
	w.eventually(func() bool {
		w.json(&res, "quarantine", "replay", "--view", "baskets", "--rule", "schema.maxItems")
		return res.Replayed == 1
	}, "the replay")
	got = lookup("x3", "full")
	require.JSONEq(t, `["a","b","c"]`, string(got.Rows[0].Features["labels"]))
	require.JSONEq(t, want["tags"], string(got.Rows[1].Features["labels"]))
	send(t, cl, event("late", `,"model":{"vec":[2]},"tags":["z"]`))
	w.arrived("default", "baskets", 10)
	w.eventually(func() bool { got = lookup("late"); return got.Rows[0].Statuses["baskets"] == "PRESENT" }, "the row under the new name")
	require.JSONEq(t, `["z"]`, string(got.Rows[0].Features["labels"]))
	w.run("audit")

	// What no array can be.
	for _, c := range []struct{ was, is, says string }{
		{"array<int32>", "array<int64>", "i cannot change from array<int32> to array<int64>"},
		{"array<int32>", "list<int32>", "did you mean array<int32>?"},
		{"window: {size: 1h}", "features: [labels], window: {size: 1h}", "there is no distribution of arrays to compare"},
		{`to_be_of_type, kwargs: {column: labels, type_: "array<string>"}`, "to_be_in_set, kwargs: {column: labels, value_set: [a]}", "this is no rule for arrays"},
	} {
		require.Contains(t, mended, c.was)
		require.NoError(t, os.WriteFile(f, []byte(strings.Replace(mended, c.was, c.is, 1)), 0o644))
		code, _, errs := w.try("apply", "-f", f)
		require.NotZero(t, code)
		require.Contains(t, errs, c.says)
	}
}
