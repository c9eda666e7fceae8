package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/internal/protoschema"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// The payments of decodetest, as their producers would declare them.
const (
	paymentAvro = `{"type":"record","name":"Payment","fields":[
  {"name":"event_id","type":"long"}, {"name":"customer_id","type":"string"}, {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"amount","type":"double"}, {"name":"items","type":"int"}, {"name":"currency","type":"string"}, {"name":"channel","type":["null","string"]},
  {"name":"country","type":"string"}, {"name":"risk","type":"double"}, {"name":"returning","type":"boolean"}, {"name":"device","type":"string"}]}`
	paymentProto = `syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Payment {
  int64 event_id = 1; string customer_id = 2; google.protobuf.Timestamp ts = 3; double amount = 4; int32 items = 5; string currency = 6;
  optional string channel = 7; string country = 8; double risk = 9; bool returning = 10; string device = 11;
}`
)

// oneSchema is a schema registry with one schema, under any id.
type oneSchema format.Schema

func (s *oneSchema) Schema(context.Context, uint32) (*format.Schema, error) {
	return (*format.Schema)(s), nil
}

// measureFormats takes the same events through decoding, JSON Schema and ten expectations,
// written in each format and behind the head that names their schema.
func measureFormats(ctx context.Context, r *run) error {
	definition, err := tenSuite()
	if err != nil {
		return err
	}
	view := decodetest.View()
	suite, faults := expect.Compile(definition, view.Schema())
	if len(faults) > 0 {
		return feature.JoinFaults(faults)
	}
	var base float64
	for _, f := range []struct {
		name, text string
		encode     func(text string) (func(event []byte) ([]byte, error), error)
	}{
		{feature.FormatJSON, decodetest.Schema, func(string) (func([]byte) ([]byte, error), error) {
			return func(b []byte) ([]byte, error) { return b, nil }, nil
		}},
		{feature.FormatAvro, paymentAvro, avroPayments},
		{feature.FormatProtobuf, paymentProto, protoPayments},
	} {
		encode, err := f.encode(f.text)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		events, size, err := payments(encode)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		source := decodetest.Source()
		source.Format, source.SchemaRegistry = f.name, &feature.SchemaRegistry{Subject: "payments-value"}
		schema := &oneSchema{Type: f.name, Text: f.text, Subjects: []string{"payments-value"}}
		fm, err := format.New(schema, decode.DefaultMaxEventBytes).Of(source)
		if err != nil {
			return err
		}
		if err := fm.Load(ctx, 1); err != nil {
			return err
		}
		dec, err := decode.New(source, []*feature.View{view}, decode.Options{Format: fm})
		if err != nil {
			return err
		}
		const n = 500_000
		var before, after runtime.MemStats
		got, err := rate(func(n int) error { return decodeAll(dec, suite, events, n) }, n, 5)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		runtime.ReadMemStats(&before)
		if err := decodeAll(dec, suite, events, n); err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		note := fmt.Sprintf("%d-byte payloads behind Confluent's head, one goroutine; best round %s; %.2f allocations and %.0f bytes an event, with its share of the columns",
			size, number(got.best), float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n)
		if base == 0 {
			base = got.middle
		} else {
			note += fmt.Sprintf("; %.2f times as many as in JSON", got.middle/base)
		}
		r.add(Line{What: "decode + JSON Schema + ten expectations, events in " + f.name, Value: got.middle, Unit: "events/CPU-s", CPU: 1 / got.middle, CPUUnit: "event", Note: note})
	}
	return nil
}

// payments are the events of decodetest in a format, and their size on average.
func payments(encode func([]byte) ([]byte, error)) (events [][]byte, size int, err error) {
	rng := rand.New(rand.NewPCG(1, 2))
	events = make([][]byte, 8*batchRows)
	for i := range events {
		body, err := encode(decodetest.Event(i, rng))
		if err != nil {
			return nil, 0, err
		}
		events[i] = append(binary.BigEndian.AppendUint32([]byte{0}, 1), body...)
		size += len(events[i])
	}
	return events, size / len(events), nil
}

func avroPayments(text string) (func([]byte) ([]byte, error), error) {
	s, err := avro.Parse(text)
	if err != nil {
		return nil, err
	}
	return func(event []byte) ([]byte, error) {
		var v struct {
			EventID    int64   `json:"event_id" avro:"event_id"`
			CustomerID string  `json:"customer_id" avro:"customer_id"`
			TS         int64   `json:"-" avro:"ts"`
			At         string  `json:"ts" avro:"-"`
			Amount     float64 `json:"amount" avro:"amount"`
			Items      int32   `json:"items" avro:"items"`
			Currency   string  `json:"currency" avro:"currency"`
			Channel    *string `json:"channel" avro:"channel"`
			Country    string  `json:"country" avro:"country"`
			Risk       float64 `json:"risk" avro:"risk"`
			Returning  bool    `json:"returning" avro:"returning"`
			Device     string  `json:"device" avro:"device"`
		}
		if err := json.Unmarshal(event, &v); err != nil {
			return nil, err
		}
		at, err := time.Parse(time.RFC3339Nano, v.At)
		if err != nil {
			return nil, err
		}
		v.TS = at.UnixMilli()
		return s.Encode(&v)
	}, nil
}

func protoPayments(text string) (func([]byte) ([]byte, error), error) {
	file, err := protoschema.Parse(text, nil)
	if err != nil {
		return nil, err
	}
	m, err := protoschema.Message(file, "")
	if err != nil {
		return nil, err
	}
	read := protojson.UnmarshalOptions{}
	return func(event []byte) ([]byte, error) {
		v := dynamicpb.NewMessage(protoreflect.MessageDescriptor(m))
		if err := read.Unmarshal(event, v); err != nil {
			return nil, err
		}
		b, err := proto.Marshal(v)
		return append([]byte{0}, b...), err // the first message of its file
	}, nil
}
