package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/quarantine"
	ingestsql "github.com/weir-ml/weir/ingest/sqlstore"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	models "github.com/weir-ml/weir/registry/mlflow"
	"github.com/weir-ml/weir/registry/openlineage"
	"github.com/weir-ml/weir/registry/sqlstore"
	"github.com/weir-ml/weir/serving"
	"github.com/weir-ml/weir/validate/expect"
	"github.com/weir-ml/weir/validate/quality"
)

// App is one Weir process. New makes it, Run runs it once.
type App struct {
	Version string // what it says it is to those who ask; may be set before Run

	cfg   Config
	log   *slog.Logger
	roles map[string]bool

	metrics        *prometheus.Registry
	ingestMetrics  *ingest.Metrics
	onlineMetrics  *online.Metrics
	driftMetrics   *drift.Metrics
	qualityMetrics *quality.Metrics
	formats        *format.Formats

	// Set by Run, in this order, before ready is closed; read-only afterwards.
	http       *httpServer
	definition *sqlstore.Store
	registry   *registry.Registry
	brokers    []string
	kafka      []kgo.Opt
	producer   *kgo.Client
	held       *quarantine.Writer
	redisAddrs []string
	store      online.Store
	lookups    *redis.Store // the same, as lookups see it
	tables     offline.Store
	joins      *offline.Joins
	drift      drift.Store
	watch      *drift.Watch
	quality    quality.Store
	clocks     quality.Clocks
	alerts     *quality.Alerts
	windows    *quality.Watch
	pauses     ingest.Pauses
	dispatch   *outbox.Dispatcher
	follower   *models.Follower    // nil where no MLflow is set
	lineage    *openlineage.Teller // nil where no OpenLineage is set
	supervisor *ingest.Supervisor
	importer   *ingest.Importer
	replayer   *ingest.Replayer
	writes     *writes // made by New
	server     *serving.Server
	grpcAddr   string

	after        func(time.Duration) <-chan time.Time
	ready        chan struct{}
	stopping     atomic.Bool
	positionsNow func(context.Context, *feature.View) ([]feature.Position, error) // where a table stands; none is made
	hasAll       atomic.Bool                                                      // the online store was seen to have all rows, or what it lacks nobody fills
	saidUnready  atomic.Int64                                                     // unix second of the last line about it
	closers      []closer                                                         // in the order of opening
}

type closer struct {
	what  string
	close func() error
}

// service is what a role adds to a running process: it runs until its context ends.
type service struct {
	name string
	run  func(context.Context) error
}

// New checks the configuration and the roles (all of them when none is named).
func New(c Config, log *slog.Logger, names ...string) (*App, error) {
	if err := c.Validate(); err != nil {
		return nil, feature.Errorf(feature.Invalid, "start", "settings", "\n%w", err)
	}
	on, err := expand(names)
	if err != nil {
		return nil, err
	}
	if on["ingest"] && on["upkeep"] {
		c.Offline.Compact.Memory = compactMemory(c)
	}
	a := &App{cfg: c.withPaths(), log: log, roles: on, metrics: prometheus.NewRegistry(), ready: make(chan struct{}), after: time.After}
	a.writes = &writes{a: a}
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.ingestMetrics = ingest.NewMetrics(a.metrics)
	a.onlineMetrics = online.NewMetrics(a.metrics)
	a.driftMetrics = drift.NewMetrics(a.metrics)
	a.qualityMetrics = quality.NewMetrics(a.metrics)
	if a.formats, err = formatsOf(c); err != nil {
		return nil, err
	}
	return a, nil
}

// Ready is closed when a lookup can be answered.
func (a *App) Ready() <-chan struct{} { return a.ready }

func (a *App) onClose(what string, f func() error) {
	a.closers = append(a.closers, closer{what, f})
}

// Run starts everything, runs until ctx ends or a part fails for good, and
// stops in the opposite order.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() {
		for _, c := range slices.Backward(a.closers) {
			if cerr := c.close(); cerr != nil {
				a.log.Warn("close", "what", c.what, "err", cerr)
			}
		}
	}()
	began := time.Now()
	if err := a.open(ctx); err != nil {
		return err
	}
	var services []service
	for _, r := range roles {
		if a.roles[r.name] && r.start != nil {
			s, err := r.start(a)
			if err != nil {
				return err
			}
			if s.run != nil {
				services = append(services, s)
			}
		}
	}
	if a.roles["drift"] && a.follower != nil {
		services = append(services, service{"mlflow", a.follower.Run})
	}
	if a.roles["drift"] && a.lineage != nil {
		services = append(services, service{"OpenLineage", a.lineage.Run})
	}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // the end of ctx begins a stop, see retire
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, s := range services {
		wg.Go(func() {
			if err := s.run(work); err != nil && work.Err() == nil {
				cancel(fmt.Errorf("%s: %w", s.name, err))
			}
		})
	}
	close(a.ready)
	a.log.Info("ready", "after", time.Since(began).Round(time.Millisecond).String(), "kafka", a.brokers, "redis", a.redisAddrs, "grpc", a.grpcAddr, "http", a.HTTPAddr())
	select {
	case <-ctx.Done():
		a.retire(work)
	case <-work.Done():
	}
	a.stopping.Store(true)
	cancel(nil)
	wg.Wait()
	if cause := context.Cause(work); cause != nil && ctx.Err() == nil {
		return cause
	}
	return nil
}

