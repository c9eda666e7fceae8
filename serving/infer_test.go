package serving

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// newInference is the web with a service whose features one tensor can hold, and one with embeddings.
func newInference(t *testing.T, change func(*Config)) *web {
	w := newWeb(t, change)
	emb := &feature.View{Meta: feature.Meta{Name: "looks"}, Source: "billing", Entities: []string{"customer"},
		Features: []feature.Field{{Name: "face", Type: feature.Array(feature.Float32)}, {Name: "tags", Type: feature.Array(feature.String)}}}
	w.apply(emb,
		&feature.Service{Meta: feature.Meta{Name: "numbers"}, Features: []string{"profile:f_bool", "profile:f_int32", "profile:f_int64", "profile:f_float32", "profile:f_float64", "profile:f_timestamp"}},
		&feature.Service{Meta: feature.Meta{Name: "looks"}, Features: []string{"looks:*"}})
	return w
}

// call sends a request and holds the answer against what the description says of its status. The
// template is the path as the description has it.
func (w *web) call(method, template, path string, body io.Reader, header ...string) (int, string, http.Header) {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, body)
	require.NoError(w.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	status := strconv.Itoa(resp.StatusCode)
	w.told[status] = true
	described := w.paths[template][strings.ToLower(method)].(map[string]any)["responses"].(map[string]any)
	require.Contains(w.t, described, status, "a status that is not described: %s", b)
	text := string(b)
	if n := resp.Header.Get(binaryHeader); n != "" {
		require.Equal(w.t, "application/octet-stream", resp.Header.Get("Content-Type"))
		head, err := strconv.Atoi(n)
		require.NoError(w.t, err)
		text = text[:head]
	} else {
		require.Equal(w.t, "application/json", resp.Header.Get("Content-Type"))
	}
	at := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(template)
	s, err := w.schemas.Compile("https://weir.test/openapi.json#/paths/" + at + "/" + strings.ToLower(method) + "/responses/" + status + "/content/application~1json/schema")
	require.NoError(w.t, err)
	require.NoError(w.t, w.validBy(s, text), text)
	return resp.StatusCode, string(b), resp.Header
}

const inferPath = "/v2/models/{service}/infer"

// infer asks a service.
func (w *web) infer(service, body string, header ...string) (int, string) {
	w.t.Helper()
	status, got, _ := w.call("POST", inferPath, "/v2/models/"+service+"/infer", strings.NewReader(body), header...)
	return status, got
}

// someValues fills three rows: all there, every other null, not there.
func someValues(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
	_ = present(ctx, s, keys, rows, b)
	for i := range b.Columns {
		v := &b.Columns[i].Vector
		v.Valid[1], v.Valid[2] = i%2 == 0, false
		switch v.Type {
		case feature.Bool:
			v.Bools[0] = true
		case feature.Int32:
			v.Int32s[0] = -1
		case feature.Int64:
			v.Int64s[0] = math.MaxInt64
		case feature.Timestamp:
			v.Int64s[0] = 1_700_000_000_000_001
		case feature.Float32:
			v.Float32[0], v.Float32[1] = 0.1, float32(math.Inf(-1))
		case feature.Float64:
			v.Float64[0], v.Float64[1] = 1e300, math.NaN()
		case feature.Array(feature.Float32):
			for _, x := range []float32{0.5, -2} {
				v.Bytes[0] = binary.LittleEndian.AppendUint32(v.Bytes[0], math.Float32bits(x))
			}
			v.Valid[1] = false
		case feature.Array(feature.String):
			v.Valid[0] = false
		default:
			v.Bytes[0] = []byte("\"ä\n")
		}
	}
	b.Views[0].Status[1], b.Views[0].Status[2], b.Views[0].EventTime[2] = feature.OutsideMaxAge, feature.NotFoundStatus, 0
	return nil
}

const three = `"inputs":[{"name":"id","datatype":"INT64","shape":[3],"data":[7,8,null]}]`

