package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
)

// fixture is a server with a catalog and a store that is a function.
type fixture struct {
	t        *testing.T
	reg      *registry.Registry
	metrics  *prometheus.Registry
	server   *Server
	lookups  *Lookups
	conn     *grpc.ClientConn
	features weirv1.FeatureServiceClient
	log      *logs
	stop     func() error

	mu       sync.Mutex
	compiled int // guarded by mu
	read     func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error
	unready  string // why a lookup cannot be answered
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type plan struct {
	f *fixture
	s *feature.Service
}

func (p plan) Keys() []feature.Field { return p.s.Views[0].Keys }
func (p plan) Read(ctx context.Context, keys []feature.Vector, rows int, b *feature.Block) error {
	return p.f.read(ctx, p.s, keys, rows, b)
}

// present answers with everything there and zero.
func present(_ context.Context, s *feature.Service, _ []feature.Vector, rows int, b *feature.Block) error {
	b.Rows = rows
	b.Views = make([]feature.BlockView, len(s.Views))
	for i := range b.Views {
		b.Views[i] = feature.BlockView{View: s.Views[i], Status: make([]feature.Status, rows), EventTime: make([]int64, rows)}
		for j := range rows {
			b.Views[i].Status[j], b.Views[i].EventTime[j] = feature.Present, int64(1000+j)
		}
	}
	b.Columns = make([]feature.BlockColumn, len(s.Columns))
	for i, c := range s.Columns {
		b.Columns[i].Name, b.Columns[i].View = c.Name, c.View
		b.Columns[i].Reset(s.Views[c.View].Features[c.Feature].Type, rows)
		for j := range rows {
			b.Columns[i].Valid[j] = true
		}
	}
	return nil
}

var featureTypes = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, metrics: prometheus.NewRegistry(), log: &logs{}, read: present}
	log := slog.New(slog.NewTextHandler(f.log, nil))
	store := memory.New()
	reg, err := registry.Open(context.Background(), store, registry.DefaultConfig(), registry.Checks{}, log, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = reg.Close() })
	f.reg = reg
	view := &feature.View{Meta: feature.Meta{Name: "profile"}, Source: "billing", Entities: []string{"customer"}}
	for _, ft := range featureTypes {
		view.Features = append(view.Features, feature.Field{Name: "f_" + ft.String(), Type: ft})
	}
	f.apply(
		&feature.Entity{Meta: feature.Meta{Name: "customer"}, JoinKeys: []feature.Field{{Name: "id", Type: feature.Int64}}},
		&feature.Source{Meta: feature.Meta{Name: "billing"}, Topic: "billing", EventTime: feature.TimeField{Field: "at"}},
		view,
		&feature.Service{Meta: feature.Meta{Name: "churn"}, Features: []string{"profile:*"}},
	)
	cfg := DefaultConfig()
	cfg.Addr, cfg.Drain = "127.0.0.1:0", 5*time.Second
	if change != nil {
		change(&cfg)
	}
	s, err := NewServer(cfg, log, f.metrics)
	require.NoError(t, err)
	f.server = s
	f.lookups = NewLookups(s, reg, func(svc *feature.Service) (Plan, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.compiled++
		return plan{f, svc}, nil
	})
	NewFeatures(f.lookups).Register(s.Registrar())
	NewInference(f.lookups, "v9", func(context.Context) string { return f.unready }).Register(s.Registrar())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	var once sync.Once
	f.stop = func() (err error) {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = f.stop() })
	f.conn, err = grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.conn.Close() })
	f.features = weirv1.NewFeatureServiceClient(f.conn)
	return f
}

func (f *fixture) apply(defs ...feature.Definition) {
	f.t.Helper()
	p, err := f.reg.Apply(context.Background(), registry.Request{Definitions: defs, AllowBreaking: true})
	require.NoError(f.t, err)
	require.Empty(f.t, p.Faults)
}

func (f *fixture) lookup(req *weirv1.LookupRequest) (*weirv1.LookupResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return f.features.Lookup(ctx, req)
}

func ints(name string, v ...int64) *weirv1.EntityColumn {
	return &weirv1.EntityColumn{Name: name, Values: &weirv1.Values{Kind: &weirv1.Values_Int64S{Int64S: &weirv1.Int64S{Values: v}}}}
}

func churn(cols ...*weirv1.EntityColumn) *weirv1.LookupRequest {
	return &weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "churn"}, Entities: cols}
}

