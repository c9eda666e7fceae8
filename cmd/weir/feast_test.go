package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	feastserving "github.com/weir-ml/weir/proto/feast/serving"
	feasttypes "github.com/weir-ml/weir/proto/feast/types"
)

// typesManifest has a feature of every type, a view with a ttl and one of two keys, and
// a project beside.
const typesManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Entity
metadata: {name: town}
spec: {join_keys: [{name: town, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: trips}
spec:
  topic: trips
  event_time: {field: meta.at, format: unix_ms}
  created: {field: meta.written}
  schema:
    type: object
    required: [driver, meta, kind]
    properties:
      kind: {type: string}
      rating: {type: [number, "null"], maximum: 5}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: trips, min_value: 0}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: stats}
spec:
  source: trips
  entities: [driver]
  keys: {driver_id: driver}
  suite: sane
  ttl: 24h
  features:
    - {name: trips, type: int64, path: counts.trips}
    - {name: rating, type: float64}
    - {name: share, type: float32}
    - {name: city, type: string}
    - {name: active, type: bool}
    - {name: level, type: int32}
    - {name: photo, type: bytes}
    - {name: joined, type: timestamp}
---
apiVersion: weir/v1
kind: Source
metadata: {name: fares}
spec:
  topic: fares
  event_time: {field: event_timestamp, format: naive}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: fares}
spec:
  source: fares
  entities: [driver, town]
  features:
    - {name: fare, type: float64}
    - {name: trips, type: int64}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: visits}
spec:
  source: fares
  entities: [town]
  features:
    - {name: visits, type: int64}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model}
spec:
  features: ["fares:fare", "stats:rating", "stats:city"]
---
apiVersion: weir/v1
kind: Entity
metadata: {name: driver, project: other}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: fares, project: other}
spec:
  topic: other_fares
  event_time: {field: event_timestamp}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: fares, project: other}
spec:
  source: fares
  entities: [driver]
  features:
    - {name: fare, type: float64}
