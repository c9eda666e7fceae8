package serving

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// web is the lookups over HTTP, held against their own description.
type web struct {
	*fixture
	t       *testing.T
	url     string
	paths   map[string]map[string]any // of the description: path, then method in lower case
	schemas *jsonschema.Compiler
	told    map[string]bool // statuses that were seen
}

func newWeb(t *testing.T, change func(*Config)) *web {
	f := newFixture(t, change)
	ready(t, f)
	lookups := NewLookups(f.server, f.reg, func(s *feature.Service) (Plan, error) { return plan{f, s}, nil })
	w := &web{fixture: f, t: t, told: map[string]bool{}, schemas: jsonschema.NewCompiler()}
	mux := http.NewServeMux()
	routes := map[string]bool{}
	inference := NewInference(lookups, "v9", func(context.Context) string { return w.unready })
	for _, all := range []map[string]http.Handler{NewFeatures(lookups).HTTPRoutes(f.server), inference.HTTPRoutes(f.server)} {
		for pattern, h := range all {
			mux.Handle(pattern, h)
			routes[pattern] = true
		}
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	resp, err := http.Get(srv.URL + "/openapi.json")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	doc, err := jsonschema.UnmarshalJSON(resp.Body)
	require.NoError(t, err)
	require.NoError(t, w.schemas.AddResource("https://weir.test/openapi.json", doc))
	raw, err := json.Marshal(doc.(map[string]any)["paths"])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &w.paths))
	described := map[string]bool{"GET /openapi.json": true}
	for path, methods := range w.paths {
		for method := range methods {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	require.Equal(t, routes, described)
	return w
}

// schema is a schema of the description.
func (w *web) schema(name string) *jsonschema.Schema {
	s, err := w.schemas.Compile("https://weir.test/openapi.json#/components/schemas/" + name)
	require.NoError(w.t, err)
	return s
}

func (w *web) valid(schema, body string) error {
	return w.validBy(w.schema(schema), body)
}

func (w *web) validBy(schema *jsonschema.Schema, body string) error {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	require.NoError(w.t, err, body)
	return schema.Validate(v)
}

// post sends a body and holds the answer against what the description says of its status.
func (w *web) post(body string, header ...string) (int, string) {
	w.t.Helper()
	return w.postTo("/v1/lookup", "application/json", body, header...)
}

func (w *web) postTo(path, media, body string, header ...string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequest("POST", w.url+path, strings.NewReader(body))
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
	responses := w.paths[path]["post"].(map[string]any)["responses"].(map[string]any)
	require.Contains(w.t, responses, status, "a status that is not described: %s", b)
	schema := "LookupAnswer"
	if status != "200" {
		schema, media = "Error", "application/json"
	}
	require.Equal(w.t, media, resp.Header.Get("Content-Type"))
	content := responses[status].(map[string]any)["content"].(map[string]any)
	require.Contains(w.t, fmt.Sprint(content[media]), "#/components/schemas/"+schema)
	for line := range strings.Lines(string(b)) {
		require.NoError(w.t, w.valid(schema, line), line)
	}
	return resp.StatusCode, string(b)
}

const ask7 = `{"service":"churn","entities":{"id":[7]}}`

func TestHTTPLookup(t *testing.T) {
	w := newWeb(t, nil)
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		require.Equal(t, []int64{7, 8, 0}, keys[0].Int64s)
		require.Equal(t, []bool{true, true, false}, keys[0].Valid)
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
				v.Int64s[0] = math.MinInt64
			case feature.Timestamp:
				v.Int64s[0] = 1_700_000_000_000_001
			case feature.Float32:
				v.Float32[0], v.Float32[1] = 0.1, float32(math.Inf(-1))
			case feature.Float64:
				v.Float64[0], v.Float64[1] = 1e300, math.NaN()
			default:
				v.Bytes[0] = []byte("\"ä\n")
			}
		}
		b.Views[0].Status[1], b.Views[0].Status[2], b.Views[0].EventTime[2] = feature.OutsideMaxAge, feature.NotFoundStatus, 0
		return nil
	}
	req := `{"project":"default","service":"churn","entities":{"id":[7,"8",null]},"include_statuses":true,"include_event_times":true,"request_id":"r-1"}`
	require.NoError(t, w.valid("LookupRequest", req))
	status, body := w.post(req)
	require.Equal(t, 200, status, body)
	cat, _ := w.reg.Current(context.Background())
	require.Equal(t, `{"rows":3,"columns":[`+
		`{"name":"f_bool","type":"bool","view":"profile","values":[true,false,null]},`+
		`{"name":"f_int32","type":"int32","view":"profile","values":[-1,null,null]},`+
		`{"name":"f_int64","type":"int64","view":"profile","values":[-9223372036854775808,0,null]},`+
		`{"name":"f_float32","type":"float32","view":"profile","values":[0.1,null,null]},`+
		`{"name":"f_float64","type":"float64","view":"profile","values":[1e+300,"NaN",null]},`+
		`{"name":"f_string","type":"string","view":"profile","values":["\"ä\n",null,null]},`+
		`{"name":"f_bytes","type":"bytes","view":"profile","values":["IsOkCg==","",null]},`+
		`{"name":"f_timestamp","type":"timestamp","view":"profile","values":["2023-11-14T22:13:20.000001Z",null,null]}],`+
		`"views":[{"view":"profile","statuses":["PRESENT","OUTSIDE_MAX_AGE","NOT_FOUND"],"event_times":["1970-01-01T00:00:00.001Z","1970-01-01T00:00:00.001001Z",null]}],`+
		fmt.Sprintf(`"catalog_revision":%d,"partial":false}`+"\n", cat.Revision()),
		body)
	w.read = present
	for _, req := range []string{ask7, `{"features":["profile:f_bool","profile:f_int64"],"entities":{"id":[1,2]}}`, `{"service":"churn","entities":{"id":[]}}`,
		`{"service":"churn","entities":{"\u0069d":[1e3,1.0]}}`} {
		require.NoError(t, w.valid("LookupRequest", req))
		status, body := w.post(req)
		require.Equal(t, 200, status, body)
		require.NotContains(t, body, "statuses")
	}
	// A failure is told whether statuses were asked for or not.
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		b.Views[0].Status[0] = feature.StoreError
		return nil
	}
	_, body = w.post(ask7)
	require.Contains(t, body, `"statuses":["STORE_ERROR"]`)
	require.Contains(t, body, `"partial":true`)
}

