package testserver_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/native"
)

const childEnv = "WEIR_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		r, err := native.StartRedis(context.Background(), dir)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("addr", r.Addr)
		time.Sleep(10 * time.Minute) // until killed
		os.Exit(1)
	}
	testserver.Main(m)
}

func kafkaClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestKafkaIsShared(t *testing.T) {
	a, b := testserver.Kafka(t), testserver.Kafka(t)
	require.Equal(t, a.Addr, b.Addr)
	topic := testserver.Name(t)
	_, err := kadm.NewClient(kafkaClient(t, a.Addr)).CreateTopic(within(t), 1, 1, nil, topic)
	require.NoError(t, err)
}

func TestOwnKafkaKeepsItsLog(t *testing.T) {
	k := testserver.OwnKafka(t, "num.partitions=2")
	ctx := within(t)
	topic := testserver.Name(t)
	cl := kafkaClient(t, k.Addr, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic))
	require.NoError(t, cl.ProduceSync(ctx, kgo.StringRecord("before")).FirstErr())
	k.Stop(t)
	k.Start(t)
	require.NoError(t, cl.ProduceSync(ctx, kgo.StringRecord("after")).FirstErr())
	k.Pause(t)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	require.Error(t, kafkaClient(t, k.Addr).Ping(short))
	k.Resume(t)

	in := kafkaClient(t, k.Addr, kgo.ConsumeTopics(topic))
	got := map[string]bool{}
	for len(got) < 2 {
		fs := in.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		fs.EachRecord(func(r *kgo.Record) { got[string(r.Value)] = true })
	}
	require.Equal(t, map[string]bool{"before": true, "after": true}, got)
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	require.NoError(t, err)
	require.Len(t, topics[topic].Partitions, 2)
}

func TestRedis(t *testing.T) {
	for name, keeps := range map[string]bool{"forgets": false, "keeps": true} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if keeps {
				args = []string{"--appendonly", "yes", "--appendfsync", "always"}
			}
			r := testserver.OwnRedis(t, args...)
			cl := redis.NewClient(&redis.Options{Addr: r.Addr})
			defer cl.Close()
			require.NoError(t, cl.Set(t.Context(), "k", "v", 0).Err())
			r.Kill(t)
			r.Start(t)
			n, err := cl.Exists(t.Context(), "k").Result()
			require.NoError(t, err)
			require.Equal(t, keeps, n == 1)
			r.Restart(t)
			require.NoError(t, cl.Ping(t.Context()).Err())
		})
	}
}

func TestPostgresGivesEachItsOwn(t *testing.T) {
	for range 2 {
		db, err := sql.Open("pgx", testserver.Postgres(t))
		require.NoError(t, err)
		defer db.Close()
		_, err = db.Exec("CREATE TABLE t (x int)")
		require.NoError(t, err)
	}
}

func TestS3GivesEachItsOwn(t *testing.T) {
	a, b := testserver.S3(t), testserver.S3(t)
	a.Put(t, "folder/x", []byte("1"))
	require.Equal(t, []string{"folder/x"}, a.Keys(t, ""))
	require.Empty(t, b.Keys(t, ""))
	a.Delete(t, "folder/x")
	require.Empty(t, a.Keys(t, ""))
}

func TestOwnS3KeepsItsObjects(t *testing.T) {
	s := testserver.OwnS3(t)
	s.Put(t, "x", []byte("1"))
	s.Kill(t)
	s.Start(t)
	require.Equal(t, []string{"x"}, s.Keys(t, ""))
	require.Zero(t, s.Uploads(t))
}

// TestChildrenDieWithTheirParent kills a process that has started a server.
func TestChildrenDieWithTheirParent(t *testing.T) {
	testserver.OwnRedis(t) // skips where there is none
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "addr ")
	require.True(t, ok, line)
	require.NoError(t, native.Dial(t.Context(), addr))
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	cmd.Wait()
	require.Eventually(t, func() bool { return native.Dial(t.Context(), addr) != nil }, 10*time.Second, 10*time.Millisecond)
}

func TestName(t *testing.T) {
	a, b := testserver.Name(t), testserver.Name(t)
	require.NotEqual(t, a, b)
	require.Regexp(t, `^testname_[0-9a-f]{12}$`, a)
}
