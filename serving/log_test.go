package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// kept is a sink that keeps.
type kept struct {
	mu      sync.Mutex
	records []keptRecord
	refuse  error
	closed  bool
}

type keptRecord struct{ key, value []byte }

func (k *kept) Put(key, value []byte, _ time.Time, done func(error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse == nil {
		k.records = append(k.records, keptRecord{key, value})
	}
	done(k.refuse)
}

func (k *kept) Close(context.Context) error { k.closed = true; return nil }

func (k *kept) all() []keptRecord {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]keptRecord(nil), k.records...)
}

// logging is a fixture whose answers are logged.
func logging(t *testing.T, cfg LogConfig) (*fixture, *kept, *Log) {
	t.Helper()
	f := newFixture(t, nil)
	sink := &kept{}
	g := NewLog(cfg, sink, slog.New(slog.NewTextHandler(f.log, nil)), f.metrics)
	f.lookups.LogTo(g)
	return f, sink, g
}

func logged(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "serving-log-v1.schema.json"))
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("urn:io.weir:schema:serving-log:v1", doc))
	s, err := c.Compile("urn:io.weir:schema:serving-log:v1")
	require.NoError(t, err)
	return s
}

type logRow struct {
	RequestID *string `json:"request_id"`
	Row       int
	Project   string
	Service   *string
	Revision  int64     `json:"catalog_revision"`
	EventTime time.Time `json:"event_time"`
	Entities  map[string]any
	Views     map[string]struct {
		Status    string
		EventTime *time.Time `json:"event_time"`
		Features  map[string]any
	}
}

func decodeLog(t *testing.T, s *jsonschema.Schema, r keptRecord) (row logRow) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.value))
	require.NoError(t, err, "%s", r.value)
	require.NoError(t, s.Validate(doc), "%s", r.value)
	d := json.NewDecoder(bytes.NewReader(r.value))
	d.UseNumber()
	require.NoError(t, d.Decode(&row))
	return row
}

// A record is what the model saw, of every type and status, and what the documented schema says.
func TestLogRecords(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1000})
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		for i := range b.Columns {
			v := &b.Columns[i].Vector
			v.Valid[1], v.Valid[2] = false, false
			switch v.Type {
			case feature.Bool:
				v.Bools[0] = true
			case feature.Int32:
				v.Int32s[0] = math.MinInt32
			case feature.Int64:
				v.Int64s[0] = math.MaxInt64
			case feature.Timestamp:
				v.Int64s[0] = -1
			case feature.Float32:
				v.Float32[0], v.Float32[3], v.Float32[4] = 0.1, float32(math.NaN()), math.MaxFloat32
			case feature.Float64:
				v.Float64[0], v.Float64[3], v.Float64[4] = 1e-300, math.Inf(1), math.Inf(-1)
			case feature.String:
				v.Bytes[0] = []byte("ä\"\\\n\x00\u2028")
			case feature.Bytes:
				v.Bytes[0] = []byte{0, 255}
			}
		}
		v := &b.Views[0]
		v.Status[1], v.EventTime[1] = feature.NotFoundStatus, 0
		v.Status[2] = feature.OutsideMaxAge
		return nil
	}
	before := time.Now().Truncate(time.Microsecond)
	req := churn(ints("id", 7, 8, 9, 10, math.MinInt64))
	req.RequestId = "inference \"1\""
	_, err := f.lookup(req)
	require.NoError(t, err)
	require.NoError(t, g.Close(t.Context()))
	require.True(t, sink.closed)
	records := sink.all()
	require.Len(t, records, 5)
	schema := logged(t)
	cat, _ := f.reg.Current(t.Context())
	var rows []logRow
	for i, r := range records {
		require.Equal(t, req.RequestId, string(r.key))
		row := decodeLog(t, schema, r)
		require.Equal(t, i, row.Row)
		require.Equal(t, req.RequestId, *row.RequestID)
		require.Equal(t, "churn", *row.Service)
		require.Equal(t, "default", row.Project)
		require.Equal(t, cat.Revision(), row.Revision)
		require.False(t, row.EventTime.Before(before), "%s", row.EventTime)
		require.False(t, row.EventTime.After(time.Now()), "%s", row.EventTime)
		rows = append(rows, row)
	}
	require.Equal(t, map[string]any{"id": json.Number("7")}, rows[0].Entities)
	require.Equal(t, map[string]any{"id": json.Number("-9223372036854775808")}, rows[4].Entities)
	v := rows[0].Views["profile"]
	require.Equal(t, "PRESENT", v.Status)
	require.Equal(t, time.UnixMicro(1000).UTC(), *v.EventTime)
	require.Equal(t, map[string]any{"f_bool": true, "f_int32": json.Number("-2147483648"), "f_int64": json.Number("9223372036854775807"),
		"f_float32": json.Number("0.1"), "f_float64": json.Number("1e-300"), "f_string": "ä\"\\\n\x00\u2028", "f_bytes": "AP8=",
		"f_timestamp": "1969-12-31T23:59:59.999999Z"}, v.Features)
	require.Equal(t, "NOT_FOUND", rows[1].Views["profile"].Status)
	require.Nil(t, rows[1].Views["profile"].EventTime)
	require.Len(t, rows[1].Views["profile"].Features, 8)
	for name, x := range rows[1].Views["profile"].Features {
		require.Nil(t, x, name)
	}
	require.Equal(t, "OUTSIDE_MAX_AGE", rows[2].Views["profile"].Status)
	require.Equal(t, time.UnixMicro(1002).UTC(), *rows[2].Views["profile"].EventTime)
	three := rows[3].Views["profile"].Features
	require.Equal(t, "NaN", three["f_float32"])
	require.Equal(t, "Infinity", three["f_float64"])
	require.Equal(t, "-Infinity", rows[4].Views["profile"].Features["f_float64"])
	require.Equal(t, 5.0, f.metric(`weir_lookup_log_rows_total{result="written"}`))
	require.Zero(t, f.metric(`weir_lookup_log_waiting_values{}`))
	broken := feature.Vector{Type: feature.String, Valid: []bool{true}, Bytes: [][]byte{[]byte("a\xff")}}
	require.Equal(t, `"a\ufffd"`, string(appendCell(nil, &broken, 0, nil)), "what is no text in the store is JSON all the same")
}

