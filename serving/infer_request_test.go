package serving

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestInferenceKeys: join keys as tensors are the vectors that /v1/lookup makes of the same values.
func TestInferenceKeys(t *testing.T) {
	kinds := map[feature.Type][]string{
		feature.Int64: {"INT64", "UINT32", "FP64", "BYTES"}, feature.Int32: {"INT32", "INT16", "FP32", "BYTES"}, feature.String: {"BYTES"},
		feature.Bool: {"BOOL", "BYTES"}, feature.Bytes: {"BYTES"}, feature.Timestamp: {"INT64", "BYTES"},
	}
	values := map[feature.Type][2][]string{ // as they are, and as text
		feature.Int64:     {{"0", "7", "12e2", "null"}, {`"0"`, `"-7"`, `"9223372036854775807"`, "null"}},
		feature.Int32:     {{"0", "1.0", "-5", "null"}, {`"-1"`, `"\u0031"`}},
		feature.String:    {nil, {`""`, `"ä"`, `"\ud83d\ude00\n"`, "null"}},
		feature.Bool:      {{"true", "false", "null"}, {`"true"`, `"false"`}},
		feature.Bytes:     {nil, {`"IsOkCg=="`, `""`, "null"}},
		feature.Timestamp: {{"1700000000000001", "-1", "null"}, {`"2023-11-14T22:13:20.000001Z"`, "null"}},
	}
	var types []feature.Type
	for _, ft := range featureTypes {
		if kinds[ft] != nil {
			types = append(types, ft)
		}
	}
	for seed := range testseed.Each(t, 300) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		rows := rnd.IntN(4)
		var fields []feature.Field
		var tensors, lists []string
		for i := range 1 + rnd.IntN(3) {
			f := feature.Field{Name: fmt.Sprintf("k%d", i), Type: types[rnd.IntN(len(types))]}
			kind := kinds[f.Type][rnd.IntN(len(kinds[f.Type]))]
			from := values[f.Type][0]
			if kind == "BYTES" {
				from = values[f.Type][1]
			}
			var list, nested []string
			for range rows {
				x := from[rnd.IntN(len(from))]
				list, nested = append(list, x), append(nested, "["+x+"]")
			}
			shape, data := fmt.Sprintf("[%d]", rows), list
			if rnd.IntN(2) == 0 {
				shape, data = fmt.Sprintf("[%d, 1]", rows), nested
			}
			fields = append(fields, f)
			tensors = append(tensors, fmt.Sprintf(`{"shape":%s,"data":[%s],"datatype":%q,"name":%q}`, shape, strings.Join(data, ","), kind, f.Name))
			lists = append(lists, fmt.Sprintf(`%q:[%s]`, f.Name, strings.Join(list, ",")))
		}
		rnd.Shuffle(len(tensors), func(i, j int) { tensors[i], tensors[j] = tensors[j], tensors[i] })
		var requests inferRequests
		var lookups httpRequests
		r, l := requests.get(), lookups.get()
		body := `{"inputs":[` + strings.Join(tensors, ",") + `]}`
		require.NoError(t, r.read([]byte(body), -1))
		require.NoError(t, l.read([]byte(`{"service":"s","entities":{`+strings.Join(lists, ",")+`}}`)))
		got, n, err := r.Entities(fields)
		require.NoError(t, err, body)
		want, m, err := l.Entities(fields)
		require.NoError(t, err)
		require.Equal(t, m, n)
		require.Equal(t, want, got)
	}
}

// FuzzInferRequest: no body makes the reader do more than refuse, and none makes it take memory for more than the body holds.
func FuzzInferRequest(f *testing.F) {
	for _, s := range []string{
		`{` + three + `}`, `{"id":"x","inputs":[{"name":"id","shape":[2,1],"datatype":"BYTES","data":[["1"],["2"]]},{"name":"at","shape":[2],"datatype":"INT64","data":[1,2]}],"outputs":[{"name":"*"},{"name":"features","parameters":{"binary_data":true}}],"parameters":{"as":"request","tensor":"x","datatype":"FP32"}}`,
		`{"inputs":[{"name":"id","shape":[2],"datatype":"INT16","parameters":{"binary_data_size":4}},{"name":"at","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":10}}]}` + "\x01\x00\x02\x00\x01\x00\x00\x00a\x01\x00\x00\x00b",
		`{"inputs":[{"name":"id","shape":[99999999999],"datatype":"INT64","data":[]}]}`, "{", "",
	} {
		f.Add([]byte(s), strings.LastIndex(s, "}")+1)
		f.Add([]byte(s), -1)
	}
	view := &feature.View{Meta: feature.Meta{Name: "v"}, Features: []feature.Field{{Name: "a", Type: feature.Int64}, {Name: "b", Type: feature.String}}}
	service := &feature.Service{Version: 1, Views: []*feature.View{view}, Columns: []feature.ServiceColumn{{Name: "a"}, {Feature: 1, Name: "b"}}}
	keys := []feature.Field{{Name: "id", Type: feature.Int64}, {Name: "at", Type: feature.String}}
	var requests inferRequests
	f.Fuzz(func(t *testing.T, body []byte, head int) {
		if head > len(body) || head < -1 { // as the header is read
			return
		}
		r := requests.get()
		defer requests.put(r)
		if r.read(body, head) != nil || r.Suits(service) != nil {
			return
		}
		for _, w := range r.wanted {
			require.True(t, w.column >= -1 && w.column < len(service.Columns))
		}
		v, rows, err := r.Entities(keys)
		if err != nil {
			return
		}
		require.LessOrEqual(t, rows, len(body))
		for i := range v {
			require.Len(t, v[i].Valid, rows)
		}
	})
}