// Every status that the description has is answered, with what it says; a wrong request is
// refused by the description too, where that can tell.
func TestHTTPLookupRefuses(t *testing.T) {
	w := newWeb(t, func(c *Config) { c.MaxRows, c.MaxValues, c.MaxBody = 100, 400, 10_000 })
	w.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		panic("the store was asked")
	}
	for _, c := range []struct {
		body   string
		status int
		text   string
		schema bool // the description refuses it too
	}{
		{"", 400, "no JSON", false},
		{"[]", 400, "object", true},
		{`{"service":"churn","entities":{"id":[1]}`, 400, "no JSON", false},
		{`{"service":"churn","service":"x","entities":{"id":[1]}}`, 400, "twice", false},
		{`{"service":"churn","entity":{"id":[1]}}`, 400, "there are project, service", true},
		{`{"service":7,"entities":{"id":[1]}}`, 400, "member service", true},
		{`{"features":"profile:f_bool","entities":{"id":[1]}}`, 400, "member features", true},
		{`{"features":[1],"entities":{"id":[1]}}`, 400, "member features", true},
		{`{"service":"churn","features":["profile:f_bool"],"entities":{"id":[1]}}`, 400, "only one", true},
		{`{"service":"churn","entities":[1]}`, 400, "member entities", true},
		{`{"service":"churn","entities":{"id":1}}`, 400, "entity id", true},
		{`{"service":"churn","entities":{"id":[[1]]}}`, 400, "entity id", true},
		{`{"service":"churn","entities":{"id":[1.5]}}`, 400, "not a int64", true},
		{`{"service":"churn","entities":{"id":[9223372036854775808]}}`, 400, "not a int64", false},
		{`{"service":"churn","entities":{"id":["\ud83d\ude00"]}}`, 400, "not a int64", false},
		{`{"service":"churn","entities":{"id":[true]}}`, 400, "not a int64", false},
		{`{"service":"churn","include_statuses":1,"entities":{"id":[1]}}`, 400, "true or false", true},
		{`{"service":"churn"}`, 400, "give id", true},
		{`{"entities":{"id":[1]}}`, 400, "neither", true},
		{`{"service":"churn","entities":{"id":[1],"shop":[1]}}`, 400, "shop", false},
		{`{"service":"churn","entities":{"id":[1]},"request_id":"` + strings.Repeat("x", 129) + `"}`, 400, "request_id", true},
		{`{"service":"chrun","entities":{"id":[1]}}`, 404, "churn", false},
		{`{"features":["nope:x"],"entities":{"id":[1]}}`, 404, "nope", false},
		{`{"service":"churn","entities":{"id":[0` + strings.Repeat(",1", 100) + `]}}`, 413, "serving.max_rows", false},
		{`{"service":"churn","entities":{"id":[0` + strings.Repeat(",1", 50) + `]}}`, 413, "serving.max_values", false},
		{strings.Repeat(" ", 10_001), 413, "serving.max_body", false},
	} {
		if c.schema {
			require.Error(t, w.valid("LookupRequest", c.body), c.body)
		}
		status, body := w.post(c.body)
		require.Equal(t, c.status, status, "%s: %s", c.body, body)
		require.Contains(t, body, c.text)
	}
	for kind, c := range httpCodes {
		if kind == feature.Conflict || kind == feature.Unauthorized {
			continue // no lookup ends so
		}
		w.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
			return feature.Errorf(kind, "store.get", "view v", "why").WithHint("the way out")
		}
		status, _ := w.post(ask7)
		require.Equal(t, c.status, status)
	}
	w.read = func(ctx context.Context, _ *feature.Service, _ []feature.Vector, _ int, _ *feature.Block) error {
		<-ctx.Done()
		return ctx.Err()
	}
	status, _ := w.post(ask7, "X-Timeout", "5ms")
	require.Equal(t, 504, status)
	w.read = present
	status, _ = w.post(ask7, "Origin", "https://example.com")
	require.Equal(t, 403, status)
	w.post(ask7)
	for status := range w.paths["/v1/lookup"]["post"].(map[string]any)["responses"].(map[string]any) {
		require.Contains(t, w.told, status, "described, and never answered")
	}
	resp, err := http.Get(w.url + "/v1/lookup")
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

