package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

const maskedManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: person}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: people}
spec:
  topic: people
  event_time: {field: at}
  schema: {type: object, properties: {user: {properties: {mail: {type: string, pattern: "@"}}}, age: {type: integer, maximum: 150}}}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - {type: expect_column_value_lengths_to_be_between, kwargs: {column: mail, max_value: 20}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: people}
spec:
  source: people
  entities: [person]
  suite: sane
  features: [{name: mail, type: string, path: user.mail}, {name: age, type: int64}]
  %s
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: ages}
spec: {source: people, entities: [person], features: [{name: age, type: int64}]}
`

// groupedList is what of `weir quarantine list -o json` has to stay as it is.
type groupedList struct {
	Total  int64            `json:"total"`
	Rules  map[string]int64 `json:"rules"`
	Groups []struct {
		View    string `json:"view"`
		Rule    string `json:"rule"`
		Path    string `json:"path"`
		Count   int64  `json:"count"`
		First   string `json:"first_seen"`
		Last    string `json:"last_seen"`
		Example struct {
			Offset   int64  `json:"offset"`
			Value    string `json:"value"`
			Expected string `json:"expected"`
		} `json:"example"`
	} `json:"groups"`
	Entries []struct {
		View      string `json:"view"`
		Partition int32  `json:"partition"`
		Payload   string `json:"payload"`
		Masked    bool   `json:"masked"`
	} `json:"entries"`
}

// TestMaskedValues: what a view masks is written down in no reason from then on, and shown in none
// that was written before; payloads are shown when they are asked for. Counts are by view, rule and path.
// A profile of the view keeps to the mask, too.
func TestMaskedValues(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(maskedManifest, ""))
	cl := kafkaClient(t, w.app.KafkaAddr())
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	event := func(i int, mail string, age int) *kgo.Record {
		return &kgo.Record{Topic: "people", Key: []byte("one partition"), Timestamp: at.Add(time.Duration(i) * time.Minute),
			Value: fmt.Appendf(nil, `{"id":"p%d","at":%q,"user":{"mail":%q},"age":%d}`, i, at.Format(time.RFC3339), mail, age)}
	}
	send(t, cl, event(0, "secret-a", 7), event(1, "secret-b@example.example.com", 7), event(2, "ann@example.com", 151))
	w.arrived("default", "people", 3)
	w.arrived("default", "ages", 3)
	require.Contains(t, w.run("quarantine", "list", "--view", "people"), "secret-a", "nothing is masked yet")

	w.apply(fmt.Sprintf(maskedManifest, "quality: {mask: [mail]}"))
	send(t, cl, event(3, "secret-c", 200))
	w.arrived("default", "people", 4)
	w.arrived("default", "ages", 4)

	var l groupedList
	w.json(&l, "quarantine", "list", "--view", "people")
	require.EqualValues(t, 4, l.Total)
	require.Equal(t, map[string]int64{"schema.pattern(user.mail)": 2, "schema.maximum(age)": 2, "expect_column_value_lengths_to_be_between(mail)": 1}, l.Rules)
	require.Len(t, l.Groups, 3)
	g := l.Groups[0]
	require.Equal(t, []any{"people", "schema.maximum", "age", int64(2), "200"}, []any{g.View, g.Rule, g.Path, g.Count, g.Example.Value})
	require.Equal(t, at.Add(2*time.Minute).Format(time.RFC3339), g.First)
	require.Equal(t, at.Add(3*time.Minute).Format(time.RFC3339), g.Last)
	require.Equal(t, feature.Masked, l.Groups[1].Example.Value)
	require.Equal(t, feature.Masked, l.Groups[2].Example.Value, "by the feature's name as well")
	require.True(t, l.Entries[0].Masked)
	require.Empty(t, l.Entries[0].Payload)

	first := fmt.Sprintf("%d/0", l.Entries[0].Partition)
	get := func(path string) string {
		r, err := http.Get("http://" + w.app.HTTPAddr() + path)
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return string(b)
	}
	for _, out := range []string{
		w.run("quarantine", "list", "--view", "people"), w.run("quarantine", "list", "--view", "people", "-o", "json"),
		w.run("quarantine", "list", "--view", "people", "--group-by", "rule"), w.run("quarantine", "list", "--view", "people", "--group-by", "path", "-o", "json"),
		w.run("quarantine", "show", "--view", "people", first), w.run("quarantine", "show", "--view", "people", first, "-o", "json"), get("/metrics"),
	} {
		require.NotContains(t, out, "secret")
	}
	shown := w.run("quarantine", "show", "--view", "people", first, "--payload")
	require.Contains(t, shown, `"mail":"secret-a"`)
	require.Contains(t, shown, "NOTE: the payloads and keys above are as they came")
	require.NotContains(t, shown, "got secret-a")

	// The topic of the entries has no such value but in the payload.
	entries := kafkaClient(t, w.app.KafkaAddr())
	entries.AddConsumeTopics("weir.default.people.quarantine")
	last := false
	for !last {
		for _, r := range entries.PollFetches(t.Context()).Records() {
			if !strings.HasSuffix(string(r.Key), "/3") {
				continue
			}
			last = true
			require.Contains(t, string(r.Value), "secret-c")
			for _, h := range r.Headers {
				require.NotContains(t, string(h.Value), "secret", h.Key)
			}
		}
	}

	// Of all views, the one that masks nothing shows what it has.
	var all groupedList
	w.json(&all, "quarantine", "list", "--group-by", "rule", "--limit", "3")
	require.EqualValues(t, 7, all.Total)
	require.Len(t, all.Entries, 3)
	require.Contains(t, w.run("quarantine", "list"), "secret-c")
	views := map[string]int64{}
	for _, g := range all.Groups {
		require.Empty(t, g.Path)
		views[g.View+" "+g.Rule] = g.Count
	}
	require.Equal(t, map[string]int64{"people schema.maximum": 2, "people schema.pattern": 2, "people expect_column_value_lengths_to_be_between": 1, "ages schema.maximum": 2, "ages schema.pattern": 2}, views)
	var none groupedList
	w.json(&none, "quarantine", "list", "--view", "ages", "--group-by", "none", "--limit", "0")
	require.Empty(t, none.Groups)
	require.Empty(t, none.Entries)
	require.EqualValues(t, 3, none.Total)

	// What is proposed from the table holds for it, and tells nothing of what is masked.
	var good []*kgo.Record
	for i := range 40 {
		good = append(good, event(10+i, fmt.Sprintf("hidden%d@e.com", i), 20+i%30))
	}
	send(t, cl, good...)
	w.arrived("default", "people", 44)
	dir := t.TempDir()
	suite, schema, data := filepath.Join(dir, "suite.yaml"), filepath.Join(dir, "schema.json"), filepath.Join(dir, "rows.parquet")
	w.run("profile", "people", "--suite", suite, "--schema", schema)
	w.run("table", "rows", "--view", "people", "--out", data)
	text, err := os.ReadFile(suite)
	require.NoError(t, err)
	require.NotContains(t, string(text), "hidden")
	require.Contains(t, string(text), "Proposed by a look at 40 rows of view people.")
	require.Contains(t, string(text), `expect_column_values_to_not_be_null
      kwargs: {column: "mail"}`)
	require.Contains(t, string(text), `kwargs: {column: "age", min_value: 20, max_value: 49}`)
	code, out, errs := w.try("check", "--schema", schema, data)
	require.Equal(t, 0, code, out+errs)
	rows := filepath.Join(dir, "rows.yaml")
	w.run("profile", "people", "--stream", "--limit", "5", "--hours", "1000", "--name", "people_rows", "--suite", rows)
	text, err = os.ReadFile(rows)
	require.NoError(t, err)
	require.Contains(t, string(text), "5 rows of view people")
	w.run("apply", "-f", rows)
	for says, args := range map[string][]string{"no rows that could be looked at in the last hours": {"profile", "people", "--hours", "0.0001"}, "nothing": {"profile", "nothing"}, "must not be negative": {"profile", "people", "--limit", "-1"}} {
		code, out, errs := w.try(args...)
		require.Equal(t, 2, code, out+errs)
		require.Contains(t, errs, says)
	}
}