func refs(list ...string) *weirv1.LookupRequest {
	return &weirv1.LookupRequest{What: &weirv1.LookupRequest_Features{Features: &weirv1.FeatureList{Refs: list}}, Entities: []*weirv1.EntityColumn{ints("id", 1)}}
}

func TestLookup(t *testing.T) {
	f := newFixture(t, nil)
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		require.Equal(t, []int64{7, 8, 9}, keys[0].Int64s)
		_ = present(ctx, s, keys, rows, b)
		for i := range b.Columns {
			v := &b.Columns[i].Vector
			v.Valid[1] = i%2 == 0 // every other feature is null in the second row
			v.Valid[2] = false
			switch v.Type {
			case feature.Bool:
				v.Bools[0] = true
			case feature.Int32:
				v.Int32s[0] = -1
			case feature.Int64, feature.Timestamp:
				v.Int64s[0] = 1 << 50
			case feature.Float32:
				v.Float32[0] = 0.5
			case feature.Float64:
				v.Float64[0] = -0.25
			default:
				v.Bytes[0] = []byte("äx")
			}
		}
		b.Views[0].Status[2], b.Views[0].EventTime[2] = feature.NotFoundStatus, 0
		return nil
	}
	req := churn(ints("id", 7, 8, 9))
	req.IncludeStatuses, req.IncludeEventTimes = true, true
	r, err := f.lookup(req)
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Rows)
	require.False(t, r.Partial)
	cat, _ := f.reg.Current(context.Background())
	require.Equal(t, cat.Revision(), r.CatalogRevision)
	require.Len(t, r.Views, 1)
	require.Equal(t, "profile", r.Views[0].View)
	require.Equal(t, []weirv1.Status{weirv1.Status_STATUS_PRESENT, weirv1.Status_STATUS_PRESENT, weirv1.Status_STATUS_NOT_FOUND}, r.Views[0].Statuses)
	require.Equal(t, []int64{1000, 1001, 0}, r.Views[0].EventTimes)
	got := map[weirv1.Type]any{}
	for i, c := range r.Columns {
		require.Equal(t, "f_"+featureTypes[i].String(), c.Name)
		require.Equal(t, []byte{1 + 2*byte(1-i%2)}, c.Validity)
		switch v := c.Values.Kind.(type) {
		case *weirv1.Values_Bools:
			got[c.Type] = v.Bools.Values[0]
		case *weirv1.Values_Int32S:
			got[c.Type] = v.Int32S.Values[0]
		case *weirv1.Values_Int64S:
			got[c.Type] = v.Int64S.Values[0]
		case *weirv1.Values_Floats:
			got[c.Type] = v.Floats.Values[0]
		case *weirv1.Values_Doubles:
			got[c.Type] = v.Doubles.Values[0]
		case *weirv1.Values_Strings:
			got[c.Type] = v.Strings.Values[0]
		case *weirv1.Values_Bytes:
			got[c.Type] = string(v.Bytes.Values[0])
		case *weirv1.Values_Timestamps:
			got[c.Type] = v.Timestamps.Micros[0]
		}
	}
	require.Equal(t, map[weirv1.Type]any{1: true, 2: int32(-1), 3: int64(1 << 50), 4: float32(0.5), 5: -0.25, 6: "äx", 7: "äx", 8: int64(1 << 50)}, got)
	require.Equal(t, 2.0, f.metric(`weir_lookup_rows_total{project="default",status="PRESENT",view="profile"}`))
	require.Equal(t, 1.0, f.metric(`weir_lookup_rows_total{project="default",status="NOT_FOUND",view="profile"}`))
}

// Without asking there are no statuses, but a failure is never left out.
func TestLookupPartial(t *testing.T) {
	f := newFixture(t, nil)
	r, err := f.lookup(churn(ints("id", 1, 2)))
	require.NoError(t, err)
	require.Empty(t, r.Views[0].Statuses)
	require.Empty(t, r.Views[0].EventTimes)
	require.Empty(t, r.Columns[0].Validity, "all valid")
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		b.Views[0].Status[1] = feature.StoreError
		return nil
	}
	r, err = f.lookup(churn(ints("id", 1, 2)))
	require.NoError(t, err)
	require.True(t, r.Partial)
	require.Equal(t, []weirv1.Status{weirv1.Status_STATUS_PRESENT, weirv1.Status_STATUS_STORE_ERROR}, r.Views[0].Statuses)
}