// What the documentation shows is a record.
func TestDocumentedLogRecord(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(b), "## Logging what models saw")
	_, example, _ = strings.Cut(example, "```json\n")
	example, _, found := strings.Cut(example, "```")
	require.True(t, found)
	row := decodeLog(t, logged(t), keptRecord{value: []byte(example)})
	require.Equal(t, "churn", *row.Service)
}

// Lists of features and requests without an id have a null in the place of a name;
// features of the same name keep their views.
func TestLogOfLists(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1000})
	f.apply(&feature.View{Meta: feature.Meta{Name: "other"}, Source: "billing", Entities: []string{"customer"}, Features: []feature.Field{{Name: "f_bool", Type: feature.Int64}}})
	_, err := f.lookup(refs("profile:f_bool", "other:f_bool", "profile:f_int64"))
	require.NoError(t, err)
	require.NoError(t, g.Close(t.Context()))
	records := sink.all()
	require.Len(t, records, 1)
	require.Nil(t, records[0].key)
	row := decodeLog(t, logged(t), records[0])
	require.Nil(t, row.RequestID)
	require.Nil(t, row.Service)
	require.Equal(t, map[string]any{"f_bool": false, "f_int64": json.Number("0")}, row.Views["profile"].Features)
	require.Equal(t, map[string]any{"f_bool": json.Number("0")}, row.Views["other"].Features)
}

// The call names the inference where the request does not: by metadata, or a header over HTTP.
func TestLogRequestIDOfTheCall(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1000})
	route := NewFeatures(f.lookups).HTTPRoutes(f.server)["POST /v1/lookup"]
	over := func(id string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/v1/lookup", strings.NewReader(`{"service":"churn","entities":{"id":[1]}}`))
		r.Header.Set("x-request-id", id)
		w := httptest.NewRecorder()
		route.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "by metadata")
	_, err := f.features.Lookup(ctx, churn(ints("id", 1)))
	require.NoError(t, err)
	own := churn(ints("id", 1))
	own.RequestId = "its own"
	_, err = f.features.Lookup(ctx, own)
	require.NoError(t, err)
	over("by header")
	over(strings.Repeat("x", mostRequestID+1))
	require.NoError(t, g.Close(t.Context()))
	var got []string
	for _, r := range sink.all() {
		got = append(got, string(r.key))
	}
	require.Equal(t, []string{"by metadata", "its own", "by header", ""}, got)
}

// The parts of a stream are one request: its rows are counted on.
func TestLogOfAStream(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1000})
	f.lookups.cfg.MaxRows = 2
	req := churn(ints("id", 10, 11, 12, 13, 14))
	req.RequestId = "r"
	stream, err := f.features.LookupStream(t.Context(), req)
	require.NoError(t, err)
	for err == nil {
		_, err = stream.Recv()
	}
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, g.Close(t.Context()))
	records := sink.all()
	require.Len(t, records, 5)
	schema := logged(t)
	for i, r := range records {
		row := decodeLog(t, schema, r)
		require.Equal(t, i, row.Row)
		require.Equal(t, "r", *row.RequestID)
		require.Equal(t, json.Number(fmt.Sprint(10+i)), row.Entities["id"])
	}
}

// A request with an id is in the sample on every server or on none, and stays in it
// when the sample grows; the share is what was asked for.
func TestLogSample(t *testing.T) {
	small, large := &Log{cfg: LogConfig{Sample: 0.1}}, &Log{cfg: LogConfig{Sample: 0.3}}
	var in, more, random int
	const n = 20_000
	for i := range n {
		id := fmt.Sprint("request-", i)
		if small.chosen(id) {
			in++
			require.True(t, large.chosen(id))
			require.True(t, (&Log{cfg: LogConfig{Sample: 0.1}}).chosen(id))
		}
		if large.chosen(id) {
			more++
		}
		if small.chosen("") {
			random++
		}
	}
	// 6 standard deviations are 255 and 389.
	require.InDelta(t, n/10, in, 255)
	require.InDelta(t, n*3/10, more, 389)
	require.InDelta(t, n/10, random, 255)
}

