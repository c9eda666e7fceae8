package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KafkaVersion is the Apache Kafka that scripts/setup-test.sh fetches.
const KafkaVersion = "4.3.1"

// Kafka is a broker that is its own controller. Stop, Kill, Pause and Resume
// are its Process'; what it acknowledged is there after a Stop and after a Kill.
type Kafka struct {
	*Process
	Addr string
	java string
	jars string
	dir  string
}

// KafkaHome is the folder with Kafka's jars: WEIR_TEST_KAFKA_HOME, else the one that
// scripts/setup-test.sh fills.
func KafkaHome() string {
	if home := os.Getenv("WEIR_TEST_KAFKA_HOME"); home != "" {
		return home
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "weir", "kafka-"+KafkaVersion)
}

// StartKafka runs a broker with its log in dir. Further properties override its
// own, one "name=value" each.
func StartKafka(ctx context.Context, dir string, properties ...string) (*Kafka, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("java is %w (Debian: default-jre-headless, 17 or later)", ErrAbsent)
	}
	jars := KafkaHome()
	if found, _ := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); len(found) == 0 {
		return nil, fmt.Errorf("kafka's jars are %w in %s (run scripts/setup-test.sh)", ErrAbsent, jars)
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	k := &Kafka{Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), java: java, jars: jars, dir: dir}
	settings := append([]string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", ports[1]),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", ports[0], ports[1]),
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + filepath.Join(dir, "data"),
		"num.partitions=4",
		// One broker, and internal topics no larger than a test needs.
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=4",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"share.coordinator.state.topic.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",
		"log.cleaner.dedupe.buffer.size=16777216",
		"log.index.size.max.bytes=1048576",
	}, properties...)
	if err := os.WriteFile(filepath.Join(dir, "server.properties"), []byte(strings.Join(settings, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	if out, err := k.cmd("kafka.tools.StorageTool", "format", "-t", "d2Vpci10ZXN0LWNsdXN0ZQ", "-c", k.properties()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting kafka's folder: %w\n%s", err, out)
	}
	return k, k.Start(ctx)
}

// Start runs a stopped broker again: same port, same data.
func (k *Kafka) Start(ctx context.Context) error {
	p, err := start(k.cmd("kafka.Kafka", k.properties()), filepath.Join(k.dir, "kafka.log"), syscall.SIGTERM)
	if err != nil {
		return err
	}
	k.Process = p
	return p.await(ctx, func(ctx context.Context) error { return KafkaReady(ctx, k.Addr) })
}

func (k *Kafka) properties() string { return filepath.Join(k.dir, "server.properties") }

// cmd runs one of Kafka's programs. The first compiler is enough and starts
// sooner; a broker for tests lives for seconds.
func (k *Kafka) cmd(args ...string) *exec.Cmd {
	return exec.Command(k.java, append([]string{
		"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dorg.apache.logging.log4j.level=WARN", "-cp", filepath.Join(k.jars, "*"),
	}, args...)...)
}

// KafkaReady is nil once the broker serves. It asks for the cluster's metadata:
// the port opens before the broker has registered itself.
func KafkaReady(ctx context.Context, addr string) error {
	if err := Dial(ctx, addr); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	res, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if len(res.Brokers) == 0 || res.ControllerID < 0 {
		return errors.New("no broker has registered")
	}
	return nil
}