func TestLookupRefuses(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRows, c.MaxValues = 100, 400 })
	f.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		panic("the store was asked")
	}
	for name, c := range map[string]struct {
		req  *weirv1.LookupRequest
		code codes.Code
		text string
	}{
		"nothing":           {&weirv1.LookupRequest{}, codes.InvalidArgument, "neither a service nor features"},
		"unknown service":   {&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "chrun"}}, codes.NotFound, "churn"},
		"unknown project":   {&weirv1.LookupRequest{Project: "other", What: &weirv1.LookupRequest_Service{Service: "churn"}}, codes.NotFound, "other"},
		"unknown view":      {refs("nope:x"), codes.NotFound, "nope"},
		"unknown feature":   {refs("profile:x"), codes.NotFound, "x"},
		"not a reference":   {refs("profile"), codes.NotFound, "view:feature"},
		"no keys":           {churn(), codes.InvalidArgument, "give id"},
		"another key":       {churn(ints("id", 1), ints("shop", 1)), codes.InvalidArgument, "shop"},
		"a key twice":       {churn(ints("id", 1), ints("id", 1)), codes.InvalidArgument, "twice"},
		"no values":         {churn(&weirv1.EntityColumn{Name: "id"}), codes.InvalidArgument, "no values"},
		"text for a number": {churn(textColumn("id", "1", "x1")), codes.InvalidArgument, "x1"},
		"too many rows":     {churn(ints("id", make([]int64, 101)...)), codes.ResourceExhausted, "serving.max_rows"},
		"too many values":   {churn(ints("id", make([]int64, 51)...)), codes.ResourceExhausted, "serving.max_values"},
	} {
		_, err := f.lookup(c.req)
		require.Equal(t, c.code, status.Code(err), "%s: %v", name, err)
		require.Contains(t, err.Error(), c.text, name)
	}
}

func textColumn(name string, v ...string) *weirv1.EntityColumn {
	return &weirv1.EntityColumn{Name: name, Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: v}}}}
}

// A plan lives as long as its catalog; lists are kept too, but not without end.
func TestPlansPerRevision(t *testing.T) {
	f := newFixture(t, nil)
	ask := func(req *weirv1.LookupRequest) *weirv1.LookupResponse {
		r, err := f.lookup(req)
		require.NoError(t, err)
		return r
	}
	for range 3 {
		ask(churn(ints("id", 1)))
		ask(refs("profile:f_bool", "profile:f_int64"))
	}
	require.Equal(t, 2, f.compiled)
	f.apply(&feature.Service{Meta: feature.Meta{Name: "churn"}, Features: []string{"profile:f_string"}})
	require.Len(t, ask(churn(ints("id", 1))).Columns, 1)
	require.Equal(t, 3, f.compiled)
	ps := &plans{}
	ps.lists.Store(mostLists)
	ps.catalog, _ = f.reg.Current(context.Background())
	l := NewLookups(f.server, f.reg, func(s *feature.Service) (Plan, error) { return plan{f, s}, nil })
	l.plans.Store(ps)
	_, err := l.plan(ps.catalog, &Question{Project: "default", Features: []string{"profile:f_bool"}})
	require.NoError(t, err)
	n := 0
	ps.byName.Range(func(any, any) bool { n++; return true })
	require.Zero(t, n)
}

// Every kind has its code; what is not ours to tell stays in the log.
func TestErrors(t *testing.T) {
	f := newFixture(t, nil)
	for kind, code := range grpcCodes {
		f.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
			return fmt.Errorf("wrapped: %w", feature.Errorf(kind, "store.get", "view v", "secret-%d", kind).WithHint("the way out"))
		}
		_, err := f.lookup(churn(ints("id", 1)))
		require.Equal(t, code, status.Code(err))
		if kind == feature.Internal {
			require.NotContains(t, err.Error(), "secret")
			require.Contains(t, f.log.String(), "secret-0")
		} else {
			require.Contains(t, err.Error(), "the way out")
		}
	}
	f.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		return errors.New("plain-secret")
	}
	_, err := f.lookup(churn(ints("id", 1)))
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "plain-secret")
	require.Contains(t, f.log.String(), "plain-secret")

	f.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		panic("deep-secret")
	}
	_, err = f.lookup(churn(ints("id", 1)))
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "deep-secret")
	require.Contains(t, f.log.String(), "deep-secret")
	f.read = present
	_, err = f.lookup(churn(ints("id", 1)))
	require.NoError(t, err, "the server lives on")
	require.Contains(t, gathered(t, f.metrics), `weir_grpc_seconds code=Internal method=/weir.v1.FeatureService/Lookup 3`)
}