// Only the services that were named are logged.
func TestLogServices(t *testing.T) {
	g := &Log{cfg: LogConfig{Services: []string{"churn", "shop/fraud"}}}
	for _, c := range []struct {
		project, service string
		in               bool
	}{{"default", "churn", true}, {"any", "churn", true}, {"shop", "fraud", true}, {"default", "fraud", false}, {"default", "", false}} {
		require.Equal(t, c.in, g.covers(c.project, c.service), c)
	}
	require.True(t, (&Log{}).covers("default", ""))
}

// An answer that finds no room is not logged, is counted, and is answered all the same.
func TestLogHasNoRoom(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 30})
	sink.mu.Lock() // the writer hangs
	for range 20 {
		_, err := f.lookup(churn(ints("id", 1, 2, 3))) // 27 values
		require.NoError(t, err)
	}
	require.LessOrEqual(t, f.metric(`weir_lookup_log_waiting_values{}`), 30.0)
	require.Equal(t, 57.0, f.metric(`weir_lookup_log_rows_total{result="full"}`))
	sink.mu.Unlock()
	require.Eventually(t, func() bool {
		return f.metric(`weir_lookup_log_rows_total{result="written"}`) == 3 && f.metric(`weir_lookup_log_waiting_values{}`) == 0
	}, time.Minute, time.Millisecond)
	_, err := f.lookup(churn(ints("id", 1, 2, 3, 4, 5))) // larger than the buffer, but alone
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.metric(`weir_lookup_log_rows_total{result="written"}`) == 8 }, time.Minute, time.Millisecond)

	sink.mu.Lock()
	sink.refuse = errors.New("kafka is away")
	sink.mu.Unlock()
	_, err = f.lookup(churn(ints("id", 1)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.metric(`weir_lookup_log_rows_total{result="failed"}`) == 1 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(f.log.String(), "kafka is away") }, time.Minute, time.Millisecond)

	require.NoError(t, g.Close(t.Context()))
	_, err = f.lookup(churn(ints("id", 1)))
	require.NoError(t, err, "after the log has ended")
	require.Equal(t, 58.0, f.metric(`weir_lookup_log_rows_total{result="full"}`))
}

// Blocks that are logged are not written to by other lookups meanwhile, nor are keys.
func TestLogKeepsWhatWasSeen(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1 << 20})
	f.apply(&feature.Entity{Meta: feature.Meta{Name: "shop"}, JoinKeys: []feature.Field{{Name: "shop", Type: feature.String}}},
		&feature.View{Meta: feature.Meta{Name: "sales"}, Source: "billing", Entities: []string{"shop"}, Features: []feature.Field{{Name: "n", Type: feature.String}}},
		&feature.Service{Meta: feature.Meta{Name: "sold"}, Features: []string{"sales:*"}})
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		if len(b.Columns) != 1 {
			_ = present(ctx, s, keys, rows, b)
		}
		b.Columns[0].Bytes[0] = append([]byte("of "), keys[0].Bytes[0]...)
		return nil
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", w, i)
				_, err := f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "sold"}, RequestId: id, Entities: []*weirv1.EntityColumn{textColumn("shop", id)}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, g.Close(t.Context()))
	records := sink.all()
	require.Len(t, records, 200)
	schema := logged(t)
	for _, r := range records {
		row := decodeLog(t, schema, r)
		require.Equal(t, string(r.key), row.Entities["shop"])
		require.Equal(t, "of "+string(r.key), row.Views["sales"].Features["n"])
	}
}

func TestLogConfig(t *testing.T) {
	c := DefaultConfig()
	require.Empty(t, c.Log.Topic, "off")
	c.Log.Topic = "t"
	require.ErrorContains(t, c.Validate(), "serving.log.sample")
	for _, sample := range []float64{-1, 0, 1.01, math.NaN()} {
		c.Log.Sample = sample
		require.ErrorContains(t, c.Validate(), "serving.log.sample")
	}
	c.Log.Sample = 1
	require.NoError(t, c.Validate())
	c.Log.Buffer = 0
	require.ErrorContains(t, c.Validate(), "serving.log.buffer")
}

// BenchmarkLogRow is the cost of one record of 10 numbers and a text, off the request's path.
func BenchmarkLogRow(b *testing.B) {
	_, block := counted(b, 1, 10, 1)
	s := &sampled{project: "default", service: "churn", request: "0123456789abcdef", resolved: &feature.Service{}, block: block, at: time.Now()}
	for i := range block.Columns {
		s.resolved.Columns = append(s.resolved.Columns, feature.ServiceColumn{Feature: i})
	}
	b.ReportAllocs()
	for b.Loop() {
		s.buf = s.appendRow(s.buf[:0], 0)
	}
	b.SetBytes(int64(len(s.buf)))
}
