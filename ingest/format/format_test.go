package format_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/registry/feature"
)

type registry map[uint32]*format.Schema

func (r registry) Schema(_ context.Context, id uint32) (*format.Schema, error) {
	if s := r[id]; s != nil {
		return s, nil
	}
	return nil, feature.Errorf(feature.NotFound, "test", "registry", "no schema %d", id)
}

const rideProto = `syntax = "proto3"; package a; import "city.proto"; message Other { message Ride { int64 id = 1; geo.City city = 2; } } message Ride { string name = 1; }`

// TestProtobufPlaces: the message of an event is found by its place in the file, as Confluent's
// serializers write it; a payload whose place is none is refused.
func TestProtobufPlaces(t *testing.T) {
	reg := registry{
		1: {Type: "protobuf", Text: rideProto, Subjects: []string{"s"}, References: []format.Reference{{Name: "city.proto", Text: `syntax = "proto3"; package geo; message City { string name = 1; }`}}},
		2: {Type: "protobuf", Text: rideProto, Subjects: []string{"s"}}, // without what it imports
	}
	source := &feature.Source{Format: "protobuf", SchemaRegistry: &feature.SchemaRegistry{Subject: "s"}}
	read := func(source *feature.Source, payload ...byte) (string, error) {
		f, err := format.New(reg, 1<<10).Of(source)
		require.NoError(t, err)
		if id, missing := f.Missing(payload); missing {
			require.NoError(t, f.Load(t.Context(), id))
		}
		out, err := f.AppendJSON([]byte("x"), payload)
		require.Equal(t, "x", string(out[:1]))
		return string(out[1:]), err
	}
	for _, c := range []struct {
		payload []byte
		want    string // or "!" and a part of the reason
	}{
		{[]byte{0, 0, 0, 0, 1, 2, 2, 10, 1, 'x'}, `{"name":"x"}`},                           // [1]
		{[]byte{0, 0, 0, 0, 1, 4, 0, 0, 8, 7}, `{"id":7}`},                                  // [0 0]
		{[]byte{0, 0, 0, 0, 1, 4, 0, 0, 18, 3, 10, 1, 'y'}, `{"id":0,"city":{"name":"y"}}`}, // with what it imports
		{[]byte{0, 0, 0, 0, 1, 0}, `{}`},                                                    // the first
		{[]byte{0, 0, 0, 0, 1, 2, 8}, `!no message at [4]`},
		{[]byte{0, 0, 0, 0, 1, 4, 2, 0}, `!no message at [1 0]`},
		{[]byte{0, 0, 0, 0, 1, 1}, `!place of its message`},
		{[]byte{0, 0, 0, 0, 1, 255}, `!place of its message`},
		{[]byte{0, 0, 0, 0, 1}, `!place of its message`},
		{[]byte{0, 0, 0, 0, 1, 4}, `!place of its message`},
		{[]byte{0, 0, 0, 0, 2, 0}, `!city.proto`},
		{[]byte{0, 0, 0, 0, 3, 0}, `!knows no id 3`},
		{[]byte{1, 0, 0, 0, 1, 0}, `!begins with a zero byte`},
	} {
		got, err := read(source, c.payload...)
		if c.want[0] == '!' {
			require.ErrorContains(t, err, c.want[1:], "%v", c.payload)
			continue
		}
		require.NoError(t, err, "%v", c.payload)
		require.Equal(t, c.want, got)
	}
	named := *source
	named.Message = "a.Other.Ride"
	_, err := read(&named, 0, 0, 0, 0, 1, 2, 2, 10, 1, 'x')
	require.ErrorContains(t, err, "a message a.Other.Ride, this is a a.Ride")
	got, err := read(&named, 0, 0, 0, 0, 1, 4, 0, 0, 8, 7)
	require.NoError(t, err)
	require.Equal(t, `{"id":7}`, got)
}

// TestInline: sources with a schema of their own, and what is wrong with some.
func TestInline(t *testing.T) {
	text := func(s string) json.RawMessage { b, _ := json.Marshal(s); return b }
	f, err := format.New(nil, 1<<10).Of(&feature.Source{Format: "protobuf", EventSchema: text(`syntax = "proto3"; message A {} message B { bool b = 1; }`), Message: "B"})
	require.NoError(t, err)
	out, err := f.AppendJSON(nil, []byte{8, 1})
	require.NoError(t, err)
	require.Equal(t, `{"b":true}`, string(out))
	for _, s := range []feature.Source{
		{Format: "protobuf", EventSchema: []byte(`{}`)},
		{Format: "protobuf", EventSchema: text(`message A {`)},
		{Format: "protobuf", EventSchema: text(`syntax = "proto3"; message A {}`), Message: "B"},
		{Format: "avro", EventSchema: []byte(`"int"`)},
		{Format: "avro", EventSchema: []byte(`{"type":"record","name":"r","fields":[{"name":"a","type":"int","default":"x"}]}`)},
	} {
		require.Error(t, format.Check(&s), "%s", s.EventSchema)
	}
	_, err = format.New(nil, 1<<10).Of(&feature.Source{SchemaRegistry: &feature.SchemaRegistry{Subject: "s"}})
	require.ErrorContains(t, err, "none is configured")
	// JSON behind Confluent's head.
	f, err = format.New(registry{9: {Type: "json", Text: "{}", Subjects: []string{"s"}}}, 1<<10).Of(&feature.Source{SchemaRegistry: &feature.SchemaRegistry{Subject: "s"}})
	require.NoError(t, err)
	require.NoError(t, f.Load(t.Context(), 9))
	out, err = f.AppendJSON(nil, []byte("\x00\x00\x00\x00\x09{}"))
	require.NoError(t, err)
	require.Equal(t, "{}", string(out))
}