// TestInference: one tensor of all features, a tensor a feature, and requests for a model server, by the letter.
func TestInference(t *testing.T) {
	w := newInference(t, nil)
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		require.Equal(t, []int64{7, 8, 0}, keys[0].Int64s)
		require.Equal(t, []bool{true, true, false}, keys[0].Valid)
		return someValues(ctx, s, keys, rows, b)
	}
	cat, _ := w.reg.Current(context.Background())
	head := fmt.Sprintf(`{"model_name":"numbers","model_version":"1","parameters":{"catalog_revision":%d,"partial":false},"outputs":[`, cat.Revision())
	// A float32 has all its digits: it is the number that a model was trained on. A whole number is the nearest float.
	matrix := `[1,-1,9223372036854776000,0.10000000149011612,1e+300,1700000000000001,0,null,0,null,null,null,null,null,null,null,null,null]`
	for body, want := range map[string]string{
		`{` + three + `}`: head + `{"name":"features","datatype":"FP64","shape":[3,6],"data":` + matrix + `}]}`,
		`{"id":"a\"b",` + strings.Replace(three, `"shape":[3],"data":[7,8,null]`, `"shape":[3,1],"data":[[7],[8],[null]]`, 1) + `,"parameters":{"tensor":"input-0","datatype":"FP32","other":{"x":[1]}}}`: strings.Replace(head, `"parameters"`, `"id":"a\"b","parameters"`, 1) +
			`{"name":"input-0","datatype":"FP32","shape":[3,6],"data":[1,-1,9223372000000000000,0.1,"Infinity",1700000000000000,0,null,0,null,null,null,null,null,null,null,null,null]}]}`,
		`{"parameters":{"as":"request"},"id":"7",` + three + `}`: `{"id":"7","inputs":[{"name":"features","datatype":"FP64","shape":[3,6],"data":` + matrix + `}]}`,
		`{` + three + `,"outputs":[{"name":"f_timestamp"},{"name":"f_bool","parameters":{"x":1}},{"name":"f_int64","parameters":{"datatype":"FP64"}},{"name":"f_float32"}],"parameters":{"include_statuses":true,"include_event_times":true}}`: head +
			`{"name":"f_timestamp","datatype":"INT64","shape":[3],"parameters":{"nulls":2},"data":[1700000000000001,null,null]},` +
			`{"name":"f_bool","datatype":"BOOL","shape":[3],"parameters":{"nulls":1},"data":[true,false,null]},` +
			`{"name":"f_int64","datatype":"FP64","shape":[3],"parameters":{"nulls":1},"data":[9223372036854776000,0,null]},` +
			`{"name":"f_float32","datatype":"FP32","shape":[3],"parameters":{"nulls":2},"data":[0.1,null,null]},` +
			`{"name":"status:profile","datatype":"BYTES","shape":[3],"parameters":{"content_type":"str"},"data":["PRESENT","OUTSIDE_MAX_AGE","NOT_FOUND"]},` +
			`{"name":"event_time:profile","datatype":"INT64","shape":[3],"data":[1000,1001,null]}]}`,
		`{` + three + `,"outputs":[{"name":"f_int32"},{"name":"f_float64"}],"parameters":{"as":"request"}}`: `{"parameters":{"content_type":"pd"},"inputs":[` +
			`{"name":"f_int32","datatype":"INT32","shape":[3],"parameters":{"nulls":2},"data":[-1,null,null]},` +
			`{"name":"f_float64","datatype":"FP64","shape":[3],"parameters":{"nulls":1},"data":[1e+300,null,null]}]}`,
		`{` + three + `,"outputs":[{"name":"f_int64"},{"name":"features","parameters":{"datatype":"FP32"}}],"parameters":{"include_validity":true}}`: head +
			`{"name":"f_int64","datatype":"INT64","shape":[3],"parameters":{"nulls":1},"data":[9223372036854775807,0,null]},` +
			`{"name":"features","datatype":"FP32","shape":[3,6],"data":[1,-1,9223372000000000000,0.1,"Infinity",1700000000000000,0,null,0,null,null,null,null,null,null,null,null,null]},` +
			`{"name":"valid:f_int64","datatype":"BOOL","shape":[3],"data":[true,true,false]},` +
			`{"name":"valid:features","datatype":"BOOL","shape":[3,6],"data":[true,true,true,true,true,true,true,false,true,false,true,false,false,false,false,false,false,false]}]}`,
		`{` + three + `,"outputs":[]}`: head + `{"name":"features","datatype":"FP64","shape":[3,6],"data":` + matrix + `}]}`,
	} {
		require.NoError(t, w.valid("InferenceRequest", body), body)
		status, got := w.infer("numbers", body)
		require.Equal(t, 200, status, got)
		require.Equal(t, want+"\n", got)
	}
	// Texts and arrays have tensors of their own.
	_, got := w.infer("churn", `{`+three+`,"outputs":[{"name":"f_string"},{"name":"f_bytes"}]}`)
	require.Contains(t, got, `{"name":"f_string","datatype":"BYTES","shape":[3],"parameters":{"content_type":"str","nulls":2},"data":["\"ä\n",null,null]}`)
	require.Contains(t, got, `{"name":"f_bytes","datatype":"BYTES","shape":[3],"parameters":{"content_type":"base64","nulls":1},"data":["IsOkCg==","",null]}`)
	_, got = w.infer("looks", `{`+three+`,"outputs":[{"name":"*"}]}`)
	require.Contains(t, got, `{"name":"face","datatype":"FP32","shape":[3,2],"parameters":{"nulls":2},"data":[0.5,-2,null,null,null,null]},{"name":"tags","datatype":"BYTES","shape":[3,0],"parameters":{"content_type":"str","nulls":3},"data":[]}`)

	// The version in force is found, another is not.
	for version, want := range map[string]int{"1": 200, "2": 404, "01": 404, "x": 404} {
		status, got, _ := w.call("POST", "/v2/models/{service}/versions/{version}/infer", "/v2/models/numbers/versions/"+version+"/infer?project=default", strings.NewReader(`{`+three+`}`))
		require.Equal(t, want, status, got)
	}
	status, got, _ := w.call("POST", inferPath, "/v2/models/numbers/infer?project=nope", strings.NewReader(`{`+three+`}`))
	require.Equal(t, 404, status, got)

	// A failure of the store is told, and never passed on to a model.
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = someValues(ctx, s, keys, rows, b)
		b.Views[0].Status[1] = feature.StoreError
		return nil
	}
	status, got = w.infer("numbers", `{`+three+`}`)
	require.Equal(t, 200, status)
	require.Contains(t, got, `"partial":true`)
	require.Contains(t, got, `["PRESENT","STORE_ERROR","NOT_FOUND"]`)
	status, got = w.infer("numbers", `{"parameters":{"as":"request"},`+three+`}`)
	require.Equal(t, 503, status)
	require.Contains(t, got, `{"error":"lookup: view profile: the store did not answer for some of the rows; ask again`)
}

