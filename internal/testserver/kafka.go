package testserver

import (
	"context"
	"os"
	"testing"

	"github.com/weir-ml/weir/internal/testserver/native"
)

// KafkaServer is one broker.
type KafkaServer struct {
	Addr string // host:port, or several with commas where the environment names them
	control
}

// Kafka gives a broker that other tests may use at the same time.
func Kafka(t testing.TB) *KafkaServer {
	t.Helper()
	if addr := os.Getenv("WEIR_TEST_KAFKA"); addr != "" {
		return &KafkaServer{Addr: addr}
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	if !process.active {
		return &KafkaServer{Addr: startKafka(t, t.Cleanup)}
	}
	if process.kafka == nil {
		process.kafka = &KafkaServer{Addr: startKafka(t, process.later)}
	}
	return process.kafka
}

// OwnKafka gives a broker of the test's own, which it may stop, kill, pause and
// start again. Properties are Kafka's, "name=value" each. It is always a child
// process.
func OwnKafka(t testing.TB, properties ...string) *KafkaServer {
	t.Helper()
	k := nativeKafka(t, t.Cleanup, properties...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kafka said at the end:\n%s", k.Tail())
		}
	})
	return &KafkaServer{Addr: k.Addr, control: control{k}}
}

func startKafka(t testing.TB, later func(func())) string {
	t.Helper()
	if engine() {
		addr, err := kafkaContainer(starting(t), later)
		if err == nil {
			return addr
		}
		t.Logf("no kafka container, starting a process instead: %v", err)
	}
	return nativeKafka(t, later).Addr
}

func nativeKafka(t testing.TB, later func(func()), properties ...string) *native.Kafka {
	t.Helper()
	k, err := native.StartKafka(starting(t), tempDir(t, later), properties...)
	if k != nil && k.Process != nil {
		later(func() { k.Kill() })
	}
	if err != nil {
		absent(t, "kafka", err)
	}
	return k
}

// kafkaContainer starts Kafka's own image. The broker tells clients its address
// outside the container, which is known only once the container runs, so the
// image's own start waits for a file that says it.
func kafkaContainer(ctx context.Context, later func(func())) (string, error) {
	const script = "/tmp/weir-start.sh"
	c, err := runContainer(ctx, "apache/kafka:"+native.KafkaVersion, "9092/tcp", later, map[string]string{
		"KAFKA_NODE_ID":                                          "1",
		"KAFKA_PROCESS_ROLES":                                    "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                         "1@localhost:9093",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                        "CONTROLLER",
		"KAFKA_LISTENERS":                                        "PLAINTEXT://:9092,CONTROLLER://:9093",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                   "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 "1",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                    "1",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            "1",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                 "0",
		"KAFKA_NUM_PARTITIONS":                                   "4",
	}, "sh", "-c", "while [ ! -f "+script+" ]; do sleep 0.1; done; . "+script)
	if err != nil {
		return "", err
	}
	start := "export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://" + c.addr + "\nexec /etc/kafka/docker/run\n"
	if err := c.CopyToContainer(ctx, []byte(start), script, 0o755); err != nil {
		return "", err
	}
	return c.addr, await(ctx, func(ctx context.Context) error { return native.KafkaReady(ctx, c.addr) })
}
