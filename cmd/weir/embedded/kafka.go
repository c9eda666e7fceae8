package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/weir-ml/weir/registry/feature"
)

const (
	// DefaultKafkaAddr is where the embedded Kafka listens unless told otherwise.
	DefaultKafkaAddr = "127.0.0.1:19092"
	// MaxMessageBytes is the largest record batch the embedded Kafka takes where
	// a topic does not say otherwise: room for a 16 MiB event and what surrounds it.
	MaxMessageBytes = 20 << 20
)

// KafkaConfig says where the embedded Kafka keeps its log and where it listens.
type KafkaConfig struct {
	Dir        string       // the log's folder, made when it is not there; required
	Addr       string       // host:port; port 0 takes any free one; empty is DefaultKafkaAddr
	Partitions int          // of topics that are created without a number; 0 means 4
	Logger     *slog.Logger // nil discards
}

// Kafka is one broker in this process.
//
// It is franz-go's kfake with a data folder and a sync after each produced
// batch. What it does not do: replicate, and detect a failing fsync. A record
// stays for seven days, as on a broker with Kafka's own defaults; the sweep runs
// hourly, so a consumer has at least an hour after a start to fetch what is due.
type Kafka struct {
	addr    string
	cluster *kfake.Cluster
	lock    *dirLock
	once    sync.Once
}

// StartKafka loads the log in cfg.Dir, cuts off a last batch that was being
// written when the process died (nobody was told that it had arrived), and
// serves. It returns once clients can connect.
//
// Errors are feature.Errors: Conflict where another process uses the folder,
// Invalid where the address cannot be had, Internal where the log is damaged.
func StartKafka(ctx context.Context, cfg KafkaConfig) (*Kafka, error) {
	const op = "embedded.kafka"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.Addr == "" {
		cfg.Addr = DefaultKafkaAddr
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = 4
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dir == "" {
		return nil, feature.Errorf(feature.Invalid, op, "", "no folder for the log")
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, feature.Errorf(feature.Invalid, op, cfg.Dir, "cannot make the folder: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, feature.Errorf(feature.Conflict, op, cfg.Dir, "another process uses this folder: %w", err).
			WithHint("stop the other weir, or give this one a folder of its own with --data")
	}
	ln, err := listen(op, "kafka.embedded_addr", cfg.Addr)
	if err != nil {
		lock.release()
		return nil, err
	}
	addr := ln.Addr().String()
	fail := func(err error) (*Kafka, error) {
		ln.Close()
		lock.release()
		return nil, err
	}
	if err := verifyLog(cfg.Dir); err != nil {
		return fail(err)
	}
	ready := make(chan struct{})
	defer close(ready)
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return kafkaGuard{ln, ready}, nil }),
		kfake.DataDir(cfg.Dir),
		kfake.SyncWrites(),
		kfake.ClusterID("weir-embedded"),
		kfake.DefaultNumPartitions(cfg.Partitions),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":          strconv.Itoa(MaxMessageBytes),
			"default.replication.factor": "1",
		}),
		kfake.WithLogger(kfakeLogger{cfg.Logger.With("room", "embedded", "server", "kafka")}),
	)
	if err != nil {
		return fail(feature.Errorf(feature.Internal, op, cfg.Dir, "cannot load the log: %w", err).
			WithHint("restore the folder from a copy, or move it away to begin with an empty log; rows already in tables stay there"))
	}
	controlTopics(cluster)
	return &Kafka{addr: addr, cluster: cluster, lock: lock}, nil
}

// Addr is the bootstrap address, with the port that was really taken.
func (k *Kafka) Addr() string { return k.addr }

// Close disconnects clients, writes the state that makes the next start quick,
// and frees the folder. Closing twice is fine.
func (k *Kafka) Close() error {
	k.once.Do(func() {
		k.cluster.Close()
		k.lock.release()
	})
	return nil
}

// listen opens addr and explains what to change when it cannot.
func listen(op, setting, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, op, addr, "%s: must be host:port: %w", setting, err)
	}
	// The address that clients connect to is the one that is told to them later,
	// so "every interface" cannot work here.
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return nil, feature.Errorf(feature.Invalid, op, addr, "%s: must name one address (got %q)", setting, addr).
			WithHint("the embedded server is for this machine: use 127.0.0.1, or configure a real one")
	}
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, feature.Errorf(feature.Invalid, op, addr, "%w", err).
			WithHint("another program listens there, perhaps another weir up: stop it, or set %s to another address (%s:0 takes any free port)", setting, host)
	case err != nil:
		return nil, feature.Errorf(feature.Invalid, op, addr, "%w", err).
			WithHint("set %s to an address of this machine, like 127.0.0.1:0", setting)
	}
	return ln, nil
}

// kfakeLogger passes on what the broker says about its own state, not what it
// says about each request.
type kfakeLogger struct{ log *slog.Logger }

func (l kfakeLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	var to slog.Level
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	default:
		return
	}
	l.log.Log(context.Background(), to, strings.TrimSpace(fmt.Sprintf(format, args...)))
}