// A stream over HTTP is the parts of the one over gRPC, a line each, and is broken off by a fault.
func TestHTTPLookupStream(t *testing.T) {
	w := newWeb(t, func(c *Config) { c.MaxRows, c.MaxStreamRows = 2, 5 })
	w.read = echo
	status, body := w.postTo("/v1/lookup-stream", "application/x-ndjson", `{"service":"churn","entities":{"id":[7,8,9,10,11]},"include_statuses":true}`)
	require.Equal(t, 200, status)
	lines := strings.SplitAfter(body, "\n")
	require.Len(t, lines, 4)
	for i, want := range []string{`{"rows":2,"columns"`, `{"rows":2,"first_row":2,"columns"`, `{"rows":1,"first_row":4,"columns"`} {
		require.True(t, strings.HasPrefix(lines[i], want), lines[i])
	}
	require.Contains(t, lines[1], `"name":"f_int64","type":"int64","view":"profile","values":[9,10]`)
	for body, want := range map[string]int{`{"service":"churn","entities":{"id":[1,2,3,4,5,6]}}`: 413, `{"service":"chrun","entities":{"id":[1]}}`: 404, "{": 400} {
		status, body := w.postTo("/v1/lookup-stream", "", body)
		require.Equal(t, want, status, body)
	}
	n := 0
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		if n++; n == 2 {
			return feature.Errorf(feature.Exhausted, "store", "", "enough")
		}
		return present(ctx, s, keys, rows, b)
	}
	resp, err := http.Post(w.url+"/v1/lookup-stream", "application/json", strings.NewReader(`{"service":"churn","entities":{"id":[1,2,3]}}`))
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err, "half an answer looks whole")
}

