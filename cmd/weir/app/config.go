package app

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-ml/weir/cmd/weir/embedded"
	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/schemaregistry"
	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/outbox/cloudevent"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/flight"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
	"github.com/weir-ml/weir/serving"
	"github.com/weir-ml/weir/serving/feast"
)

// Config composes the rooms' settings. Each room explains and checks its own.
type Config struct {
	Project  string          `koanf:"project"`  // project of the command line where nothing else names one
	DataDir  string          `koanf:"data_dir"` // folder of everything embedded: Kafka, SQLite, tables
	Server   string          `koanf:"server"`   // address that commands speak gRPC to
	Memory   int64           `koanf:"memory"`   // bytes a server keeps to while it needs no more; see HoldMemory
	Log      LogConfig       `koanf:"log"`
	HTTP     HTTPConfig      `koanf:"http"`
	Kafka    KafkaConfig     `koanf:"kafka"`
	Redis    RedisConfig     `koanf:"redis"`
	Registry registry.Config `koanf:"registry"`
	Offline  offline.Config  `koanf:"offline"`
	S3       objects.Config  `koanf:"s3"`
	Online   online.Config   `koanf:"online"`
	Ingest   ingest.Config   `koanf:"ingest"`
	// SchemaRegistry has the schemas of events that name them.
	SchemaRegistry schemaregistry.Config `koanf:"schema_registry"`
	Serving        serving.Config        `koanf:"serving"`
	Flight         flight.Config         `koanf:"flight"`
	Feast          feast.Config          `koanf:"feast"`
	Drift          drift.Config          `koanf:"drift"`
	// Events is how they are written to the projects' topics.
	Events EventsConfig `koanf:"events"`
	// Alerts are where events go beside the projects' topics.
	Alerts AlertList `koanf:"alerts"`
	// Pipelines are where retraining is started.
	Pipelines PipelineList `koanf:"pipelines"`
	// MLflow has the models' versions, where it is set.
	MLflow MLflowConfig `koanf:"mlflow"`
	// OpenLineage is told of training sets, where it is set.
	OpenLineage openlineage.Config `koanf:"openlineage"`
}

// LogConfig says what is logged and how; to standard error.
type LogConfig struct {
	Level  string `koanf:"level"`  // debug, info, warn, error
	Format string `koanf:"format"` // text or json
}

// HTTPConfig is the server of lookups over HTTP, /metrics, /healthz and /readyz.
type HTTPConfig struct {
	Addr string `koanf:"addr"`
	// Hosts are the names, beside addresses and localhost, that the server is asked for. Others are refused where it
	// listens on a loopback address, or where there are any; * takes all.
	Hosts []string `koanf:"hosts"`
}

// KafkaConfig says which Kafka; with no brokers Weir runs its own.
type KafkaConfig struct {
	Brokers      []string      `koanf:"brokers"`
	TLS          bool          `koanf:"tls"`
	SASL         SASLConfig    `koanf:"sasl"`
	EmbeddedAddr string        `koanf:"embedded_addr"`
	Partitions   int           `koanf:"partitions"` // of topics that embedded Kafka creates
	Replicas     int           `koanf:"replicas"`   // of the topics Weir creates; -1 is the broker's default
	DialTimeout  time.Duration `koanf:"dial_timeout"`
	// GroupProtocol is how workers share partitions: classic, which every broker
	// knows, or consumer (KIP-848, Kafka 4.0 and later, 4.3 recommended), where the
	// broker divides them and a rebalance holds up nobody. A broker that does not know consumer gets classic.
	GroupProtocol string `koanf:"group_protocol"`
}

// SASLConfig logs in to Kafka.
type SASLConfig struct {
	Mechanism string      `koanf:"mechanism"` // plain, scram-sha-256, scram-sha-512; none when empty
	User      string      `koanf:"user"`
	Password  secret.Text `koanf:"password"`
}

// RedisConfig says which Redis; with no address Weir runs its own.
type RedisConfig struct {
	redis.Config `koanf:",squash"`
	EmbeddedAddr string `koanf:"embedded_addr"`
}

