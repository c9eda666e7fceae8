package flight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

// fakeTrainer answers each spine row with its number, doubled.
type fakeTrainer struct {
	mu      sync.Mutex
	last    offline.TrainingRequest
	running atomic.Int64
	slow    chan struct{} // closed to let the batches out, where not nil
	hold    chan struct{} // closed to let out the last batch, where not nil
	fail    error
	rows    int // of each batch that goes out; all in one when 0
	text    int // bytes of a text column beside
	sent    atomic.Int64
}

func (f *fakeTrainer) Train(ctx context.Context, req offline.TrainingRequest) (offline.Created, error) {
	f.running.Add(1)
	defer f.running.Add(-1)
	f.mu.Lock()
	f.last = req
	f.mu.Unlock()
	in := req.Spine.Rows.Schema()
	name := "double"
	if req.FullNames {
		name = "numbers__double"
	}
	fields := append(append([]arrow.Field(nil), in.Fields()...), arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	if f.text > 0 {
		fields = append(fields, arrow.Field{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	id := "snap1"
	if req.Unrecorded {
		id = ""
	}
	if err := req.Begin(schema, id); err != nil {
		return offline.Created{}, err
	}
	var recs []arrow.RecordBatch
	var rows int64
	for {
		rec, err := req.Spine.Rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return offline.Created{}, err
		}
		recs = append(recs, rec)
	}
	if f.slow != nil {
		select {
		case <-f.slow:
		case <-ctx.Done():
			return offline.Created{}, context.Cause(ctx)
		}
	}
	for _, rec := range recs {
		step := int64(f.rows)
		if step == 0 {
			step = max(1, rec.NumRows())
		}
		for at := int64(0); at < rec.NumRows(); at += step {
			if ctx.Err() != nil {
				return offline.Created{}, context.Cause(ctx)
			}
			if f.hold != nil && at+step >= rec.NumRows() {
				<-f.hold
			}
			part := rec.NewSlice(at, min(rec.NumRows(), at+step))
			b := array.NewInt64Builder(arrowmemory.DefaultAllocator)
			keys := part.Column(0).(*array.Int64)
			t := array.NewStringBuilder(arrowmemory.DefaultAllocator)
			for i := range keys.Len() {
				b.Append(2 * keys.Value(i))
				t.Append(strings.Repeat("x", f.text))
			}
			cols := append(append([]arrow.Array(nil), part.Columns()...), b.NewArray())
			if f.text > 0 {
				cols = append(cols, t.NewArray())
			}
			out := array.NewRecordBatch(schema, cols, part.NumRows())
			rows += part.NumRows()
			if err := req.Sink(out); err != nil {
				return offline.Created{}, err
			}
			f.sent.Add(1)
		}
	}
	if f.fail != nil {
		return offline.Created{}, f.fail
	}
	if req.Unrecorded {
		return offline.Created{Snapshot: feature.Snapshot{Rows: rows}}, nil
	}
	return offline.Created{Snapshot: feature.Snapshot{ID: id, Rows: rows, ContentHash: "sha256:c", SpineHash: "sha256:s"}}, nil
}

// fixed is a catalog that does not change.
type fixed struct{ *registry.Catalog }

func (f fixed) Current(context.Context) (*registry.Catalog, error) { return f.Catalog, nil }

type bed struct {
	t       *testing.T
	trainer *fakeTrainer
	service *Service
	client  arrowflight.Client
	addr    string
}

func serve(t *testing.T, change ...func(*Options)) *bed {
	t.Helper()
	b := &bed{t: t, trainer: &fakeTrainer{}}
	o := Options{Config: DefaultConfig(), Trainer: b.trainer, Catalogs: fixed{catalog(t)}, Folder: t.TempDir(), MaxMessage: 1 << 20}
	for _, f := range change {
		f(&o)
	}
	var err error
	b.service, err = New(o)
	require.NoError(t, err)
	g := grpc.NewServer(grpc.MaxRecvMsgSize(o.MaxMessage), grpc.MaxSendMsgSize(o.MaxMessage))
	Register(g, b.service)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.addr = ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- g.Serve(ln) }()
	t.Cleanup(func() {
		g.Stop()
		require.NoError(t, <-done)
		require.NoError(t, b.service.Close())
	})
	b.client = b.connect()
	return b
}

func (b *bed) connect() arrowflight.Client {
	c, err := arrowflight.NewClientWithMiddleware(b.addr, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func catalog(t *testing.T) *registry.Catalog {
	t.Helper()
	var defs []feature.Definition
	for _, project := range []string{"default", "maths"} {
		meta := func(name string) feature.Meta { return feature.Meta{Project: project, Name: name} }
		defs = append(defs,
			&feature.Source{Meta: meta("events"), Topic: "events", EventTime: feature.TimeField{Field: "at"}},
			&feature.Entity{Meta: meta("number"), JoinKeys: []feature.Field{{Name: "n", Type: feature.Int64}}},
			&feature.View{Meta: meta("numbers"), Source: "events", Entities: []string{"number"}, Features: []feature.Field{{Name: "double", Type: feature.Int64}}})
	}
	defs = append(defs, &feature.Service{Meta: feature.Meta{Project: "default", Name: "doubles"}, Features: []string{"numbers:*"}})
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	_, err := r.Apply(t.Context(), registry.Request{Definitions: defs})
	require.NoError(t, err)
	cat, err := r.Current(t.Context())
	require.NoError(t, err)
	return cat
}

// spineOf is rows 0 to n with a time, in batches.
func spineOf(n, batch int) (*arrow.Schema, []arrow.RecordBatch) {
	md := arrow.NewMetadata([]string{"pandas"}, []string{`{"index_columns": []}`})
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "event_timestamp", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}}}, &md)
	var out []arrow.RecordBatch
	for at := 0; at < n; at += batch {
		b := array.NewRecordBuilder(arrowmemory.DefaultAllocator, schema)
		for i := at; i < min(n, at+batch); i++ {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
		}
		out = append(out, b.NewRecordBatch())
	}
	return schema, out
}