// TestInferenceRaw: tensors behind the JSON, in and out.
func TestInferenceRaw(t *testing.T) {
	w := newInference(t, nil)
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		require.Equal(t, []int64{7, 8, -9}, keys[0].Int64s)
		require.Equal(t, []bool{true, true, true}, keys[0].Valid)
		return someValues(ctx, s, keys, rows, b)
	}
	le := binary.LittleEndian
	minus9 := int64(-9)
	keys := map[string][]byte{
		"INT64": le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, 7), 8), uint64(minus9)),
		"INT32": le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 7), 8), uint32(minus9&0xffffffff)),
		"INT16": {7, 0, 8, 0, 0xf7, 0xff},
		"INT8":  {7, 8, 0xf7},
		"FP32":  le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, math.Float32bits(7)), math.Float32bits(8)), math.Float32bits(-9)),
		"FP64":  le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, math.Float64bits(7)), math.Float64bits(8)), math.Float64bits(-9)),
		"BYTES": []byte("\x01\x00\x00\x007\x01\x00\x00\x008\x02\x00\x00\x00-9"),
	}
	for kind, raw := range keys {
		head := fmt.Sprintf(`{"inputs":[{"name":"id","shape":[3],"datatype":%q,"parameters":{"binary_data_size":%d}}],"outputs":[{"name":"f_int64","parameters":{"datatype":"FP64"}},{"name":"features"}],"parameters":{"binary_data_output":true}}`, kind, len(raw))
		status, got, header := w.call("POST", inferPath, "/v2/models/numbers/infer", bytes.NewReader(append([]byte(head), raw...)), binaryHeader, strconv.Itoa(len(head)))
		require.Equal(t, 200, status, got)
		n, err := strconv.Atoi(header.Get(binaryHeader))
		require.NoError(t, err)
		require.Contains(t, got[:n], `{"name":"f_int64","datatype":"FP64","shape":[3],"parameters":{"nulls":1,"binary_data_size":24}},{"name":"features","datatype":"FP64","shape":[3,6],"parameters":{"binary_data_size":144}}]}`)
		require.Len(t, got[n:], 24+144)
		at := func(i int) float64 { return math.Float64frombits(le.Uint64([]byte(got[n+8*i:]))) }
		require.Equal(t, []float64{1 << 63, 0, 1, -1, 1 << 63, float64(float32(0.1)), 1e300, 1700000000000001, 0}, []float64{at(0), at(1), at(3), at(4), at(5), at(6), at(7), at(8), at(9)})
		require.True(t, math.IsNaN(at(2)) && math.IsNaN(at(10)) && math.IsNaN(at(13)) && math.IsNaN(at(20)))
	}
	// Of one tensor raw and another as JSON; what has no null cannot be raw.
	raw := func(outputs string) (int, string) {
		return w.infer("churn", `{"inputs":[{"name":"id","shape":[3],"datatype":"BYTES","data":["7","8","-9"]}],"outputs":[`+outputs+`]}`)
	}
	status, got := raw(`{"name":"f_bool"},{"name":"f_float64","parameters":{"binary_data":true}}`)
	require.Equal(t, 200, status, got)
	require.Contains(t, got, `"data":[true,false,null]`)
	require.Contains(t, got, `"binary_data_size":24`)
	for _, name := range []string{"f_int64", "f_string", "f_bool"} {
		status, got = raw(`{"name":"` + name + `","parameters":{"binary_data":true}}`)
		require.Equal(t, 400, status, got)
		require.Contains(t, got, "feature "+name)
		require.Contains(t, got, "null")
	}
	// It can where the client asks which are null.
	status, got = w.infer("churn", `{"inputs":[{"name":"id","shape":[3],"datatype":"BYTES","data":["7","8","-9"]}],"outputs":[{"name":"f_string"},{"name":"f_bool"}],"parameters":{"binary_data_output":true,"include_validity":true}}`)
	require.Equal(t, 200, status, got)
	require.Contains(t, got, `"parameters":{"content_type":"str","nulls":2,"binary_data_size":16}},{"name":"f_bool","datatype":"BOOL","shape":[3],"parameters":{"nulls":1,"binary_data_size":3}},`+
		`{"name":"valid:f_string","datatype":"BOOL","shape":[3],"parameters":{"binary_data_size":3}},{"name":"valid:f_bool","datatype":"BOOL","shape":[3],"parameters":{"binary_data_size":3}}]}`+"\n"+
		"\x04\x00\x00\x00\"ä\n\x00\x00\x00\x00\x00\x00\x00\x00"+"\x01\x00\x00"+"\x01\x00\x00"+"\x01\x01\x00")
	for _, c := range []struct{ kind, head, raw string }{
		{"INT64", "", "1234567"}, {"INT64", "", strings.Repeat("x", 16)}, {"BYTES", "", "\x01\x00\x00\x007\x01"}, {"BYTES", "", "\x05\x00\x00\x007"},
		{"FP32", "", "\x00\x00\xc0\x7f" + strings.Repeat("\x00", 8)}, {"FP16", "", "123456"}, {"BOOL", "", "\x00\x01\x01"}, {"UINT64", "", strings.Repeat("\xff", 24)},
		{"BYTES", "", "\x01\x00\x00\x00\xff\x01\x00\x00\x008\x01\x00\x00\x009"}, {"INT8", "9999999", "123"}, {"INT8", "-1", "123"}, {"INT8", "x", "123"},
	} {
		head := fmt.Sprintf(`{"inputs":[{"name":"id","shape":[3],"datatype":%q,"parameters":{"binary_data_size":%d}}]}`, c.kind, len(c.raw))
		n := strconv.Itoa(len(head))
		if c.head != "" {
			n = c.head
		}
		status, got, _ := w.call("POST", inferPath, "/v2/models/numbers/infer", strings.NewReader(head+c.raw), binaryHeader, n)
		require.Equal(t, 400, status, "%v: %s", c, got)
	}
	for _, tail := range []string{"1234567", "123456789"} { // less and more than the tensors are
		head := `{"inputs":[{"name":"id","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}]}`
		status, got, _ := w.call("POST", inferPath, "/v2/models/numbers/infer", strings.NewReader(head+tail), binaryHeader, strconv.Itoa(len(head)))
		require.Equal(t, 400, status, got)
	}
}