func gathered(t *testing.T, r *prometheus.Registry) string {
	mfs, err := r.Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, mf := range mfs {
		for _, m := range mf.Metric {
			b.WriteString(mf.GetName())
			for _, l := range m.Label {
				fmt.Fprintf(&b, " %s=%s", l.GetName(), l.GetValue())
			}
			fmt.Fprintf(&b, " %d\n", m.GetHistogram().GetSampleCount())
		}
	}
	return b.String()
}

func TestHealthAndReflection(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	h, err := healthv1.NewHealthClient(f.conn).Check(ctx, &healthv1.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthv1.HealthCheckResponse_SERVING, h.Status)
	s, err := reflectionv1.NewServerReflectionClient(f.conn).ServerReflectionInfo(ctx)
	require.NoError(t, err)
	require.NoError(t, s.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
	r, err := s.Recv()
	require.NoError(t, err)
	var names []string
	for _, x := range r.GetListServicesResponse().Service {
		names = append(names, x.Name)
	}
	require.Contains(t, names, "weir.v1.FeatureService")
	require.Contains(t, names, "inference.GRPCInferenceService")
	require.NoError(t, s.CloseSend())
	_, _ = s.Recv()
}

// A stop lets the call under way end, and takes no new one.
func TestDrain(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Drain = time.Minute })
	entered, leave := make(chan struct{}), make(chan struct{})
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		close(entered)
		<-leave
		return present(ctx, s, keys, rows, b)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := f.lookup(churn(ints("id", 1)))
		answered <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- f.stop() }()
	require.Eventually(t, func() bool {
		c, err := grpc.NewClient("passthrough:///"+f.server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err = healthv1.NewHealthClient(c).Check(ctx, &healthv1.HealthCheckRequest{})
		return status.Code(err) == codes.Unavailable
	}, time.Minute, 5*time.Millisecond)
	select {
	case <-stopped:
		t.Fatal("stopped with a call under way")
	default:
	}
	close(leave)
	require.NoError(t, <-answered)
	require.NoError(t, <-stopped)
}

// A call whose client goes silent ends, and says why; so does one whose client takes nothing.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.IdleTimeout = 50 * time.Millisecond })
	var call reflectionv1.ServerReflection_ServerReflectionInfoClient
	var err error
	until(t, "a call that is sent in time", func() bool {
		call, err = reflectionv1.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
		if err == nil {
			err = call.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		}
		if err == nil {
			_, err = call.Recv()
		}
		return err == nil
	})
	_, err = call.Recv()
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "the client has sent nothing for 50ms")

	a := &attended{method: "m", idle: time.Millisecond}
	ever := make(chan struct{})
	defer close(ever)
	require.ErrorContains(t, a.within("taken", func() error { <-ever; return nil }), "the client has taken nothing for 1ms")
	a.idle = time.Minute
	require.PanicsWithValue(t, "oh", func() { _ = a.within("sent", func() error { panic("oh") }) })
}

// A connection that never says anything does not hold up a stop: gRPC by itself would give it two minutes.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, err := net.Dial("tcp", f.server.Addr())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Read(make([]byte, 1)) // the server's settings come first: it has taken the connection
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- f.stop() }()
	select {
	case err := <-stopped:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the server does not stop")
	}
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{Addr: "x", ConnectionGrace: -1, StopDelay: -1}.Validate()
	for _, field := range []string{"addr", "max_rows", "max_values", "max_stream_rows", "max_message", "max_body", "max_bodies", "max_connection_age", "connection_grace", "stop_delay", "drain"} {
		require.ErrorContains(t, err, "serving."+field+":")
	}
}

// A message that repeats a long request stays as short as every client takes: it travels
// in a header, and Python's gRPC gives up a call whose headers have more than 8 KiB.
func TestLongErrors(t *testing.T) {
	f := newFixture(t, nil)
	for _, of := range []string{"x", "ü", "\n"} {
		name := strings.Repeat(of, 100_000)
		_, err := f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: name}, Entities: churn(ints("id", 1)).Entities})
		require.Equal(t, codes.NotFound, status.Code(err))
		message := status.Convert(err).Message()
		sent := 0
		for _, c := range []byte(message) {
			if sent++; c < ' ' || c > '~' || c == '%' {
				sent += 2 // as %XX
			}
		}
		require.LessOrEqual(t, sent, 7000)
		require.Contains(t, message, "FeatureService")
		require.Contains(t, message, "it does not exist")
		require.True(t, utf8.ValidString(message))
	}
}