func forCommand(text string) *arrowflight.FlightDescriptor {
	return &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: []byte(text)}
}

// result is what came back from a call.
type result struct {
	schema  *arrow.Schema
	rows    int64
	batches int
	about   []byte // of the last batch
	doubles []int64
}

func (b *bed) drain(from arrowflight.DataStreamReader) (r result, err error) {
	in, err := arrowflight.NewRecordReader(from)
	if err != nil {
		return r, err
	}
	defer in.Release()
	r.schema = in.Schema()
	for in.Next() {
		rec := in.RecordBatch()
		r.rows += rec.NumRows()
		r.batches++
		if r.about != nil {
			return r, errors.New("a batch after the summary")
		}
		r.about = in.LatestAppMetadata()
		r.doubles = append(r.doubles, rec.Column(2).(*array.Int64).Int64Values()...)
	}
	return r, in.Err()
}

func (b *bed) exchange(ctx context.Context, d *arrowflight.FlightDescriptor, schema *arrow.Schema, recs []arrow.RecordBatch) (result, error) {
	s, err := b.client.DoExchange(ctx)
	if err != nil {
		return result{}, err
	}
	if err := sendAll(s, d, schema, recs); err != nil {
		return result{}, err
	}
	return b.drain(s)
}

type sender interface {
	Send(*arrowflight.FlightData) error
	CloseSend() error
}

