//go:build peers

package peers

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

const faresManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver, project: rides}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Entity
metadata: {name: town, project: rides}
spec: {join_keys: [{name: town, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: stats, project: rides}
spec:
  topic: stats
  event_time: {field: at, format: unix_ms}
  created: {field: written}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane, project: rides}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: trips, min_value: 0}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: stats, project: rides}
spec:
  source: stats
  entities: [driver]
  suite: sane
  ttl: 24h
  features:
    - {name: trips, type: int64, path: counts.trips}
    - {name: rating, type: float64}
    - {name: share, type: float32}
    - {name: city, type: string}
    - {name: active, type: bool}
    - {name: level, type: int32}
    - {name: joined, type: timestamp}
---
apiVersion: weir/v1
kind: Source
metadata: {name: fares, project: rides}
spec:
  topic: fares
  event_time: {field: event_timestamp, format: naive}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: fares, project: rides}
spec:
  source: fares
  entities: [driver, town]
  features:
    - {name: fare, type: float64}
---
apiVersion: weir/v1
kind: Source
metadata: {name: lists, project: rides}
spec:
  topic: lists
  event_time: {field: event_timestamp}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: lists, project: rides}
spec:
  source: lists
  entities: [driver]
  features:
    - {name: b, type: array<bool>}
    - {name: i, type: array<int32>}
    - {name: l, type: array<int64>}
    - {name: f, type: array<float32>}
    - {name: d, type: array<float64>}
    - {name: s, type: array<string>}
    - {name: t, type: array<timestamp>}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model, project: rides}
spec:
  features: ["fares:fare", "stats:rating", "stats:city"]
