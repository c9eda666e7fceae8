package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// rides is a view of events in Avro. Its schema has a field that older events lack.
const rides = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: rides}
spec:
  topic: rides
  format: avro
  event_schema:
    type: record
    name: Ride
    fields:
      - {name: driver_id, type: long}
      - {name: at, type: {type: long, logicalType: timestamp-millis}}
      - {name: fare, type: {type: bytes, logicalType: decimal, precision: 9, scale: 2}}
      - {name: stops, type: {type: array, items: {type: record, name: Stop, fields: [{name: city, type: string}]}}, default: []}
      - {name: tags, type: {type: array, items: string}, default: [none]}
      - {name: extra, type: {type: record, name: Extra, fields: [{name: rating, type: ["null", float], default: null}]}, default: {}}
  schema_registry: {subject: rides-value}
  schema: {type: object, properties: {fare: {type: number, minimum: 0}}}
  event_time: {field: at}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: rides}
spec:
  source: rides
  entities: [driver]
  features:
    - {name: fare, type: float64}
    - {name: tags, type: array<string>}
    - {name: rating, type: float32, path: extra.rating}
    - {name: happened, type: timestamp, path: at}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model}
spec: {features: ["rides:*"]}
`

// TestAvroOfTheStream: events in Avro go the whole way, from a topic whose schemas a registry has to
// lookups, the table and an audit. What the registry does not know is held back, and replayed once it does.
func TestAvroOfTheStream(t *testing.T) {
	reg := srfake.New()
	defer reg.Close()
	now := avro.MustParse(`{"type":"record","name":"Ride","fields":[{"name":"driver_id","type":"long"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"fare","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},{"name":"tags","type":{"type":"array","items":"string"}},
		{"name":"extra","type":{"type":"record","name":"Extra","fields":[{"name":"rating","type":["null","float"]}]}}]}`)
	old := avro.MustParse(`{"type":"record","name":"Ride","fields":[{"name":"dropped","type":"string"},{"name":"driver_id","type":"int"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"fare","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}`)
	seed := func(id int, s *avro.Schema) { reg.SeedSchema("rides-value", id, id, sr.Schema{Schema: s.String()}) }
	seed(1, old)
	seed(2, now)

	cfg := testConfig(t)
	cfg.SchemaRegistry.URLs = []string{reg.URL()}
	w := start(t, cfg)
	w.apply(rides)
	cl := kafkaClient(t, w.app.KafkaAddr())
	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)
	event := func(id uint32, s *avro.Schema, v map[string]any) *kgo.Record {
		v["at"] = at
		wire, err := s.Encode(v)
		require.NoError(t, err)
		return &kgo.Record{Topic: "rides", Value: append(binary.BigEndian.AppendUint32([]byte{0}, id), wire...)}
	}
	full := func(driver int64, fare []byte) map[string]any {
		return map[string]any{"driver_id": driver, "fare": fare, "tags": []string{"a", "Köln"}, "extra": map[string]any{"rating": float32(4.5)}}
	}
	send(t, cl,
		event(2, now, full(1, []byte{4, 210})),
		event(1, old, map[string]any{"dropped": "x", "driver_id": int32(2), "fare": []byte{1}}),
		event(2, now, full(3, []byte{255})),    // -0.01: the JSON Schema
		event(7, now, full(4, []byte{4, 210})), // an id that is not known yet
		&kgo.Record{Topic: "rides", Value: []byte(`{"driver_id":5}`)},
	)
	w.arrived("default", "rides", 5)
	type answer struct {
		Rows []struct {
			Features map[string]json.RawMessage
			Statuses map[string]string
		}
	}
	lookup := func() (r answer) {
		w.json(&r, "lookup", "--service", "model", "--entity", "driver_id=1", "--entity", "driver_id=2", "--entity", "driver_id=3", "--entity", "driver_id=4", "--entity", "driver_id=5")
		return r
	}
	var got answer
	w.eventually(func() bool {
		got = lookup()
		return got.Rows[0].Statuses["rides"] == "PRESENT" && got.Rows[1].Statuses["rides"] == "PRESENT"
	}, "the rows online")
	require.JSONEq(t, "12.34", string(got.Rows[0].Features["fare"]))
	require.JSONEq(t, `["a","Köln"]`, string(got.Rows[0].Features["tags"]))
	require.JSONEq(t, "4.5", string(got.Rows[0].Features["rating"]))
	require.JSONEq(t, `"`+at.Format(time.RFC3339Nano)+`"`, string(got.Rows[0].Features["happened"]))
	require.JSONEq(t, "0.01", string(got.Rows[1].Features["fare"]))
	require.JSONEq(t, `["none"]`, string(got.Rows[1].Features["tags"]), "the default of what older events lack")
	require.JSONEq(t, "null", string(got.Rows[1].Features["rating"]))
	for i := 2; i < 5; i++ {
		require.Equal(t, "NOT_FOUND", got.Rows[i].Statuses["rides"], i)
	}
	w.run("audit")

	// The registry comes to know the id.
	seed(7, now)
	var res replayed
	w.json(&res, "quarantine", "replay", "--view", "rides", "--rule", "decode")
	require.EqualValues(t, 1, res.Replayed)
	got = lookup()
	require.JSONEq(t, "12.34", string(got.Rows[3].Features["fare"]))
	require.Equal(t, "NOT_FOUND", got.Rows[4].Statuses["rides"])
	w.run("audit")

	// A schema that does not read what there is.
	f := filepath.Join(t.TempDir(), "manifest.yaml")
	broken := strings.Replace(rides, "      - {name: driver_id, type: long}\n", "      - {name: driver_id, type: long}\n      - {name: must, type: string}\n", 1)
	require.NoError(t, os.WriteFile(f, []byte(broken), 0o644))
	code, out, errs := w.try("plan", "-f", f)
	require.Contains(t, out+errs, "record Ride has the field must, which was not written and has no default", code)
	code, _, errs = w.try("apply", "-f", f)
	require.NotZero(t, code)
	require.Contains(t, errs, "--allow-breaking")
	require.NoError(t, os.WriteFile(f, []byte(strings.Replace(rides, "format: avro", "format: xml", 1)), 0o644))
	_, _, errs = w.try("apply", "-f", f)
	require.Contains(t, errs, `"xml" is not supported: use one of [json avro protobuf]`)
}
