package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/registry/feature"
)

func start(t testing.TB, dir string) *Kafka {
	t.Helper()
	k, err := StartKafka(t.Context(), KafkaConfig{Dir: dir, Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { k.Close() })
	return k
}

func client(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// read returns the values of the first n records of a topic's partitions.
func read(t testing.TB, addr, topic string, n int, opts ...kgo.Opt) map[string]int {
	t.Helper()
	cl := client(t, addr, append(opts, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	defer cl.Close() // while the broker is there to say goodbye to
	got := map[string]int{}
	ctx := within(t)
	for len(got) < n {
		fs := cl.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d of %d records", len(got), n)
		fs.EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
	}
	return got
}

// TestKafkaSurvivesKill produces to another process, kills it without notice,
// and reads from the folder it leaves: each acknowledged record and the
// committed offsets must be there.
func TestKafkaSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		defer cmd.Process.Kill()
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		addr, ok := strings.CutPrefix(strings.TrimSpace(line), "addr ")
		require.True(t, ok, line)

		cl := client(t, addr, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("events"), kgo.ConsumeTopics("events"),
			kgo.ConsumerGroup("g"), kgo.DisableAutoCommit())
		ctx := within(t)
		type ack struct {
			value string
			err   error
		}
		acks := make(chan ack, 1000)
		const send = 500
		for i := range send {
			v := fmt.Sprintf("%d-%d", round, i)
			cl.Produce(ctx, &kgo.Record{Key: []byte{byte(i)}, Value: []byte(v)}, func(r *kgo.Record, err error) {
				acks <- ack{string(r.Value), err}
			})
			if i%10 == 0 {
				require.NoError(t, cl.Flush(ctx)) // many small batches
			}
		}
		for range send / 2 { // the rest is in flight, or not, when the process dies
			a := <-acks
			require.NoError(t, a.err)
			acked[a.value] = true
		}
		fs := cl.PollFetches(ctx)
		require.NoError(t, fs.Err())
		require.NoError(t, cl.CommitUncommittedOffsets(ctx))
		committed := cl.CommittedOffsets()["events"]
		require.NotEmpty(t, committed)
		require.NoError(t, cmd.Process.Kill())
		cmd.Wait()
		for {
			select {
			case a := <-acks:
				if a.err == nil {
					acked[a.value] = true
				}
				continue
			default:
			}
			break
		}
		cl.CloseAllowingRebalance()

		k := start(t, dir)
		got := read(t, k.Addr(), "events", len(acked))
		for v := range acked {
			require.NotZero(t, got[v], "round %d: acknowledged record %s is gone", round, v)
		}
		offsets, err := kadm.NewClient(client(t, k.Addr())).FetchOffsets(ctx, "g")
		require.NoError(t, err)
		for p, o := range committed {
			at, ok := offsets.Lookup("events", p)
			require.True(t, ok)
			require.Equal(t, o.Offset, at.At, "round %d partition %d", round, p)
		}
		require.NoError(t, k.Close())
	}
}

func TestKafkaCleanRestart(t *testing.T) {
	dir := t.TempDir()
	k := start(t, dir)
	ctx := within(t)
	adm := kadm.NewClient(client(t, k.Addr()))
	_, err := adm.CreateTopic(ctx, 3, 1, nil, "events")
	require.NoError(t, err)
	before, err := adm.ListTopics(ctx, "events")
	require.NoError(t, err)
	cl := client(t, k.Addr(), kgo.DefaultProduceTopic("events"))
	for i := range 100 {
		require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr())
	}
	require.NoError(t, k.Close())
	require.NoError(t, k.Close())

	k = start(t, dir)
	after, err := kadm.NewClient(client(t, k.Addr())).ListTopics(ctx, "events")
	require.NoError(t, err)
	require.Equal(t, before["events"].ID, after["events"].ID, "the topic id is part of every position")
	require.Len(t, after["events"].Partitions, 3)
	require.Len(t, read(t, k.Addr(), "events", 100), 100)
}

// TestKafkaGroups reads with a classic group and with one of the next
// generation (KIP-848).
func TestKafkaGroups(t *testing.T) {
	k := start(t, t.TempDir())
	ctx := within(t)
	cl := client(t, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("events"))
	for i := range 50 {
		require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr())
	}
	require.Len(t, read(t, k.Addr(), "events", 50, kgo.ConsumerGroup("classic")), 50)
	//lint:ignore SA1029 the key is franz-go's
	next := context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true)
	require.Len(t, read(t, k.Addr(), "events", 50, kgo.ConsumerGroup("next"), kgo.WithContext(next)), 50)
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{"next", "classic"} // only groups of the next generation can be described so
	res, err := req.RequestWith(ctx, cl)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(res.Groups[0].ErrorCode))
	require.ErrorIs(t, kerr.ErrorForCode(res.Groups[1].ErrorCode), kerr.GroupIDNotFound)
	topics, err := kadm.NewClient(cl).ListTopics(ctx, "events")
	require.NoError(t, err)
	require.Len(t, topics["events"].Partitions, 4, "the default")
}

