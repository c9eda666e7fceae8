package main

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weir-ml/weir/internal/protoschema"
)

// trips are two sources of the same messages: one has its .proto file itself, the other's a registry has.
const trips = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: own}
spec:
  topic: own
  format: protobuf
  message: example.Trip
  event_schema: |
    syntax = "proto3";
    package example;
    import "google/protobuf/timestamp.proto";
    message Other {}
    enum Kind { UNKNOWN = 0; NIGHT = 1; }
    message Trip { int64 driver_id = 1; optional double fare = 2; google.protobuf.Timestamp at = 3; repeated float vec = 4; Kind kind = 5; int64 count = 6; }
  event_time: {field: at}
  schema: {type: object, properties: {fare: {type: number, minimum: 0}}}
---
apiVersion: weir/v1
kind: Source
metadata: {name: registered}
spec: {topic: registered, format: protobuf, schema_registry: {subject: registered-value}, message: example.Trip, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: own}
spec:
  source: own
  entities: [driver]
  features: [{name: fare, type: float64}, {name: vec, type: array<float32>}, {name: kind, type: string}, {name: count, type: int64}]
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: registered}
spec:
  source: registered
  entities: [driver]
  features: [{name: fare, type: float64}, {name: vec, type: array<float32>}, {name: kind, type: string}, {name: count, type: int64}]
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: own}
spec: {features: ["own:*"]}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: registered}
spec: {features: ["registered:*"]}
`

const tripProto = `syntax = "proto3";
package example;
import "google/protobuf/timestamp.proto";
message Other {}
enum Kind { UNKNOWN = 0; NIGHT = 1; }
message Trip { int64 driver_id = 1; optional double fare = 2; google.protobuf.Timestamp at = 3; repeated float vec = 4; Kind kind = 5; int64 count = 6; }`

// TestProtobufOfTheStream: events in Protocol Buffers go the whole way, from a topic to lookups, the
// table and an audit, by a .proto file of the source's own and by a registry's.
func TestProtobufOfTheStream(t *testing.T) {
	reg := srfake.New()
	defer reg.Close()
	reg.SeedSchema("registered-value", 1, 3, sr.Schema{Schema: tripProto, Type: sr.TypeProtobuf})
	cfg := testConfig(t)
	cfg.SchemaRegistry.URLs = []string{reg.URL()}
	w := start(t, cfg)
	w.apply(trips)
	file, err := protoschema.Parse(tripProto, nil)
	require.NoError(t, err)
	m, err := protoschema.Message(file, "example.Trip")
	require.NoError(t, err)
	at := time.Now().Add(-time.Minute)
	trip := func(driver int64, fare float64, full bool) []byte {
		x := dynamicpb.NewMessage(m)
		f := m.Fields()
		x.Set(f.ByName("driver_id"), protoreflect.ValueOfInt64(driver))
		when := x.Mutable(f.ByName("at")).Message()
		when.Set(when.Descriptor().Fields().ByNumber(1), protoreflect.ValueOfInt64(at.Unix()))
		if full {
			x.Set(f.ByName("fare"), protoreflect.ValueOfFloat64(fare))
			x.Mutable(f.ByName("vec")).List().Append(protoreflect.ValueOfFloat32(0.1))
			x.Set(f.ByName("kind"), protoreflect.ValueOfEnum(1))
			x.Set(f.ByName("count"), protoreflect.ValueOfInt64(1<<53+1))
		}
		wire, err := proto.Marshal(x)
		require.NoError(t, err)
		return wire
	}
	head := func(event []byte, place ...byte) []byte {
		return append(append(binary.BigEndian.AppendUint32([]byte{0}, 3), place...), event...)
	}
	cl := kafkaClient(t, w.app.KafkaAddr())
	for _, value := range [][]byte{trip(1, 9.5, true), trip(2, 0, false), trip(3, -1, true), []byte("nonsense")} {
		send(t, cl, &kgo.Record{Topic: "own", Value: value})
	}
	for _, value := range [][]byte{head(trip(1, 9.5, true), 2, 2), head(trip(2, 0, false), 2, 2), head(trip(3, 1, true), 0), trip(4, 1, true)} {
		send(t, cl, &kgo.Record{Topic: "registered", Value: value})
	}
	w.arrived("default", "own", 4)
	w.arrived("default", "registered", 4)
	type answer struct {
		Rows []struct {
			Features map[string]json.RawMessage
			Statuses map[string]string
		}
	}
	for _, view := range []string{"own", "registered"} {
		var got answer
		w.eventually(func() bool {
			w.json(&got, "lookup", "--service", view, "--entity", "driver_id=1", "--entity", "driver_id=2", "--entity", "driver_id=3")
			return got.Rows[0].Statuses[view] == "PRESENT" && got.Rows[1].Statuses[view] == "PRESENT"
		}, "the rows online")
		for name, want := range map[string][2]string{"fare": {"9.5", "null"}, "vec": {"[0.1]", "[]"}, "kind": {`"NIGHT"`, `"UNKNOWN"`}, "count": {"9007199254740993", "0"}} {
			for i := range want { // digit for digit: JSONEq would take numbers for floats
				require.Equal(t, want[i], strings.Join(strings.Fields(string(got.Rows[i].Features[name])), ""), name)
			}
		}
		require.Equal(t, "NOT_FOUND", got.Rows[2].Statuses[view], view)
	}
	w.run("audit")
}