// What is written reads back as the block, value for value.
func TestHTTPAnswer(t *testing.T) {
	for seed := range testseed.Each(t, 300) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := randomBlock(r, []int{0, 1, 9, 50}[r.IntN(4)], r.IntN(10))
		text := appendAnswer(nil, &Answer{Block: b, Revision: 9}, true, true, 0)
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var got struct {
			Rows    int `json:"rows"`
			Columns []struct {
				Name, Type, View string
				Values           []any
			} `json:"columns"`
			Views []struct {
				View       string
				Statuses   []string
				EventTimes []*string `json:"event_times"`
			} `json:"views"`
			Revision int64 `json:"catalog_revision"`
			Partial  bool
		}
		require.NoError(t, dec.Decode(&got), string(text))
		require.Equal(t, b.Rows, got.Rows)
		require.EqualValues(t, 9, got.Revision)
		require.Len(t, got.Columns, len(b.Columns))
		for i, c := range got.Columns {
			want := &b.Columns[i]
			require.Equal(t, []string{want.Name, want.Type.String(), b.Views[want.View].View.Meta.Name}, []string{c.Name, c.Type, c.View})
			require.Len(t, c.Values, b.Rows)
			for j, x := range c.Values {
				sameValue(t, &want.Vector, j, x)
			}
		}
		require.Len(t, got.Views, len(b.Views))
		anyFailed := false
		for i, v := range got.Views {
			for j, s := range b.Views[i].Status {
				anyFailed = anyFailed || s == feature.StoreError
				require.Equal(t, s.String(), v.Statuses[j])
				there := s == feature.Present || s == feature.OutsideMaxAge
				require.Equal(t, there, v.EventTimes[j] != nil)
				if there {
					require.Equal(t, time.UnixMicro(b.Views[i].EventTime[j]).UTC().Format(time.RFC3339Nano), *v.EventTimes[j])
				}
			}
		}
		require.Equal(t, anyFailed, got.Partial)
	}
}

func sameValue(t *testing.T, v *feature.Vector, j int, x any) {
	t.Helper()
	if !v.Valid[j] {
		require.Nil(t, x)
		return
	}
	real := func() float64 {
		if s, ok := x.(string); ok {
			return map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[s]
		}
		f, err := x.(json.Number).Float64()
		require.NoError(t, err)
		return f
	}
	if v.Type.IsArray() {
		var e feature.Vector
		require.NoError(t, e.Unpack(v.Type, v.Bytes[j]))
		list, ok := x.([]any)
		require.True(t, ok, "%v", x)
		require.Len(t, list, len(e.Valid))
		for k := range list {
			sameValue(t, &e, k, list[k])
		}
		return
	}
	switch v.Type {
	case feature.Bool:
		require.Equal(t, v.Bools[j], x)
	case feature.Int32:
		require.Equal(t, fmt.Sprint(v.Int32s[j]), string(x.(json.Number)))
	case feature.Int64:
		require.Equal(t, fmt.Sprint(v.Int64s[j]), string(x.(json.Number)))
	case feature.Float32:
		require.Equal(t, math.Float32bits(v.Float32[j])&^(1<<22), math.Float32bits(float32(real()))&^(1<<22)) // a NaN may be any
	case feature.Float64:
		require.Equal(t, fmt.Sprint(v.Float64[j]), fmt.Sprint(real()))
		require.Equal(t, math.Signbit(v.Float64[j]) && v.Float64[j] == 0, math.Signbit(real()) && real() == 0)
	case feature.String:
		require.Equal(t, string(v.Bytes[j]), x)
	case feature.Bytes:
		raw, err := base64.StdEncoding.DecodeString(x.(string))
		require.NoError(t, err)
		require.Equal(t, string(v.Bytes[j]), string(raw))
	case feature.Timestamp:
		require.Equal(t, time.UnixMicro(v.Int64s[j]).UTC().Format(time.RFC3339Nano), x)
	}
}