`

type object = map[string]any

// post calls over HTTP and returns the answer; a JSON string with JSON in it, as Feast
// writes errors, is unwrapped.
func (w *weir) post(path string, body any) (code int, out any) {
	w.t.Helper()
	var b []byte
	if s, ok := body.(string); ok {
		b = []byte(s)
	} else {
		var err error
		b, err = json.Marshal(body)
		require.NoError(w.t, err)
	}
	resp, err := http.Post("http://"+w.app.HTTPAddr()+path, "application/json", bytes.NewReader(b))
	require.NoError(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(text, &out), "%s", text)
	if s, ok := out.(string); ok {
		require.GreaterOrEqual(w.t, resp.StatusCode, 202)
		out = nil
		require.NoError(w.t, json.Unmarshal([]byte(s), &out), s)
	}
	return resp.StatusCode, out
}

// TestFeastAPI: rows written over Feast's calls take the way of every event and can be
// looked up when the call returns, over HTTP and over gRPC alike.
func TestFeastAPI(t *testing.T) {
	c := testConfig(t)
	c.Ingest.FlushInterval = time.Hour // what is read does not wait for commits
	w := start(t, c)
	w.apply(typesManifest)
	now := time.Now().UTC().Truncate(time.Second)
	naive := func(ago time.Duration) string { return now.Add(-ago).Format("2006-01-02T15:04:05") }

	rows := object{
		"driver_id": []any{1, 2, 3}, "trips": []any{7, nil, 0}, "rating": []any{3.0, 4.5, nil}, "share": []any{0.1, 1, nil}, "city": []any{"Köln \"1\"\n", "", nil},
		"active": []any{true, false, nil}, "level": []any{-3, 2, nil}, "photo": []any{"AAE=", "", nil}, "joined": []any{1700000000, "2024-01-02T03:04:05", nil},
		"event_timestamp": []any{naive(time.Hour), naive(time.Hour), naive(48 * time.Hour)}, "created": []any{nil, nil, naive(48 * time.Hour)}, "kind": []any{"x", "y", "z"}, "unknown": []any{1, 2, 3},
	}
	code, out := w.post("/write-to-online-store", object{"feature_view_name": "stats", "df": rows, "allow_registry_cache": false})
	require.Equal(t, 200, code, out)
	require.Nil(t, out)

	code, out = w.post("/push", object{"push_source_name": "fares", "to": "online", "df": object{
		"driver_id": object{"a": 1, "b": 2}, "town": object{"a": "Lyon", "b": "Köln"}, "fare": object{"a": 12, "b": nil}, "trips": object{"a": 1, "b": 2}, "visits": object{"a": 3, "b": 4},
		"event_timestamp": object{"a": naive(0), "b": naive(time.Minute)}}})
	require.Equal(t, 200, code, out)

	all := []string{"stats:trips", "fares:fare", "stats:rating", "stats:share", "stats:city", "stats:active", "stats:level", "stats:photo", "stats:joined"}
	code, out = w.post("/get-online-features", object{"features": all, "full_feature_names": true, "include_feature_view_version_metadata": true,
		"entities": object{"driver_id": []any{1, "2", 3.0, 4}, "town": []any{"Lyon", "Köln", "Lyon", nil}, "later": []any{1}}})
	require.Equal(t, 200, code, out)
	got := out.(object)
	require.Equal(t, object{"feature_names": []any{"driver_id", "town", "stats__trips", "stats__rating", "stats__share", "stats__city", "stats__active", "stats__level", "stats__photo", "stats__joined", "fares__fare"},
		"feature_view_metadata": []any{object{"name": "stats", "version": 1.0}, object{"name": "fares", "version": 1.0}}}, got["metadata"])
	want := []struct {
		values   []any
		statuses string
	}{
		{[]any{1.0, 2.0, 3.0, 4.0}, "PRESENT PRESENT PRESENT PRESENT"},
		{[]any{"Lyon", "Köln", "Lyon", nil}, "PRESENT PRESENT PRESENT NULL_VALUE"},
		{[]any{7.0, nil, nil, nil}, "PRESENT NULL_VALUE OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{3.0, 4.5, nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{float64(float32(0.1)), 1.0, nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{"Köln \"1\"\n", "", nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{true, false, nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{-3.0, 2.0, nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{"AAE=", "", nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{1.7e9, 1704164645.0, nil, nil}, "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND"},
		{[]any{12.0, nil, nil, nil}, "PRESENT NULL_VALUE NOT_FOUND NOT_FOUND"},
	}
	zulu := func(ago time.Duration) any { return naive(ago) + "Z" }
	const epoch = "1970-01-01T00:00:00Z"
	for i, r := range got["results"].([]any) {
		r := r.(object)
		require.Equal(t, want[i].values, r["values"], i)
		statuses := []any{}
		for _, s := range strings.Fields(want[i].statuses) {
			statuses = append(statuses, s)
		}
		require.Equal(t, statuses, r["statuses"], i)
		times := []any{zulu(time.Hour), zulu(time.Hour), zulu(48 * time.Hour), epoch}
		switch {
		case i < 2:
			times = []any{epoch, epoch, epoch, epoch}
		case i == 10:
			times = []any{zulu(0), zulu(time.Minute), epoch, epoch}
		}
		require.Equal(t, times, r["event_timestamps"], i)
	}
	w.feastGRPC(now)
	w.feastWrong(rows, naive)
}

// feastGRPC asks the same over gRPC, with the generated client.
func (w *weir) feastGRPC(now time.Time) {
	t := w.t
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	cl := feastserving.NewServingServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = cl.GetFeastServingInfo(ctx, &feastserving.GetFeastServingInfoRequest{})
	require.NoError(t, err)
	column := func(vals ...*feasttypes.Value) *feasttypes.RepeatedValue { return &feasttypes.RepeatedValue{Val: vals} }
	text := func(s string) *feasttypes.Value {
		return &feasttypes.Value{Val: &feasttypes.Value_StringVal{StringVal: s}}
	}
	long := func(n int64) *feasttypes.Value {
		return &feasttypes.Value{Val: &feasttypes.Value_Int64Val{Int64Val: n}}
	}
	req := &feastserving.GetOnlineFeaturesRequest{
		Kind: &feastserving.GetOnlineFeaturesRequest_FeatureService{FeatureService: "model"},
		Entities: map[string]*feasttypes.RepeatedValue{
			"driver_id": column(&feasttypes.Value{Val: &feasttypes.Value_Int64ListVal{Int64ListVal: &feasttypes.Int64List{Val: []int64{1, 2}}}}, &feasttypes.Value{Val: &feasttypes.Value_Int32Val{Int32Val: 3}}, text("-4")),
			"town":      column(text("Lyon"), text("Köln"), text("Lyon"), text("Nowhere")),
		},
		RequestContext: map[string]*feasttypes.RepeatedValue{"now": column(long(1))},
	}
	resp, err := cl.GetOnlineFeatures(ctx, req)
	require.NoError(t, err)
	names := resp.Metadata.FeatureNames.Val
	require.ElementsMatch(t, []string{"driver_id", "town"}, names[:2])
	require.Equal(t, []string{"fare", "rating", "city"}, names[2:])
	require.Empty(t, resp.Metadata.FeatureViewMetadata)
	require.Equal(t, []feastserving.FieldStatus{1, 2, 3, 3}, resp.Results[2].Statuses)
	require.Equal(t, []feastserving.FieldStatus{1, 1, 4, 3}, resp.Results[3].Statuses)
	require.Equal(t, []float64{3, 4.5, 0, 0}, []float64{resp.Results[3].Values[0].GetDoubleVal(), resp.Results[3].Values[1].GetDoubleVal(), resp.Results[3].Values[2].GetDoubleVal(), resp.Results[3].Values[3].GetDoubleVal()})
	require.Equal(t, "Köln \"1\"\n", resp.Results[4].Values[0].GetStringVal())
	require.Nil(t, resp.Results[3].Values[2].Val)
	require.Equal(t, now.Add(-48*time.Hour), resp.Results[3].EventTimestamps[2].AsTime())

	for name, c := range map[string]struct {
		change func(r *feastserving.GetOnlineFeaturesRequest)
		code   codes.Code
		says   string
	}{
		"no view": {func(r *feastserving.GetOnlineFeaturesRequest) { r.Kind = featureList("ghost:x") }, codes.NotFound, "ghost"},
		"no service": {func(r *feastserving.GetOnlineFeaturesRequest) {
			r.Kind = &feastserving.GetOnlineFeaturesRequest_FeatureService{FeatureService: "ghost"}
		}, codes.NotFound, "ghost"},
		"nothing":   {func(r *feastserving.GetOnlineFeaturesRequest) { r.Kind = nil }, codes.InvalidArgument, "neither"},
		"collision": {func(r *feastserving.GetOnlineFeaturesRequest) { r.Kind = featureList("stats:trips", "fares:trips") }, codes.InvalidArgument, "full_feature_names"},
		"no key":    {func(r *feastserving.GetOnlineFeaturesRequest) { delete(r.Entities, "town") }, codes.InvalidArgument, "town"},
		"lengths":   {func(r *feastserving.GetOnlineFeaturesRequest) { r.Entities["town"] = column(text("Lyon")) }, codes.InvalidArgument, "values where"},
		"type":      {func(r *feastserving.GetOnlineFeaturesRequest) { r.Entities["driver_id"] = column(text("x")) }, codes.InvalidArgument, "not a int64"},
	} {
		r := &feastserving.GetOnlineFeaturesRequest{Kind: req.Kind, Entities: map[string]*feasttypes.RepeatedValue{"driver_id": req.Entities["driver_id"], "town": req.Entities["town"]}}
		c.change(r)
		_, err := cl.GetOnlineFeatures(ctx, r)
		require.Equal(t, c.code, status.Code(err), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
	}
	// Another project, named by the metadata.
	other := &feastserving.GetOnlineFeaturesRequest{Kind: featureList("fares:fare"), Entities: map[string]*feasttypes.RepeatedValue{"driver_id": column(long(1))}}
	resp, err = cl.GetOnlineFeatures(metadata.AppendToOutgoingContext(ctx, "x-weir-project", "other"), other)
	require.NoError(t, err)
	require.Equal(t, []feastserving.FieldStatus{feastserving.FieldStatus_NOT_FOUND}, resp.Results[1].Statuses)
}

func featureList(refs ...string) *feastserving.GetOnlineFeaturesRequest_Features {
	return &feastserving.GetOnlineFeaturesRequest_Features{Features: &feastserving.FeatureList{Val: refs}}
}

// feastWrong: what is refused says why, in the way that the SDK reads it, and leaves nothing behind.
func (w *weir) feastWrong(rows object, naive func(time.Duration) string) {
	t := w.t
	with := func(change func(df object)) object {
		df := object{}
		for k, v := range rows {
			df[k] = v
		}
		change(df)
		return object{"feature_view_name": "stats", "df": df}
	}
	for name, c := range map[string]struct {
		path  string
		body  any
		code  int
		class string
		says  []string
	}{
		"no view":         {"/get-online-features", object{"features": []any{"ghost:x"}, "entities": object{"driver_id": []any{1}}}, 404, "FeatureViewNotFoundException", []string{"ghost"}},
		"no feature":      {"/get-online-features", object{"features": []any{"stats:x"}, "entities": object{"driver_id": []any{1}}}, 404, "FeastObjectNotFoundException", []string{`no feature "x"`}},
		"no service":      {"/get-online-features", object{"feature_service": "ghost", "entities": object{"driver_id": []any{1}}}, 404, "FeatureServiceNotFoundException", []string{"ghost"}},
		"no entity":       {"/get-online-features", object{"features": []any{"stats:trips"}, "entities": object{}}, 400, "FeastError", []string{"driver_id"}},
		"no JSON":         {"/get-online-features", `{"features": [NaN]}`, 400, "FeastError", []string{"body"}},
		"search":          {"/search", object{}, 501, "FeastError", []string{"vectors"}},
		"no view's write": {"/write-to-online-store", object{"feature_view_name": "ghost", "df": object{}}, 404, "FeatureViewNotFoundException", []string{"ghost"}},
		"no source":       {"/push", object{"push_source_name": "ghost", "df": object{}}, 422, "PushSourceNotFoundException", []string{"ghost"}},
		"to nowhere":      {"/push", object{"push_source_name": "fares", "df": object{}, "to": "moon"}, 400, "FeastError", []string{"online_and_offline"}},
		"uneven":          {"/write-to-online-store", with(func(df object) { df["trips"] = []any{1} }), 400, "FeastError", []string{"trips", "values where"}},
		"no feature's column": {"/write-to-online-store", with(func(df object) { delete(df, "rating"); delete(df, "city") }), 400, "FeastError",
			[]string{"no column for rating of view stats, city of view stats", "as null"}},
		"another view's": {"/write-to-online-store", object{"feature_view_name": "visits", "df": object{"town": []any{"x"}, "visits": []any{1}, "event_timestamp": []any{naive(0)}}}, 400, "FeastError",
			[]string{"driver_id of view fares", "fare of view fares"}},
		"no time":     {"/write-to-online-store", with(func(df object) { delete(df, "event_timestamp") }), 400, "FeastError", []string{"event_timestamp"}},
		"a bad time":  {"/write-to-online-store", with(func(df object) { df["event_timestamp"] = []any{"yesterday", "", nil} }), 400, "FeastError", []string{"row 0", "yesterday"}},
		"a null time": {"/write-to-online-store", with(func(df object) { df["event_timestamp"] = []any{naive(0), naive(0), nil} }), 400, "FeastError", []string{"row 2"}},
		"held back": {"/write-to-online-store", with(func(df object) {
			df["trips"], df["rating"], df["driver_id"] = []any{-1, 5, 6}, []any{1, 9.5, 2}, []any{11, 12, 13}
		}), 422, "FeastError", []string{"2 of 3 rows were held back", "row 0", "expect_column_values_to_be_between(trips)", "got -1", "row 1", "schema.maximum", "weir quarantine list"}},
	} {
		code, out := w.post(c.path, c.body)
		require.Equal(t, c.code, code, "%s: %v", name, out)
		f := out.(object)
		require.Equal(t, "feast.errors", f["module"], name)
		require.Equal(t, c.class, f["class"], name)
		for _, s := range c.says {
			require.Contains(t, f["message"], s, name)
		}
		if name == "held back" {
			require.Equal(t, []any{3.0, 1.0}, []any{f["rows"], f["stored"]})
			require.Len(t, f["held"], 2)
			require.Equal(t, 1.0, f["held"].([]any)[1].(object)["row"])
		}
	}
	// Of those that were written together with bad ones, the good one can be read.
	_, out := w.post("/get-online-features", object{"features": []any{"stats:trips"}, "entities": object{"driver_id": []any{11, 12, 13}}})
	require.Equal(t, []any{"NOT_FOUND", "NOT_FOUND", "OUTSIDE_MAX_AGE"}, out.(object)["results"].([]any)[1].(object)["statuses"])
	// No row: nothing is done.
	code, out := w.post("/write-to-online-store", with(func(df object) {
		for k := range df {
			df[k] = []any{}
		}
	}))
	require.Equal(t, 200, code, out)

	// A project in the path; a key that pandas made a float.
	code, out = w.post("/projects/other/push", object{"push_source_name": "fares", "df": object{"driver_id": []any{1}, "fare": []any{math.MaxInt32}, "event_timestamp": []any{naive(0) + "+00:00"}}})
	require.Equal(t, 200, code, out)
	code, out = w.post("/projects/other/get-online-features", object{"features": []any{"fares:fare"}, "entities": object{"driver_id": []any{1.0}}})
	require.Equal(t, 200, code, out)
	require.Equal(t, []any{float64(math.MaxInt32)}, out.(object)["results"].([]any)[1].(object)["values"])

	code, out = w.post("/materialize", object{"start_ts": "2026-01-01", "end_ts": "2026-02-01"})
	require.Equal(t, 200, code, out)
	require.Equal(t, []any{"fares", "stats", "visits"}, out.(object)["feature_views"])
	code, _ = w.post("/materialize-incremental?async=true", object{"end_ts": "2026-02-01", "feature_views": []any{"stats"}})
	require.Equal(t, 202, code)
	code, _ = w.post("/materialize", object{"feature_views": []any{"ghost"}})
	require.Equal(t, 404, code)
	resp, err := http.Get("http://" + w.app.HTTPAddr() + "/health")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
}

// TestFeastWritesElsewhere: a process that does not ingest answers a write from what the
// worker's commits say, and says what it waits for when none comes in time.
func TestFeastWritesElsewhere(t *testing.T) {
	c := testConfig(t)
	w := start(t, c)
	w.apply(typesManifest)
	at := testConfig(t)
	at.Kafka.Brokers, at.Redis.Addrs = []string{w.app.KafkaAddr()}, []string{w.app.RedisAddr()}
	at.Registry.URL, at.Offline.Catalog, at.Offline.Warehouse = "sqlite:"+filepath.Join(c.DataDir, "catalog.db"), "sqlite:"+filepath.Join(c.DataDir, "tables.db"), filepath.Join(c.DataDir, "tables")
	at.Feast.Partial = true
	front := start(t, at, "serving")
	now := time.Now().UTC().Format("2006-01-02T15:04:05")
	stats := func(trips ...any) object {
		df := object{}
		for _, name := range []string{"rating", "share", "city", "active", "level", "photo", "joined"} {
			df[name] = make([]any, len(trips))
		}
		ids, times, kinds := []any{}, []any{}, []any{}
		for i := range trips {
			ids, times, kinds = append(ids, i), append(times, now), append(kinds, "x")
		}
		df["driver_id"], df["trips"], df["event_timestamp"], df["kind"] = ids, trips, times, kinds
		return df
	}
	for _, p := range []*weir{w, front} {
		for _, to := range []string{"online", "offline"} {
			rows := w.status("default", "stats").Rows
			code, out := p.post("/push", object{"push_source_name": "trips", "to": to, "df": stats(1, -5, 2, 3, -7)})
			require.Equal(t, 422, code, out)
			f := out.(object)
			require.Equal(t, []any{5.0, 3.0}, []any{f["rows"], f["stored"]}, out)
			var bad []any
			for _, h := range f["held"].([]any) {
				bad = append(bad, h.(object)["row"])
				require.Equal(t, "expect_column_values_to_be_between", h.(object)["reasons"].([]any)[0].(object)["rule"])
			}
			require.Equal(t, []any{1.0, 4.0}, bad)
			if to == "offline" {
				require.GreaterOrEqual(t, w.status("default", "stats").Rows, rows+3)
			}
			code, out = p.post("/push", object{"push_source_name": "trips", "to": to, "df": stats(4, 5)})
			require.Equal(t, 200, code, out)
			_, out = p.post("/get-online-features", object{"features": []any{"stats:trips"}, "entities": object{"driver_id": []any{0, 1}}})
			require.Equal(t, []any{4.0, 5.0}, out.(object)["results"].([]any)[1].(object)["values"])
			code, out = p.post("/materialize", object{"feature_views": []any{"stats", "fares"}})
			require.Equal(t, 200, code, out)
		}
	}
	held := w.held("default", "stats")
	require.EqualValues(t, 8, held.Total)
	w.stop()
}

// TestFeastWriteWaits: a write that nobody takes in time is told of as such: accepted, and no more. Where nobody ever will, that is said without waiting.
func TestFeastWriteWaits(t *testing.T) {
	for patience, says := range map[time.Duration]string{300 * time.Millisecond: "weir status", time.Hour: "no worker reads source fares"} {
		c := testConfig(t)
		c.Feast.WriteTimeout = patience
		w := start(t, c, "serving") // nobody ingests
		w.apply(typesManifest)
		df := object{"driver_id": []any{1}, "town": []any{"x"}, "fare": []any{1}, "trips": []any{1}, "visits": []any{1}, "event_timestamp": []any{"2026-01-01T00:00:00"}}
		code, out := w.post("/push", object{"push_source_name": "fares", "df": df})
		require.Equal(t, 202, code, out)
		require.Contains(t, out.(object)["message"], "1 rows are in topic fares and will be checked, but cannot be read yet")
		require.Contains(t, out.(object)["message"], says)
		code, out = w.post("/materialize", object{})
		require.Equal(t, 503, code, out)
		require.Contains(t, out.(object)["message"], "weir status")
		if patience > time.Minute {
			require.Contains(t, out.(object)["message"], says)
		}
		w.stop()
	}
}
