package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	feastserving "github.com/weir-ml/weir/proto/feast/serving"
	feasttypes "github.com/weir-ml/weir/proto/feast/types"
)

const servedListsManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: lists}
spec: {topic: lists, event_time: {field: event_timestamp}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: lists}
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
    - {name: y, type: array<bytes>}
    - {name: t, type: array<timestamp>}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: lists}
spec: {features: ["lists:*"]}
`

// TestArraysAreServed: lists that are written over Feast's call become arrays, which every
// wire gives back as they were; one with a null in it is held back with its reason.
func TestArraysAreServed(t *testing.T) {
	c := testConfig(t)
	c.Ingest.FlushInterval = time.Hour // what is read does not wait for commits
	w := start(t, c)
	w.apply(servedListsManifest)
	at := time.Now().UTC().Format("2006-01-02T15:04:05")
	frame := func(ids []any, rows ...[]any) object {
		df := object{"driver_id": ids, "event_timestamp": []any{}}
		for range ids {
			df["event_timestamp"] = append(df["event_timestamp"].([]any), at)
		}
		for i, name := range []string{"b", "i", "l", "f", "d", "s", "y", "t"} {
			col := []any{}
			for _, r := range rows {
				col = append(col, r[i])
			}
			df[name] = col
		}
		return object{"feature_view_name": "lists", "df": df}
	}
	empty, nulls := make([]any, 8), make([]any, 8)
	for i := range empty {
		empty[i] = []any{}
	}
	full := []any{[]any{true, false}, []any{-3, 2.0}, []any{json.Number("9007199254740993")}, []any{0.1, 2}, []any{0.5, 1e300}, []any{"Köln \"1\"\n", ""}, []any{"AAE=", ""}, []any{1700000000, "2024-01-02T03:04:05"}}
	code, out := w.post("/write-to-online-store", frame([]any{1, 2, 3}, full, empty, nulls))
	require.Equal(t, 200, code, out)
	bad := append([]any{}, full...)
	bad[3] = []any{0.5, nil}
	code, out = w.post("/write-to-online-store", frame([]any{11, 12}, bad, full))
	require.Equal(t, 422, code)
	text, err := json.Marshal(out)
	require.NoError(t, err)
	require.Contains(t, string(text), "1 of 2 rows were held back (row 0, view lists: ")
	require.Contains(t, string(text), "(f[1])")

	var r struct {
		Rows []struct {
			Features map[string]json.RawMessage
			Statuses map[string]string
		}
	}
	w.json(&r, "lookup", "--service", "lists", "--entity", "driver_id=1", "--entity", "driver_id=2", "--entity", "driver_id=3", "--entity", "driver_id=12", "--entity", "driver_id=11")
	want := map[string]string{"b": `[true,false]`, "i": `[-3,2]`, "l": `[9007199254740993]`, "f": `[0.1,2]`, "d": `[0.5,1e+300]`, "s": `["Köln \"1\"\n",""]`, "y": `["AAE=",""]`, "t": `["2023-11-14T22:13:20Z","2024-01-02T03:04:05Z"]`}
	for name, x := range want {
		for i, x := range []string{x, `[]`, `null`, x, `null`} {
			require.JSONEq(t, x, string(r.Rows[i].Features[name]), "%s of row %d", name, i)
		}
	}
	require.Equal(t, "NOT_FOUND", r.Rows[4].Statuses["lists"])
	require.Contains(t, w.run("lookup", "--service", "lists", "--entity", "driver_id=1"), `["AAE=",""]`)

	code, out = w.post("/v1/lookup", object{"service": "lists", "entities": object{"driver_id": []any{1, 2, 3, 4}}})
	require.Equal(t, 200, code, out)
	for _, c := range out.(object)["columns"].([]any) {
		name, values := c.(object)["name"].(string), c.(object)["values"].([]any)
		first, err := json.Marshal(values[0])
		require.NoError(t, err)
		require.JSONEq(t, want[name], string(first))
		require.Equal(t, []any{[]any{}, nil, nil}, values[1:])
	}

	// Feast's times are whole seconds.
	code, out = w.post("/get-online-features", object{"feature_service": "lists", "entities": object{"driver_id": []any{1, 2, 3, 4}}})
	require.Equal(t, 200, code, out)
	names := out.(object)["metadata"].(object)["feature_names"].([]any)
	inFeast := map[string]string{"t": `[1700000000,1704164645]`, "f": `[0.10000000149011612,2]`}
	for i, r := range out.(object)["results"].([]any)[1:] {
		name, values := names[i+1].(string), r.(object)["values"].([]any)
		first, err := json.Marshal(values[0])
		require.NoError(t, err)
		if inFeast[name] == "" {
			inFeast[name] = want[name]
		}
		require.JSONEq(t, inFeast[name], string(first), name)
		require.Equal(t, []any{[]any{}, nil, nil}, values[1:])
		require.Equal(t, []any{"PRESENT", "PRESENT", "NULL_VALUE", "NOT_FOUND"}, r.(object)["statuses"])
	}
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	resp, err := feastserving.NewServingServiceClient(conn).GetOnlineFeatures(context.Background(), &feastserving.GetOnlineFeaturesRequest{
		Kind:     &feastserving.GetOnlineFeaturesRequest_FeatureService{FeatureService: "lists"},
		Entities: map[string]*feasttypes.RepeatedValue{"driver_id": {Val: []*feasttypes.Value{{Val: &feasttypes.Value_Int64ListVal{Int64ListVal: &feasttypes.Int64List{Val: []int64{1, 2, 3}}}}}}}})
	require.NoError(t, err)
	fields := map[string]string{"b": `{"boolListVal":{"val":[true,false]}}`, "i": `{"int32ListVal":{"val":[-3,2]}}`, "l": `{"int64ListVal":{"val":["9007199254740993"]}}`, "f": `{"floatListVal":{"val":[0.1,2]}}`,
		"d": `{"doubleListVal":{"val":[0.5,1e300]}}`, "s": `{"stringListVal":{"val":["Köln \"1\"\n",""]}}`, "y": `{"bytesListVal":{"val":["AAE=",""]}}`, "t": `{"unixTimestampListVal":{"val":["1700000000","1704164645"]}}`}
	for i, name := range resp.Metadata.FeatureNames.Val[1:] {
		values := resp.Results[i+1].Values
		got, err := protojson.Marshal(values[0])
		require.NoError(t, err)
		require.JSONEq(t, fields[name], string(got))
		require.NotNil(t, values[1].Val, "an empty list is one")
		require.Nil(t, values[2].Val)
	}
	w.run("audit")
}
