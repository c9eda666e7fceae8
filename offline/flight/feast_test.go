package flight

import (
	"encoding/json"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// call is a command as the SDK writes it.
func call(t *testing.T, api string, args map[string]any) *arrowflight.FlightDescriptor {
	t.Helper()
	all := map[string]any{"command_id": "8c1f", "api": api}
	for k, v := range args {
		all[k] = v
	}
	b, err := json.Marshal(all)
	require.NoError(t, err)
	return forCommand(string(b))
}

func history1(change map[string]any) map[string]any {
	args := map[string]any{"feature_view_names": []string{"numbers"}, "feature_refs": []string{"numbers:double"}, "project": "maths",
		"full_feature_names": false, "name_aliases": []any{nil}}
	for k, v := range change {
		args[k] = v
	}
	return args
}

func TestFeast(t *testing.T) {
	b := serve(t)
	schema, recs := spineOf(1000, 300)
	const api = "get_historical_features"
	r, err := b.exchange(t.Context(), call(t, api, history1(nil)), schema, recs)
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.rows)
	require.Equal(t, "double", r.schema.Field(2).Name)
	require.Equal(t, "maths", b.trainer.last.Project)
	require.True(t, b.trainer.last.Unrecorded)
	require.Equal(t, feature.KnownClock, b.trainer.last.Clock)

	// By an alias, under its full name, in the way of older SDKs; of a project that Weir does not have.
	d := call(t, api, history1(map[string]any{"name_aliases": []any{"n2"}, "feature_refs": []string{"n2:double"}, "full_feature_names": true, "project": "somebody"}))
	_, err = b.client.GetFlightInfo(t.Context(), d)
	require.ErrorContains(t, err, "none waits")
	require.NoError(t, b.put(t.Context(), d, schema, recs))
	r, err = b.get(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, "n2__double", r.schema.Field(2).Name)
	require.Equal(t, "default", b.trainer.last.Project)
	require.EqualValues(t, 1998, r.doubles[999])

	for _, c := range []struct {
		api    string
		change map[string]any
		says   string
	}{
		{api, map[string]any{"feature_view_names": []string{"letters"}}, `FeatureViewNotFoundException`},
		{api, map[string]any{"feature_refs": []string{"on_demand:sum"}}, "on demand"},
		{api, map[string]any{"feature_refs": []string{"double"}}, "not view:feature"},
		{api, map[string]any{"feature_refs": []string{}}, "no feature"},
		{api, map[string]any{"feature_refs": 1}, "may not be of type number"},
		{api, map[string]any{"feature_refs": []string{"numbers:double", "numbers:double"}}, "full_feature_names"},
		{api, map[string]any{"entity_df_sql": "SELECT 1"}, "SQL"},
		{api, map[string]any{"start_date": "2026-01-01T00:00:00"}, "a range of time"},
		{api, map[string]any{"sideways": true}, "sideways"},
		{api, map[string]any{"feature_view_names": []string{"numbers", "numbers"}, "name_aliases": []string{"a", "b"}, "feature_refs": []string{"a:double", "b:double"}}, "asked for twice"},
		{"persist", nil, "weir snapshot"},
		{"pull_latest_from_table_or_query", nil, "weir materialize"},
		{"pull_all_from_table_or_query", nil, "Iceberg"},
		{"offline_write_batch", nil, "Kafka"},
		{"something_new", nil, "get_historical_features"},
	} {
		_, err := b.exchange(t.Context(), call(t, c.api, history1(c.change)), schema, recs)
		require.ErrorContains(t, err, c.says)
	}
	for _, api := range []string{"persist", "offline_write_batch", "write_logged_features"} {
		require.ErrorContains(t, b.put(t.Context(), call(t, api, nil), schema, recs), "Weir does not do this")
	}
	require.NoError(t, b.put(t.Context(), call(t, "validate_data_source", map[string]any{"data_source_proto": "{}"}), schema, recs))
	require.Zero(t, b.room())
}

// TestFeastTimes finds the column of row times, and names what stands in the way.
func TestFeastTimes(t *testing.T) {
	at := &arrow.TimestampType{Unit: arrow.Nanosecond}
	field := func(name string, t arrow.DataType) arrow.Field { return arrow.Field{Name: name, Type: t} }
	n := field("n", arrow.PrimitiveTypes.Int64)
	for want, fields := range map[string][]arrow.Field{
		"event_timestamp": {n, field("a", at), field("event_timestamp", arrow.BinaryTypes.String)},
		"when":            {n, field("when", at)},
	} {
		got, err := entityTime(arrow.NewSchema(fields, nil))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, fields := range [][]arrow.Field{{n}, {n, field("a", at), field("b", at)}} {
		_, err := entityTime(arrow.NewSchema(fields, nil))
		require.ErrorContains(t, err, "event_timestamp")
	}
	b := serve(t)
	schema := arrow.NewSchema([]arrow.Field{n, field("event_timestamp", at), field("double", arrow.PrimitiveTypes.Int64)}, nil)
	_, err := b.exchange(t.Context(), call(t, "get_historical_features", history1(nil)), schema, nil)
	require.ErrorContains(t, err, "entity_df has a column of this name")
}

// TestFeastColumns: the types as pyarrow calls them, which is what the SDK reads.
func TestFeastColumns(t *testing.T) {
	b := serve(t)
	const api = "get_table_column_names_and_types_from_data_source"
	schema, recs := spineOf(1, 1)
	s, err := b.client.DoExchange(t.Context())
	require.NoError(t, err)
	require.NoError(t, sendAll(s, call(t, api, map[string]any{"data_source_proto": `{"type":"BATCH_FILE","name":"numbers","project":"maths","timestampField":"at"}`}), schema, recs))
	r, err := arrowflight.NewRecordReader(s)
	require.NoError(t, err)
	defer r.Release()
	require.True(t, r.Next())
	var got [][2]string
	for i := range int(r.RecordBatch().NumRows()) {
		got = append(got, [2]string{r.RecordBatch().Column(0).(*array.String).Value(i), r.RecordBatch().Column(1).(*array.String).Value(i)})
	}
	require.Equal(t, [][2]string{{"n", "int64"}, {"double", "int64"}, {"at", "timestamp[us, tz=UTC]"}}, got)
	require.False(t, r.Next())
	_, err = b.exchange(t.Context(), call(t, api, map[string]any{"data_source_proto": `{"name":"x"}`}), schema, recs)
	require.ErrorContains(t, err, "give the feature view in Feast a schema")
	for typ, want := range map[feature.Type]string{feature.Array(feature.Float32): "list<item: float>", feature.Array(feature.String): "list<item: string>",
		feature.Array(feature.Timestamp): "list<item: timestamp[us, tz=UTC]>", feature.Array(feature.Bytes): "list<item: binary>"} {
		require.Equal(t, want, arrowName(typ.Exchange()))
	}
}