// sendAll sends a stream; the server's reason for breaking it off comes from reading.
func sendAll(s sender, d *arrowflight.FlightDescriptor, schema *arrow.Schema, recs []arrow.RecordBatch) error {
	w := arrowflight.NewRecordWriter(s, ipc.WithSchema(schema))
	w.SetFlightDescriptor(d)
	for _, r := range recs {
		if err := w.Write(r); err != nil {
			break
		}
	}
	if err := w.Close(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return s.CloseSend()
}

func TestExchange(t *testing.T) {
	b := serve(t)
	b.trainer.rows = 100
	schema, recs := spineOf(1000, 300)
	r, err := b.exchange(t.Context(), forCommand(`{"service":"doubles","time":"event","time_column":"event_timestamp","versions":["numbers=v"],
		"split":[{"name":"train"},{"name":"test","from":"2026-01-01T00:00:00Z"}]}`), schema, recs)
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.rows)
	for i, x := range r.doubles {
		require.EqualValues(t, 2*i, x)
	}
	md := r.schema.Metadata()
	id, ok := md.GetValue(SnapshotKey)
	require.True(t, ok)
	require.Equal(t, "snap1", id)
	pandas, _ := md.GetValue("pandas")
	require.NotEmpty(t, pandas, "what the client says about its columns comes back")
	require.JSONEq(t, `{"snapshot":"snap1","rows":1000,"spine_hash":"sha256:s","content_hash":"sha256:c"}`, string(r.about))
	require.Equal(t, feature.EventClock, b.trainer.last.Clock)
	require.Equal(t, []string{"numbers=v"}, b.trainer.last.Versions)
	require.True(t, b.trainer.last.Split.Time)
	require.EqualValues(t, 1767225600_000_000, b.trainer.last.Split.Parts[1].From)

	r, err = b.exchange(t.Context(), forCommand(`{"features":["numbers:double"],"full_names":true,"record":false}`), schema, nil)
	require.NoError(t, err)
	require.Zero(t, r.rows)
	require.Equal(t, 1, r.batches, "an empty set has a batch to carry the summary")
	require.JSONEq(t, `{"rows":0}`, string(r.about))
	require.Equal(t, "numbers__double", r.schema.Field(2).Name)

	path := &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorPATH, Path: []string{"maths", "doubles"}}
	_, err = b.exchange(t.Context(), path, schema, recs)
	require.NoError(t, err)
	require.Equal(t, "maths", b.trainer.last.Project)
}

func TestExchangeRefused(t *testing.T) {
	b := serve(t)
	schema, recs := spineOf(10, 10)
	for _, c := range []struct{ command, says string }{
		{`{"service":"doubles","tiem":"event"}`, "tiem"},
		{`{"service":"doubles","time":"now"}`, "time must be known or event"},
		{`{}`, "neither service nor features"},
		{``, "it is empty"},
		{`[]`, "may not be of type array"},
		{`{"service":7}`, "service may not be of type number"},
		{`{"service":"a","features":["b:c"]}`, "choose one"},
		{`{"service":"a"} {}`, "something follows"},
		{`{"service":"a","time_unit":"h"}`, "time_unit"},
		{`{"features":["b:c"],"record":true}`, "define a service"},
		{`{"service":"a","split_seed":1}`, "there is no split"},
		{`{"service":"a","split":[{"name":"x","from":"monday"}]}`, "is no time"},
	} {
		_, err := b.exchange(t.Context(), forCommand(c.command), schema, recs)
		require.ErrorContains(t, err, c.says, c.command)
	}
	_, err := b.exchange(t.Context(), &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorPATH, Path: []string{"a", "b", "c"}}, schema, recs)
	require.ErrorContains(t, err, "a path is")
	_, err = b.exchange(t.Context(), nil, schema, recs)
	require.ErrorContains(t, err, "there is none")

	s, err := b.client.DoExchange(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.CloseSend())
	_, err = s.Recv()
	require.ErrorContains(t, err, "without a descriptor")

	s, err = b.client.DoExchange(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&arrowflight.FlightData{FlightDescriptor: forCommand(`{"service":"doubles"}`)}))
	require.NoError(t, s.CloseSend())
	_, err = s.Recv()
	require.ErrorContains(t, err, "before its schema")

	s, err = b.client.DoExchange(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&arrowflight.FlightData{FlightDescriptor: forCommand(`{"service":"doubles"}`), DataHeader: []byte("nonsense")}))
	require.NoError(t, s.CloseSend())
	_, err = s.Recv()
	require.ErrorContains(t, err, "no Arrow")

	b.trainer.fail = feature.Errorf(feature.Unavailable, "x", "y", "the store is gone").WithHint("wait")
	_, err = b.exchange(t.Context(), forCommand(`{"service":"doubles"}`), schema, recs)
	require.ErrorContains(t, err, "the store is gone (wait)")
}