`

// raw passes messages through as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = append([]byte(nil), b...); return nil }
func (raw) Name() string                    { return "proto" }

// storeYAML is the feature_store.yaml that docs/feast.md shows, pointed at a running Weir.
func storeYAML(t *testing.T, p *product) string {
	doc, err := os.ReadFile("../docs/feast.md")
	require.NoError(t, err)
	m := regexp.MustCompile("(?s)<!-- test: feature_store.yaml -->\n```yaml\n(.*?)```").FindStringSubmatch(string(doc))
	require.NotNil(t, m, "docs/feast.md shows no feature_store.yaml")
	host, port, _ := strings.Cut(p.app.GRPCAddr(), ":")
	text := strings.NewReplacer("weir.example.com:6566", p.app.HTTPAddr(), "weir.example.com", host, "6567", port).Replace(m[1])
	require.NotEqual(t, m[1], text)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "feature_store.yaml"), []byte(text), 0o644))
	return dir
}

// TestFeastOnline: Feast's SDK, told one address, writes to Weir and looks up in it; Feast's own messages read what
// Weir answers over gRPC.
func TestFeastOnline(t *testing.T) {
	p := start(t)
	file := filepath.Join(t.TempDir(), "fares.yaml")
	require.NoError(t, os.WriteFile(file, []byte(faresManifest), 0o644))
	p.run("apply", "-f", file)
	s := startScript(t, "feast/online.py", storeYAML(t, p))
	must := func(what string, args call) json.RawMessage {
		t.Helper()
		ok, fault := s.do(what, args)
		require.Empty(t, fault)
		return ok
	}
	must("define", nil)
	now := time.Now().UTC().Truncate(time.Second)
	ago := func(d time.Duration) string { return now.Add(-d).Format(time.RFC3339) }
	stats := func(change func(df call)) call {
		df := call{"driver_id": []any{1, 2, 3}, "trips": []any{7, 0, 5}, "rating": []any{3.0, nil, 1.5}, "share": []any{0.5, 1, 2}, "city": []any{"Köln", nil, "x"},
			"active": []any{true, false, true}, "level": []any{-3, 2, 1}, "joined": []any{"2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"},
			"event_timestamp": []any{ago(time.Hour), ago(time.Hour), ago(48 * time.Hour)}}
		change(df)
		return call{"view": "stats", "df": df, "types": call{"level": "int32", "share": "float32"}}
	}
	must("write", stats(func(call) {}))
	must("push", call{"source": "fares", "df": call{"driver_id": []any{1, 2}, "town": []any{"Lyon", "Köln"}, "fare": []any{12, 0.5}, "event_timestamp": []any{ago(0), ago(time.Minute)}}})

	var got struct {
		Values   map[string][]any
		Statuses map[string][]int
	}
	look := func(args call) {
		t.Helper()
		got.Values, got.Statuses = nil, nil
		require.NoError(t, json.Unmarshal(must("lookup", args), &got))
	}
	drivers := []call{{"driver_id": 1}, {"driver_id": 2}, {"driver_id": 3}, {"driver_id": 4}}
	look(call{"features": []string{"stats:trips", "stats:rating", "stats:share", "stats:city", "stats:active", "stats:level", "stats:joined"}, "rows": drivers})
	require.Equal(t, map[string][]any{"driver_id": {1., 2., 3., 4.}, "trips": {7., 0., nil, nil}, "rating": {3.0, nil, nil, nil}, "share": {0.5, 1., nil, nil},
		"city": {"Köln", nil, nil, nil}, "active": {true, false, nil, nil}, "level": {-3., 2., nil, nil}, "joined": {1704164645., 1704164645., nil, nil}}, got.Values)
	require.Equal(t, map[string][]int{"driver_id": {1, 1, 1, 1}, "trips": {1, 1, 4, 3}, "rating": {1, 2, 4, 3}, "share": {1, 1, 4, 3}, "city": {1, 2, 4, 3},
		"active": {1, 1, 4, 3}, "level": {1, 1, 4, 3}, "joined": {1, 1, 4, 3}}, got.Statuses)
	pairs := []call{{"driver_id": 1, "town": "Lyon"}, {"driver_id": 2, "town": "Köln"}, {"driver_id": 2, "town": "Lyon"}}
	look(call{"service": "model", "rows": pairs, "full": true})
	require.Equal(t, map[string][]any{"driver_id": {1., 2., 2.}, "town": {"Lyon", "Köln", "Lyon"}, "fares__fare": {12., 0.5, nil}, "stats__rating": {3.0, nil, nil}, "stats__city": {"Köln", nil, nil}}, got.Values)
	require.Equal(t, []int{1, 1, 3}, got.Statuses["fares__fare"])
	require.JSONEq(t, `[{"trips": 7, "city": "Köln"}, {"trips": 0, "city": null}, {"trips": null, "city": null}]`, string(must("online_read", call{"view": "stats", "ids": []int{1, 2, 3}, "features": []string{"trips", "city"}})))

	for _, c := range []struct {
		what string
		args call
		says []string
	}{
		{"lookup", call{"features": []string{"ghost:x"}, "rows": drivers}, []string{"FeatureViewNotFoundException: ", "ghost"}},
		{"lookup", call{"features": []string{"stats:x"}, "rows": drivers}, []string{"FeastObjectNotFoundException: ", `no feature "x"`}},
		{"lookup", call{"service": "lost", "rows": drivers}, []string{"FeatureServiceNotFoundException: ", "lost"}},
		{"lookup", call{"features": []string{"fares:fare"}, "rows": drivers}, []string{"FeastError: ", "town"}},
		{"write", call{"view": "ghost", "df": call{"driver_id": []any{1}, "x": []any{1}, "event_timestamp": []any{ago(0)}}}, []string{"FeatureViewNotFoundException: ", "ghost"}},
		{"write", stats(func(df call) { df["driver_id"], df["trips"] = []any{11, 12, 13}, []any{1, -1, 1} }),
			[]string{"FeastError: ", "1 of 3 rows were held back", "row 1", "expect_column_values_to_be_between(trips)", "got -1"}},
	} {
		_, fault := s.do(c.what, c.args)
		for _, text := range c.says {
			require.Contains(t, fault, text, "%s %v", c.what, c.args)
		}
	}
	look(call{"features": []string{"stats:trips"}, "rows": []call{{"driver_id": 11}, {"driver_id": 12}}})
	require.Equal(t, map[string][]int{"driver_id": {1, 1}, "trips": {1, 3}}, got.Statuses, "the good row of a write with a bad one")

	// Over gRPC: Feast's messages, both ways.
	var text string
	require.NoError(t, json.Unmarshal(must("encode", nil), &text))
	req, err := hex.DecodeString(text)
	require.NoError(t, err)
	conn, err := grpc.NewClient(p.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	require.NoError(t, err)
	defer conn.Close()
	ask := func(req []byte) (resp []byte) {
		require.NoError(t, conn.Invoke(metadata.AppendToOutgoingContext(ctx, "x-weir-project", "rides"), "/feast.serving.ServingService/GetOnlineFeatures", req, &resp))
		return resp
	}
	resp := ask(req)
	var msg struct {
		Metadata struct {
			Names struct{ Val []string }  `json:"feature_names"`
			Views []struct{ Name string } `json:"feature_view_metadata"`
		}
		Results []struct {
			Values   []map[string]any
			Statuses []string
			Times    []string `json:"event_timestamps"`
		}
	}
	require.NoError(t, json.Unmarshal(must("decode", call{"hex": hex.EncodeToString(resp)}), &msg))
	require.ElementsMatch(t, []string{"driver_id", "town"}, msg.Metadata.Names.Val[:2])
	require.Equal(t, []string{"fares__fare", "stats__rating", "stats__city"}, msg.Metadata.Names.Val[2:])
	require.Len(t, msg.Metadata.Views, 2)
	require.Equal(t, []map[string]any{{"double_val": 12.0}, {"double_val": 0.5}, {}, {}}, msg.Results[2].Values)
	require.Equal(t, []string{"PRESENT", "PRESENT", "NOT_FOUND", "NOT_FOUND"}, msg.Results[2].Statuses)
	require.Equal(t, []string{"PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND"}, msg.Results[3].Statuses)
	require.Equal(t, []map[string]any{{"string_val": "Köln"}, {}, {}, {}}, msg.Results[4].Values)
	require.Equal(t, []string{ago(time.Hour), ago(time.Hour), ago(48 * time.Hour), "1970-01-01T00:00:00Z"}, msg.Results[4].Times)
	feastLists(t, must, ask, ago(0))
}

// feastLists: lists of every type that JSON can carry (the SDK cannot send bytes) go in and out by the
// SDK, and Feast's messages read all of them over gRPC, byte for byte as they write them.
func feastLists(t *testing.T, must func(string, call) json.RawMessage, ask func([]byte) []byte, at string) {
	df := call{"driver_id": []any{21, 22, 23}, "event_timestamp": []any{at, at, at},
		"b": []any{[]any{true, false}, []any{}, nil}, "i": []any{[]any{-3, 2147483647}, []any{}, nil}, "l": []any{[]any{9007199254740993, -1}, []any{}, nil},
		"f": []any{[]any{0.5, 2}, []any{}, nil}, "d": []any{[]any{0.1, 1e300}, []any{}, nil}, "s": []any{[]any{"Köln", ""}, []any{}, nil},
		"t": []any{[]any{"2023-11-14T22:13:20Z", "1969-12-31T23:59:59Z"}, []any{}, nil}}
	must("write", call{"view": "lists", "df": df, "times": []string{"t"}})
	var read []map[string]map[string][]any
	require.NoError(t, json.Unmarshal(must("online_read", call{"view": "lists", "ids": []int{21, 22, 23}, "features": []string{"b", "i", "l", "f", "d", "s", "t"}}), &read))
	require.Equal(t, []map[string]map[string][]any{
		{"b": {"bool_list_val": {true, false}}, "i": {"int32_list_val": {-3., 2147483647.}}, "l": {"int64_list_val": {9007199254740992., -1.}}, "f": {"float_list_val": {0.5, 2.}},
			"d": {"double_list_val": {0.1, 1e300}}, "s": {"string_list_val": {"Köln", ""}}, "t": {"unix_timestamp_list_val": {1700000000., -1.}}},
		{"b": {"bool_list_val": {}}, "i": {"int32_list_val": {}}, "l": {"int64_list_val": {}}, "f": {"float_list_val": {}}, "d": {"double_list_val": {}}, "s": {"string_list_val": {}}, "t": {"unix_timestamp_list_val": {}}},
		{"b": nil, "i": nil, "l": nil, "f": nil, "d": nil, "s": nil, "t": nil}}, read)
	var text string
	require.NoError(t, json.Unmarshal(must("encode", call{"ids": []int{21, 22, 23, 24}, "features": []string{"lists:b", "lists:i", "lists:l", "lists:f", "lists:d", "lists:s", "lists:t"}}), &text))
	req, err := hex.DecodeString(text)
	require.NoError(t, err)
	resp := hex.EncodeToString(ask(req))
	var again string
	require.NoError(t, json.Unmarshal(must("recode", call{"hex": resp}), &again))
	require.Equal(t, again, resp)
	var msg struct {
		Results []struct {
			Values   []map[string]any
			Statuses []string
		}
	}
	require.NoError(t, json.Unmarshal(must("decode", call{"hex": resp}), &msg))
	for i, want := range []map[string][]any{{"bool_list_val": {true, false}}, {"int32_list_val": {-3., 2147483647.}}, {"int64_list_val": {"9007199254740993", "-1"}}, {"float_list_val": {0.5, 2.}},
		{"double_list_val": {0.1, 1e300}}, {"string_list_val": {"Köln", ""}}, {"unix_timestamp_list_val": {"1700000000", "-1"}}} {
		r := msg.Results[1+i]
		require.Equal(t, []string{"PRESENT", "PRESENT", "NULL_VALUE", "NOT_FOUND"}, r.Statuses)
		for kind, list := range want {
			require.Equal(t, []map[string]any{{kind: map[string]any{"val": list}}, {kind: map[string]any{}}, {}, {}}, r.Values)
		}
	}
}