// DefaultConfig is what holds where nothing is configured: everything embedded, on 127.0.0.1.
func DefaultConfig() Config {
	return Config{
		Project:        "default",
		DataDir:        "weir-data",
		Server:         "127.0.0.1:6567",
		Memory:         384 << 20,
		Log:            LogConfig{Level: "info", Format: "text"},
		HTTP:           HTTPConfig{Addr: "127.0.0.1:6566"},
		Kafka:          KafkaConfig{EmbeddedAddr: embedded.DefaultKafkaAddr, Partitions: 4, Replicas: -1, DialTimeout: 5 * time.Second, GroupProtocol: ingest.ProtocolClassic},
		Redis:          RedisConfig{Config: redis.DefaultConfig(), EmbeddedAddr: embedded.DefaultRedisAddr},
		Registry:       registry.DefaultConfig(),
		Offline:        offline.DefaultConfig(),
		S3:             objects.DefaultConfig(),
		Online:         online.DefaultConfig(),
		Ingest:         ingest.DefaultConfig(),
		SchemaRegistry: schemaregistry.DefaultConfig(),
		Serving:        serving.DefaultConfig(),
		Flight:         flight.DefaultConfig(),
		Feast:          feast.DefaultConfig(),
		Drift:          drift.DefaultConfig(),
		Events:         EventsConfig{Mode: cloudevent.Structured, Format: weirFormat},
		MLflow:         DefaultMLflowConfig(),
		OpenLineage:    openlineage.DefaultConfig(),
	}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	for _, f := range feature.CheckName("project", c.Project) {
		errs = append(errs, f)
	}
	if c.DataDir == "" {
		errs = append(errs, errors.New("data_dir: must name a folder"))
	}
	if c.Memory < 0 || c.Memory > 0 && c.Memory < 64<<20 {
		errs = append(errs, fmt.Errorf("memory: must be 0 or at least %d (got %d)", 64<<20, c.Memory))
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		errs = append(errs, fmt.Errorf("log.level: must be debug, info, warn or error (got %q)", c.Log.Level))
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		errs = append(errs, fmt.Errorf("log.format: must be text or json (got %q)", c.Log.Format))
	}
	for _, a := range []struct{ field, addr string }{
		{"http.addr", c.HTTP.Addr}, {"server", c.Server},
		{"kafka.embedded_addr", c.Kafka.EmbeddedAddr}, {"redis.embedded_addr", c.Redis.EmbeddedAddr},
	} {
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: must be host:port (got %q)", a.field, a.addr))
		}
	}
	if err := checkHosts(c.HTTP.Hosts); err != nil {
		errs = append(errs, err)
	}
	if c.Kafka.Partitions < 1 {
		errs = append(errs, fmt.Errorf("kafka.partitions: must be above zero (got %d)", c.Kafka.Partitions))
	}
	switch c.Kafka.SASL.Mechanism {
	case "", "plain", "scram-sha-256", "scram-sha-512":
	default:
		errs = append(errs, fmt.Errorf("kafka.sasl.mechanism: must be plain, scram-sha-256 or scram-sha-512 (got %q)", c.Kafka.SASL.Mechanism))
	}
	if p := c.Kafka.GroupProtocol; p != ingest.ProtocolClassic && p != ingest.ProtocolConsumer {
		errs = append(errs, fmt.Errorf("kafka.group_protocol: must be classic or consumer (got %q)", p))
	}
	if u := c.Registry.URL; u != "" && !strings.HasPrefix(u, "sqlite:") && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		errs = append(errs, fmt.Errorf("registry.url: must begin with sqlite: or postgres:// (got %q)", redactURL(u)))
	}
	if sqldb.Same(c.Registry.URL, c.Offline.Catalog) {
		// Other engines write to Iceberg's catalog; they have no business with definitions, windows and events.
		errs = append(errs, fmt.Errorf("offline.catalog: must be another database than registry.url (got %q for both)", redactURL(c.Offline.Catalog)))
	}
	errs = append(errs, c.Redis.Config.Validate(), c.Registry.Validate(), c.Online.Validate(), c.Offline.Validate(), c.S3.Validate(), c.Ingest.Validate(), c.SchemaRegistry.Validate(), c.Serving.Validate(), c.Flight.Validate(), c.Feast.Validate(), c.Drift.Validate(), c.Events.Validate(), c.Alerts.Validate(), c.Pipelines.Validate(c.alertNames()), c.checkTimeouts(), c.MLflow.Validate(), c.OpenLineage.Validate())
	return errors.Join(errs...)
}

// EmbeddedKafka reports whether Weir runs its own Kafka; EmbeddedRedis likewise.
func (c *Config) EmbeddedKafka() bool { return len(c.Kafka.Brokers) == 0 }
func (c *Config) EmbeddedRedis() bool { return len(c.Redis.Addrs) == 0 }

// withPaths fills in where things are kept when nothing says so: in the data folder.
func (c Config) withPaths() Config {
	if c.Registry.URL == "" {
		c.Registry.URL = "sqlite:" + filepath.Join(c.DataDir, "catalog.db")
	}
	if c.Offline.Catalog == "" {
		c.Offline.Catalog = "sqlite:" + filepath.Join(c.DataDir, "tables.db")
	}
	if c.Offline.Warehouse == "" {
		c.Offline.Warehouse = filepath.Join(c.DataDir, "tables")
	}
	return c
}