// TestLargeMessages: a spine in too large a piece is refused, and results are cut so that they fit.
func TestLargeMessages(t *testing.T) {
	b := serve(t)
	schema, recs := spineOf(100_000, 100_000)
	_, err := b.exchange(t.Context(), forCommand(`{"service":"doubles"}`), schema, recs)
	require.ErrorContains(t, err, "larger than max")

	b.trainer.text = 5000 // 5 MB in one batch; messages have 1 MiB
	schema, recs = spineOf(1000, 1000)
	r, err := b.exchange(t.Context(), forCommand(`{"service":"doubles"}`), schema, recs)
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.rows)
	require.Greater(t, r.batches, 9)
	for i, x := range r.doubles {
		require.EqualValues(t, 2*i, x)
	}
	b.trainer.text = 2 << 20
	schema, recs = spineOf(1, 1)
	_, err = b.exchange(t.Context(), forCommand(`{"service":"doubles"}`), schema, recs)
	require.ErrorContains(t, err, "serving.max_message")
}

// TestBrokenArrow: positions outside of the data are found before anything relies on them.
func TestBrokenArrow(t *testing.T) {
	b := serve(t)
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.BinaryTypes.String}}, nil)
	d := array.NewData(arrow.BinaryTypes.String, 2, []*arrowmemory.Buffer{nil,
		arrowmemory.NewBufferBytes(arrow.Int32Traits.CastToBytes([]int32{0, 99, 3})), arrowmemory.NewBufferBytes([]byte("abc"))}, nil, 0, 0)
	rec := array.NewRecordBatch(schema, []arrow.Array{array.MakeFromData(d)}, 2)
	_, err := b.exchange(t.Context(), forCommand(`{"service":"doubles"}`), schema, []arrow.RecordBatch{rec})
	require.ErrorContains(t, err, "broken Arrow data")
}

// TestBatchesFlow: what the join has given out is there before the join ends.
func TestBatchesFlow(t *testing.T) {
	b := serve(t)
	b.trainer.rows, b.trainer.hold = 100, make(chan struct{})
	schema, recs := spineOf(1000, 1000)
	s, err := b.client.DoExchange(t.Context())
	require.NoError(t, err)
	require.NoError(t, sendAll(s, forCommand(`{"service":"doubles"}`), schema, recs))
	r, err := arrowflight.NewRecordReader(s)
	require.NoError(t, err)
	defer r.Release()
	for range 8 { // of ten: the last that came is held back for the summary
		require.True(t, r.Next())
		require.EqualValues(t, 100, r.RecordBatch().NumRows())
	}
	require.EqualValues(t, 1, b.trainer.running.Load())
	close(b.trainer.hold)
	rest := 0
	for r.Next() {
		rest++
	}
	require.Equal(t, 2, rest)
	require.NoError(t, r.Err())
}

// TestSlowReader: a client that does not read holds the join.
func TestSlowReader(t *testing.T) {
	b := serve(t)
	b.trainer.rows, b.trainer.text = 10, 10_000 // 100 kB each, 100 MB in all
	schema, recs := spineOf(10_000, 10_000)
	s, err := b.client.DoExchange(t.Context())
	require.NoError(t, err)
	require.NoError(t, sendAll(s, forCommand(`{"service":"doubles"}`), schema, recs))
	var stands int64
	require.Eventually(t, func() bool { // it has begun, and then stands still
		was := stands
		stands = b.trainer.sent.Load()
		return stands > 0 && stands == was
	}, 20*time.Second, 100*time.Millisecond)
	require.Less(t, b.trainer.sent.Load(), int64(200), "of 1000 batches")
	r, err := b.drain(s)
	require.NoError(t, err)
	require.EqualValues(t, 10_000, r.rows)
}

