package compat_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/compat"
)

func TestProtobuf(t *testing.T) {
	schema := func(body string) compat.Schema {
		text, _ := json.Marshal(`syntax = "proto3"; enum E { Z = 0; ` + body)
		return compat.Schema{Format: "protobuf", Text: text, Message: "M"}
	}
	for _, c := range []struct {
		name, policy, was, now, why string
	}{
		{"new field", "full", `} message M { int32 a = 1; }`, `} message M { int32 a = 1; string b = 2; }`, ""},
		{"field gone", "full", `} message M { int32 a = 1; string b = 2; }`, `} message M { int32 a = 1; }`, ""},
		{"wider", "backward", `} message M { int32 a = 1; }`, `} message M { int64 a = 1; }`, ""},
		{"narrower", "backward", `} message M { int64 a = 1; }`, `} message M { int32 a = 1; }`, "a: it was int64 and would be int32"},
		{"another type", "backward", `} message M { int64 a = 1; }`, `} message M { string a = 1; }`, "a: it was int64 and would be string"},
		{"zigzag", "backward", `} message M { int64 a = 1; }`, `} message M { sint64 a = 1; }`, "would be sint64"},
		{"renamed", "backward", `} message M { int64 a = 1; }`, `} message M { int64 b = 1; }`, "b: number 1 was called a"},
		{"renumbered", "backward", `} message M { int64 a = 1; }`, `} message M { int64 a = 2; }`, "a: it was number 1 and would be number 2"},
		{"a list", "backward", `} message M { int64 a = 1; }`, `} message M { repeated int64 a = 1; }`, "it was single and would be repeated"},
		{"inside", "backward", `} message N { int64 x = 1; } message M { map<string, N> a = 1; }`, `} message N { string x = 1; } message M { map<string, N> a = 1; }`, "a{}.x: it was int64"},
		{"enum", "backward", `ONE = 1; } message M { E e = 1; }`, `} message M { E e = 1; }`, "no value ONE = 1 any more"},
		{"enum grows", "backward", `} message M { E e = 1; M m = 2; }`, `ONE = 1; } message M { E e = 1; M m = 2; }`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			why, err := compat.Check(c.policy, schema(c.now), []compat.Schema{schema(c.was)})
			require.NoError(t, err)
			if c.why == "" {
				require.Empty(t, why)
				return
			}
			require.Len(t, why, 1)
			require.Contains(t, why[0], c.why)
		})
	}
}