// TestInferenceRefuses: every status that the description has is answered, and a wrong request is refused by the
// description too, where that can tell.
func TestInferenceRefuses(t *testing.T) {
	w := newInference(t, func(c *Config) { c.MaxRows, c.MaxValues, c.MaxBody = 100, 300, 10_000 })
	w.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		panic("the store was asked")
	}
	one := func(tensor string) string { return `{"inputs":[` + tensor + `]}` }
	ask := func(more string) string {
		return `{"inputs":[{"name":"id","datatype":"INT64","shape":[1],"data":[1]}]` + more + `}`
	}
	for _, c := range []struct {
		service, body string
		status        int
		text          string
		schema        bool
	}{
		{"numbers", "", 400, "no JSON", false},
		{"numbers", "[]", 400, "object", true},
		{"numbers", `{"input":[]}`, 400, "there are id, parameters, inputs and outputs", true},
		{"numbers", `{"inputs":{}}`, 400, "list of objects", true},
		{"numbers", `{"inputs":[1]}`, 400, "object is expected", true},
		{"numbers", `{}`, 400, "the join key is missing; give id", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1]}`), 400, "one of them", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"data":[1],"parameters":{"binary_data_size":0}}`), 400, "one of them", true},
		{"numbers", one(`{"datatype":"INT64","shape":[1],"data":[1]}`), 400, "a name, a shape and a datatype", true},
		{"numbers", one(`{"name":"id","shape":[1],"data":[1]}`), 400, "a name, a shape and a datatype", true},
		{"numbers", one(`{"name":"id","datatype":"INT","shape":[1],"data":[1]}`), 400, "INT64", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"data":[1],"value":1}`), 400, "name, shape, datatype", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":1,"data":[1]}`), 400, "inputs.shape", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[],"data":[1]}`), 400, "shape []", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1,1,1],"data":[1]}`), 400, "[n,1]", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1,2],"data":[1,2]}`), 400, "[n,1]", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[-1],"data":[1]}`), 400, "[n,1]", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[9999999999],"data":[1]}`), 400, "the shape says 9999999999 elements, and there are 1", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"data":1}`), 400, "inputs.data", true},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"data":["1"]}`), 400, "tensor of INT64", false},
		{"numbers", one(`{"name":"id","datatype":"BYTES","shape":[1],"data":[1]}`), 400, "tensor of BYTES", false},
		{"numbers", one(`{"name":"id","datatype":"BOOL","shape":[1],"data":[1]}`), 400, "tensor of BOOL", false},
		{"numbers", one(`{"name":"id","datatype":"BOOL","shape":[1],"data":[true]}`), 400, "not a int64", false},
		{"numbers", one(`{"name":"id","datatype":"FP64","shape":[1],"data":[1.5]}`), 400, "not a int64", false},
		{"numbers", one(`{"name":"id","datatype":"BYTES","shape":[1],"data":["x"]}`), 400, "not a int64", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"data":[[1,2]]}`), 400, "no element", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"data":[{}]}`), 400, "no element", true},
		{"numbers", one(`{"name":"shop","datatype":"INT64","shape":[1],"data":[1]}`), 400, "entity id", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"parameters":{"binary_data_size":8}}`), 400, "0 bytes are left", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[1],"parameters":{"binary_data_size":-8}}`), 400, "binary_data_size", true},
		{"numbers", ask(`,"parameters":[]`), 400, "object is expected", true},
		{"numbers", ask(`,"parameters":{"as":"requests"}`), 400, "neither request nor response", true},
		{"numbers", ask(`,"parameters":{"datatype":"INT64"}`), 400, "FP64 or FP32", true},
		{"numbers", ask(`,"parameters":{"binary_data_output":1}`), 400, "true or false", true},
		{"numbers", ask(`,"parameters":{"as":"request","include_statuses":true}`), 400, "no place for statuses", false},
		{"numbers", ask(`,"parameters":{"as":"request","include_validity":true}`), 400, "and validity", false},
		{"numbers", ask(`,"outputs":["f_bool"]`), 400, "object is expected", true},
		{"numbers", ask(`,"outputs":[{"name":"f_bool","shape":[1]}]`), 400, "name and parameters", true},
		{"numbers", ask(`,"outputs":[{"name":"f_bol"}]`), 400, "output f_bol: service numbers has no such feature, and the tensor of all is called features", false},
		{"numbers", ask(`,"outputs":[{"name":"f_bool"},{"name":"*"}]`), 400, "twice", false},
		{"churn", ask(``), 400, "feature f_string: it is a string, which one tensor of numbers cannot hold", false},
		{"looks", ask(`,"outputs":[{"name":"features"}]`), 400, "feature face: it is a array<float32>", false},
		{"nope", ask(``), 404, "nope", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[101],"data":[0` + strings.Repeat(",1", 100) + `]}`), 413, "serving.max_rows", false},
		{"numbers", one(`{"name":"id","datatype":"INT64","shape":[51],"data":[0` + strings.Repeat(",1", 50) + `]}`), 413, "serving.max_values", false},
		{"numbers", strings.Repeat(" ", 10_001), 413, "serving.max_body", false},
	} {
		if c.schema {
			require.Error(t, w.valid("InferenceRequest", c.body), c.body)
		}
		status, body := w.infer(c.service, c.body)
		require.Equal(t, c.status, status, "%s: %s", c.body, body)
		require.Contains(t, body, c.text, c.body)
		require.True(t, strings.HasPrefix(body, `{"error":"`), body)
	}
	for kind, c := range httpCodes {
		if kind == feature.Conflict || kind == feature.Unauthorized {
			continue // no lookup ends so
		}
		w.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
			return feature.Errorf(kind, "store.get", "view v", "why").WithHint("the way out")
		}
		status, _ := w.infer("numbers", ask(""))
		require.Equal(t, c.status, status)
	}
	w.read = func(ctx context.Context, _ *feature.Service, _ []feature.Vector, _ int, _ *feature.Block) error {
		<-ctx.Done()
		return ctx.Err()
	}
	status, _ := w.infer("numbers", ask(""), "X-Timeout", "5ms")
	require.Equal(t, 504, status)
	// Arrays of several lengths make no tensor.
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		b.Columns[0].Bytes[0], b.Columns[0].Bytes[1] = make([]byte, 8), make([]byte, 12)
		return nil
	}
	status, body := w.infer("looks", `{"inputs":[{"name":"id","datatype":"INT64","shape":[2],"data":[1,2]}],"outputs":[{"name":"face"}]}`)
	require.Equal(t, 400, status)
	require.Contains(t, body, "feature face: arrays of 2 and of 3 elements")
	w.read = present
	status, _ = w.infer("numbers", ask(""), "Origin", "https://example.com")
	require.Equal(t, 403, status)
	w.infer("numbers", ask(""))
	for status := range w.paths[inferPath]["post"].(map[string]any)["responses"].(map[string]any) {
		require.Contains(t, w.told, status, "described, and never answered")
	}
	got := gathered(t, w.metrics)
	require.Contains(t, got, "weir_http_seconds code=504 route=POST /v2/models/{service}/infer 1\n")
}

