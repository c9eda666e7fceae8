package feature_test

import (
	"strings"
	"testing"

	"github.com/weir-ml/weir/registry/feature"
)

func TestArraysForPeople(t *testing.T) {
	for elem, want := range map[feature.Type]string{
		feature.Bool: "[true, false, true]", feature.Int32: "[-2147483648, 0, 7]",
		feature.Int64: "[-9223372036854775808, -1, 9223372036854775807]", feature.Float32: "[-0.5, 0, +Inf]", feature.Float64: "[-0, 1e+300, -1]",
		feature.String: `["a", "", "` + strings.Repeat("long", 20), feature.Bytes: "[YQ==, , bG9uZ2",
	} {
		v := elements(elem)
		var packed []byte
		for i := range v.Valid {
			packed = feature.AppendElement(packed, &v, i)
		}
		if got := feature.ArrayText(feature.Array(elem), packed); !strings.HasPrefix(got, want) || len(got) > 128+len("…") {
			t.Errorf("%s: %s, want %s", elem, got, want)
		}
	}
	v := feature.Vector{Type: feature.Timestamp, Int64s: []int64{1_500_000}}
	if got := feature.ArrayText(feature.Array(feature.Timestamp), feature.AppendElement(nil, &v, 0)); got != "[1970-01-01T00:00:01.5Z]" {
		t.Error(got)
	}
	if got := feature.ArrayText(feature.Array(feature.Float32), nil); got != "[]" {
		t.Error(got)
	}
	if got := feature.ArrayText(feature.Array(feature.Float32), []byte("abc")); !strings.Contains(got, "not the packed form") {
		t.Error(got)
	}
}