// open starts what every role stands on: metrics, catalog, Kafka, online and offline store.
func (a *App) open(ctx context.Context) error {
	if err := os.MkdirAll(a.cfg.DataDir, 0o755); err != nil {
		return feature.Errorf(feature.Invalid, "start", "data_dir "+a.cfg.DataDir, "%w", err)
	}
	if err := a.startHTTP(); err != nil {
		return err
	}
	db, err := sqldb.Open(ctx, a.cfg.Registry.URL)
	if err != nil {
		return err
	}
	a.onClose("catalog database", db.Close)
	if a.definition, err = sqlstore.New(ctx, db); err != nil {
		return err
	}
	if a.registry, err = registry.Open(ctx, a.definition, a.cfg.Registry, checks(), a.log, a.metrics); err != nil {
		return err
	}
	a.onClose("catalog", a.registry.Close)
	a.openMLflow()
	if err = a.openWatching(ctx, db); err != nil {
		return err
	}
	a.openLineage()
	if a.pauses, err = ingestsql.New(ctx, db); err != nil {
		return err
	}
	if err := a.openKafka(ctx); err != nil {
		return err
	}
	if err := a.openRedis(ctx); err != nil {
		return err
	}
	tables, err := iceberg.Open(ctx, a.cfg.Offline.Catalog, a.cfg.Offline.Warehouse, a.log, iceberg.S3(a.cfg.S3))
	if err != nil {
		return err
	}
	a.tables = tables
	a.positionsNow = tables.Standing
	a.lookups.Beside(a.standing)
	a.onClose("tables", tables.Close)
	if a.joins, err = offline.NewJoins(a.joinConfig(), a.log, a.metrics); err != nil {
		return err
	}
	a.onClose("spill files", a.joins.Close)
	return a.restore(ctx)
}

// restore fills the embedded Redis, which starts empty, from the tables.
func (a *App) restore(ctx context.Context) error {
	if !a.cfg.EmbeddedRedis() {
		return nil
	}
	cat, err := a.registry.Current(ctx)
	if err != nil {
		return err
	}
	for _, v := range cat.Views() {
		if !v.IsOnline() {
			continue
		}
		t, err := a.tables.Table(ctx, v)
		if err != nil {
			return err
		}
		st, err := t.Load(ctx, offline.Version{})
		if err == nil {
			err = a.onlineWriter(v).Assign(ctx, st.Positions)
		}
		if cerr := t.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("fill the online store from the table of %s: %w", v.ID(), err)
		}
	}
	return nil
}

// checks are the rules of definitions that need a compiler.
func checks() registry.Checks {
	return registry.Checks{
		Schema: func(raw []byte) []feature.Fault {
			if _, err := decode.CompileSchema(&feature.Source{Schema: raw}); err != nil {
				return []feature.Fault{{Msg: err.Error()}}
			}
			return nil
		},
		Source: checkFormat,
		Suite: func(s *feature.Suite, v *feature.View) []feature.Fault {
			return expect.CheckView(s, v)
		},
	}
}

func (a *App) startIngest() (service, error) {
	var create func(context.Context, string) error
	replicas := int16(a.cfg.Kafka.Replicas)
	if a.cfg.EmbeddedKafka() {
		t := &topics{adm: kadm.NewClient(a.producer), n: int32(a.cfg.Kafka.Partitions), there: map[string]bool{}}
		create, replicas = t.create, 1
	}
	a.supervisor = ingest.NewSupervisor(ingest.SupervisorConfig{
		Config: a.cfg.Ingest, Catalogs: a.registry, Open: a.openOutlets, Kafka: a.kafka, Quarantine: a.held,
		Replicas: replicas, Protocol: a.cfg.Kafka.GroupProtocol, CreateTopic: create, Witness: a.writes, Formats: a.formats, Log: a.log, Metrics: a.ingestMetrics,
		Pauses: a.pauses, Alert: pauseAlerts{a.alerts}})
	ledger, err := ingest.OpenLedger(filepath.Join(a.cfg.DataDir, "imports.jsonl"))
	if err != nil {
		return service{}, err
	}
	a.importer = ingest.NewImporter(ingest.ImportConfig{
		Config: a.cfg.Ingest, Catalogs: a.registry, Open: a.openOutlets, Quarantine: a.held, Replicas: replicas, Log: a.log, Metrics: a.ingestMetrics,
		Ledger: ledger, Positions: a.positionsOf})
	a.replayer = a.newReplayer(replicas)
	return service{"ingest", a.supervisor.Run}, nil
}

// kickWatch tells the watch, where it runs in this process, that windows may have moved.
func (a *App) kickWatch() {
	if a.watch != nil {
		a.watch.Kick()
	}
}

// Address is one line of what `weir up` prints.
type Address struct{ What, Addr string }

// Addresses lists where a running process can be reached. Call it once Ready is closed.
func (a *App) Addresses() []Address {
	kind := func(own bool) string {
		if own {
			return " (embedded)"
		}
		return ""
	}
	return []Address{
		{"Kafka" + kind(a.cfg.EmbeddedKafka()), fmt.Sprint(join(a.brokers))},
		{"Redis" + kind(a.cfg.EmbeddedRedis()), join(a.redisAddrs)},
		{"gRPC", a.grpcAddr},
		{"HTTP", "http://" + a.HTTPAddr()},
		{"data", a.cfg.DataDir},
	}
}

func join(s []string) string {
	out := ""
	for i, x := range s {
		if i > 0 {
			out += ","
		}
		out += x
	}
	return out
}

// KafkaAddr, RedisAddr, GRPCAddr and HTTPAddr are host:port once Ready is closed.
func (a *App) KafkaAddr() string { return join(a.brokers) }
func (a *App) RedisAddr() string { return join(a.redisAddrs) }
func (a *App) GRPCAddr() string  { return a.grpcAddr }
func (a *App) HTTPAddr() string {
	if a.http == nil {
		return ""
	}
	return a.http.ln.Addr().String()
}