func TestKafkaLargeRecords(t *testing.T) {
	k := start(t, t.TempDir())
	ctx := within(t)
	cl := client(t, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchMaxBytes(MaxMessageBytes), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for _, mb := range []int{1, 10, 12, 16} {
		big := make([]byte, mb<<20)
		src := rand.NewChaCha8([32]byte{byte(mb)})
		src.Read(big)
		topic := fmt.Sprint("big", mb)
		require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: big}).FirstErr(), "%d MiB", mb)
		got := read(t, k.Addr(), topic, 1)
		require.Equal(t, 1, got[string(big)], "%d MiB", mb)
	}
	res, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, "big1")
	require.NoError(t, err)
	for _, c := range res[0].Configs {
		if c.Key == "max.message.bytes" {
			require.Equal(t, fmt.Sprint(MaxMessageBytes), c.MaybeValue())
		}
	}
}

func TestKafkaFolderInUse(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	_, err := StartKafka(t.Context(), KafkaConfig{Dir: dir, Addr: "127.0.0.1:0"})
	require.Equal(t, feature.Conflict, feature.KindOf(err))
	require.ErrorContains(t, err, "another process uses this folder")
}

func TestPortInUse(t *testing.T) {
	k := start(t, t.TempDir())
	_, err := StartKafka(t.Context(), KafkaConfig{Dir: t.TempDir(), Addr: k.Addr()})
	require.ErrorContains(t, err, "kafka.embedded_addr")
	_, err = StartRedis(t.Context(), RedisConfig{Addr: k.Addr()})
	require.ErrorContains(t, err, "redis.embedded_addr")
	_, err = StartRedis(t.Context(), RedisConfig{Addr: "0.0.0.0:0"})
	require.ErrorContains(t, err, "must name one address")
	_, err = StartRedis(t.Context(), RedisConfig{Addr: "nonsense"})
	require.ErrorContains(t, err, "must be host:port")
}

// TestKafkaDamage changes the files of a stopped broker. A torn last batch is
// dropped; anything else is refused, and the folder is left as it was.
func TestKafkaDamage(t *testing.T) {
	template := t.TempDir()
	k := start(t, template)
	ctx := within(t)
	adm := kadm.NewClient(client(t, k.Addr()))
	_, err := adm.CreateTopic(ctx, 1, 1, nil, "events")
	require.NoError(t, err)
	cl := client(t, k.Addr(), kgo.DefaultProduceTopic("events"), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	for i := range 5 {
		require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, "value", i)}).FirstErr())
	}
	require.NoError(t, k.Close())
	const seg = "partitions/events-0/0.dat"
	data, err := os.ReadFile(filepath.Join(template, seg))
	require.NoError(t, err)
	batch := 12 + int(binary.BigEndian.Uint32(data[8:]))
	require.Len(t, data, 5*batch)

	for _, c := range []struct {
		name   string
		change func(dir string)
		keep   int    // records, when it starts
		err    string // else
	}{
		{"untouched", func(string) {}, 5, ""},
		{"torn in the body", func(d string) { os.Truncate(filepath.Join(d, seg), int64(5*batch-3)) }, 4, ""},
		{"torn in the head", func(d string) { os.Truncate(filepath.Join(d, seg), int64(4*batch+7)) }, 4, ""},
		{"zeros at the end", func(d string) {
			edit(t, d, seg, func(b []byte) []byte { return append(b[:4*batch], make([]byte, 5000)...) })
		}, 4, ""},
		{"last batch garbled", func(d string) { edit(t, d, seg, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }) }, 4, ""},
		{"middle garbled", func(d string) { edit(t, d, seg, func(b []byte) []byte { b[2*batch+40] ^= 1; return b }) }, 0, "does not match its checksum"},
		{"middle zeroed", func(d string) { edit(t, d, seg, func(b []byte) []byte { clear(b[batch : 2*batch]); return b }) }, 0, "no batch begins"},
		{"bad json", func(d string) { edit(t, d, "topics.json", func(b []byte) []byte { return b[:len(b)/2] }) }, 0, "topics.json"},
		{"no meta", func(d string) { os.Remove(filepath.Join(d, "meta.json")) }, 0, "no meta.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(template)))
			c.change(dir)
			k, err := StartKafka(t.Context(), KafkaConfig{Dir: dir, Addr: "127.0.0.1:0"})
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.ErrorContains(t, err, dir)
				_, again := StartKafka(t.Context(), KafkaConfig{Dir: dir, Addr: "127.0.0.1:0"})
				require.EqualError(t, again, err.Error(), "a refused start changes nothing and frees the folder")
				return
			}
			require.NoError(t, err)
			defer k.Close()
			require.Len(t, read(t, k.Addr(), "events", c.keep), c.keep)
		})
	}
}

func edit(t *testing.T, dir, name string, f func([]byte) []byte) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), f(bytes.Clone(b)), 0o644))
}

// TestKafkaStrangers connects with things that are not Kafka clients.
func TestKafkaStrangers(t *testing.T) {
	k := start(t, t.TempDir())
	for name, msg := range map[string]string{
		"http":        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"tls":         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"unknown key": "\x00\x00\x00\x10\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00\x00\x00",
		"negative":    "\xff\xff\xff\xff\x00\x00\x00\x00",
		"tiny":        "\x00\x00\x00\x02\x00\x03\x00\x00",
	} {
		t.Run(name, func(t *testing.T) { closesOn(t, k.Addr(), msg) })
	}
	require.NoError(t, client(t, k.Addr()).Ping(within(t)))
}

// closesOn sends msg and waits for the server to hang up.
func closesOn(t *testing.T, addr, msg string) {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte(msg))
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	_, err = io.Copy(io.Discard, c)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}