// TestInferenceModels: what there is to ask for, and whether it can be asked.
func TestInferenceModels(t *testing.T) {
	w := newInference(t, nil)
	get := func(template, path string) (int, string) {
		status, body, _ := w.call("GET", template, path, nil)
		return status, body
	}
	cat, _ := w.reg.Current(context.Background())
	_, got := get("/v2", "/v2")
	require.Equal(t, `{"name":"weir","version":"v9","extensions":["binary_tensor_data"]}`+"\n", got)
	const model, version = "/v2/models/{service}", "/v2/models/{service}/versions/{version}"
	_, got = get(model, "/v2/models/numbers")
	features := `{"name":"f_bool","datatype":"BOOL","shape":[-1],"parameters":{"type":"bool","view":"profile"}},` +
		`{"name":"f_int32","datatype":"INT32","shape":[-1],"parameters":{"type":"int32","view":"profile"}},` +
		`{"name":"f_int64","datatype":"INT64","shape":[-1],"parameters":{"type":"int64","view":"profile"}},` +
		`{"name":"f_float32","datatype":"FP32","shape":[-1],"parameters":{"type":"float32","view":"profile"}},` +
		`{"name":"f_float64","datatype":"FP64","shape":[-1],"parameters":{"type":"float64","view":"profile"}},` +
		`{"name":"f_timestamp","datatype":"INT64","shape":[-1],"parameters":{"type":"timestamp","unit":"microseconds since 1970-01-01 UTC","view":"profile"}}`
	require.Equal(t, `{"name":"numbers","versions":["1"],"platform":"weir_feature_service","inputs":[{"name":"id","datatype":"INT64","shape":[-1],"parameters":{"type":"int64"}}],`+
		`"outputs":[{"name":"features","datatype":"FP64","shape":[-1,6],"parameters":{"columns":"f_bool,f_int32,f_int64,f_float32,f_float64,f_timestamp"}},`+features+
		fmt.Sprintf(`],"parameters":{"catalog_revision":%d}}`+"\n", cat.Revision()), got)
	_, got = get(model, "/v2/models/looks?project=default")
	require.Contains(t, got, `"outputs":[{"name":"face","datatype":"FP32","shape":[-1,-1],"parameters":{"type":"array<float32>","view":"looks"}},{"name":"tags","datatype":"BYTES"`)
	_, got = get(version, "/v2/models/numbers/versions/1")
	require.Contains(t, got, features)
	status, got := get(version, "/v2/models/numbers/versions/3")
	require.Equal(t, 404, status)
	require.Contains(t, got, "version 3 is not in force; version 1 is")

	for _, unready := range []string{"", "starting"} {
		w.unready = unready
		want, more := 200, ""
		if unready != "" {
			want, more = 503, `,"error":"starting"`
		}
		ready := fmt.Sprintf(`"ready":%t%s}`+"\n", want == 200, more)
		status, got = get("/v2/health/ready", "/v2/health/ready")
		require.Equal(t, want, status)
		require.Equal(t, "{"+ready, got)
		status, got = get(model+"/ready", "/v2/models/numbers/ready")
		require.Equal(t, want, status)
		require.Equal(t, `{"name":"numbers",`+ready, got)
		status, _ = get(version+"/ready", "/v2/models/numbers/versions/1/ready")
		require.Equal(t, want, status)
		status, _ = get(version+"/ready", "/v2/models/numbers/versions/2/ready")
		require.Equal(t, 404, status)
		status, got = get("/v2/health/live", "/v2/health/live")
		require.Equal(t, 200, status)
		require.Equal(t, `{"live":true}`+"\n", got)
	}
	require.NoError(t, w.stop())
	status, _ = get("/v2/health/live", "/v2/health/live")
	require.Equal(t, 200, status)
	status, got = get(model, "/v2/models/numbers")
	require.Equal(t, 503, status)
	require.Contains(t, got, `{"error":"serving: the server is starting or stopping`)
}

// TestInferenceNulls: who asks for many that are not there beside one with a long array does not get an answer larger than any limit.
func TestInferenceNulls(t *testing.T) {
	w := newInference(t, func(c *Config) { c.MaxMessage = 1 << 12 })
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		b.Columns[0].Bytes[0] = make([]byte, 4*200)
		for i := 1; i < rows; i++ {
			b.Columns[0].Valid[i] = false
		}
		return nil
	}
	ask := func(rows int, binary bool) (int, string) {
		ids := strings.TrimSuffix(strings.Repeat("1,", rows), ",")
		return w.infer("looks", fmt.Sprintf(`{"inputs":[{"name":"id","datatype":"INT64","shape":[%d],"data":[%s]}],"outputs":[{"name":"face","parameters":{"binary_data":%t}}]}`, rows, ids, binary))
	}
	for _, binary := range []bool{false, true} {
		status, body := ask(3, binary)
		require.Equal(t, 200, status, body)
		status, body = ask(4, binary) // 600 elements in the place of nulls, of 8 bytes
		require.Equal(t, 413, status)
		require.Contains(t, body, "feature face: 3 nulls beside arrays of 200 elements")
	}
}