// TestCancelled: twenty clients at once, some of which go away in the middle; no join
// and no goroutine stays behind.
func TestCancelled(t *testing.T) {
	seed := testseed.For(t)
	b := serve(t)
	b.trainer.rows, b.trainer.text = 50, 2000
	schema, recs := spineOf(5000, 500)
	_, err := b.exchange(t.Context(), forCommand(`{"service":"doubles"}`), schema, recs)
	require.NoError(t, err)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 20 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for range 5 {
				ctx, cancel := context.WithCancel(t.Context())
				stop := rng.IntN(4) // 0 never, 1 while it sends, 2 while it reads, 3 at once
				s, err := b.client.DoExchange(ctx)
				if err != nil {
					t.Error(err)
					cancel()
					return
				}
				if stop == 3 {
					cancel()
				}
				n := len(recs)
				if stop == 1 {
					n = rng.IntN(n)
				}
				serr := sendAll(s, forCommand(`{"service":"doubles"}`), schema, recs[:n])
				switch {
				case stop == 1:
					cancel()
				case stop == 2:
					for range rng.IntN(20) {
						_, _ = s.Recv()
					}
					cancel()
				}
				r, err := b.drain(s)
				if stop == 0 && (serr != nil || err != nil || r.rows != 5000) {
					t.Errorf("client %d: %d rows, %v, %v", i, r.rows, serr, err)
				}
				if stop == 3 && err == nil {
					t.Errorf("client %d got an answer after it had gone", i)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return b.trainer.running.Load() == 0 }, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, time.Minute, 20*time.Millisecond, "goroutines: %s", stacks())
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// TestCancelEndsTheJoin: while the join computes, nothing is sent; it hears all the same.
func TestCancelEndsTheJoin(t *testing.T) {
	b := serve(t)
	b.trainer.slow = make(chan struct{})
	schema, recs := spineOf(10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := b.client.DoExchange(ctx)
	require.NoError(t, err)
	require.NoError(t, sendAll(s, forCommand(`{"service":"doubles"}`), schema, recs))
	require.Eventually(t, func() bool { return b.trainer.running.Load() == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.Eventually(t, func() bool { return b.trainer.running.Load() == 0 }, time.Minute, time.Millisecond)
}

func TestListed(t *testing.T) {
	b := serve(t)
	s, err := b.client.ListFlights(t.Context(), &arrowflight.Criteria{})
	require.NoError(t, err)
	info, err := s.Recv()
	require.NoError(t, err)
	require.Equal(t, []string{"default", "doubles"}, info.FlightDescriptor.Path)
	schema, err := arrowflight.DeserializeSchema(info.Schema, arrowmemory.DefaultAllocator)
	require.NoError(t, err)
	var got []string
	for _, f := range schema.Fields() {
		role, _ := f.Metadata.GetValue(RoleKey)
		got = append(got, fmt.Sprint(f.Name, " ", f.Type, " ", role))
	}
	require.Equal(t, []string{"n int64 key", "event_timestamp timestamp[us, tz=UTC] time", "double int64 feature"}, got)
	_, err = s.Recv()
	require.ErrorIs(t, err, io.EOF)
	s, err = b.client.ListFlights(t.Context(), &arrowflight.Criteria{Expression: []byte("nowhere")})
	require.NoError(t, err)
	_, err = s.Recv()
	require.ErrorIs(t, err, io.EOF)

	sr, err := b.client.GetSchema(t.Context(), forCommand(`{"service":"doubles"}`))
	require.NoError(t, err)
	require.Equal(t, info.Schema, sr.Schema)
	_, err = b.client.GetSchema(t.Context(), forCommand(`{"service":"double"}`))
	require.ErrorContains(t, err, "doubles")
	a, err := b.client.DoAction(t.Context(), &arrowflight.Action{Type: "drop"})
	require.NoError(t, err)
	_, err = a.Recv()
	require.ErrorContains(t, err, "there are no actions")
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{`{"service":"churn"}`, `{"features":["a:*"],"time":"event","versions":["x=1"]}`, `{"service":"a","record":false,"split":[{"name":"a","share":80}]}`,
		`{"api":"get_historical_features","feature_refs":["a:b"]}`, `{`, `null`, `"x"`, `{"service":null}`, `{"Service":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		own, feast, err := descriptor(&arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: b})
		if err != nil {
			if own != nil || feast != nil {
				t.Fatalf("an error, and a command: %v", err)
			}
			if k := feature.KindOf(err); k != feature.Invalid {
				t.Fatalf("%q: %v is %s", b, err, k)
			}
			return
		}
		if (own == nil) == (feast == nil) {
			t.Fatalf("%q is neither or both", b)
		}
		if own != nil {
			if (own.Service == "") == (len(own.Features) == 0) {
				t.Fatalf("%q passed", b)
			}
			own.request()
		}
	})
}
