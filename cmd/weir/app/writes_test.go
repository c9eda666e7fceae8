package app

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/cmd/weir/embedded"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving/feast"
)

// silenced is a connection that swallows produce requests once it is told to.
type silenced struct {
	net.Conn
	silent *atomic.Bool
	got    chan bool
}

func (s silenced) Write(b []byte) (int, error) {
	if s.silent.Load() && len(b) > 6 && b[4] == 0 && b[5] == 0 { // size, then the key of the request: 0 is produce
		select {
		case s.got <- true:
		default:
		}
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// TestWriteWhileKafkaHangs: a broker that has got the rows and says nothing does not keep
// the call longer than it waits. The producer itself cannot give such rows up.
func TestWriteWhileKafkaHangs(t *testing.T) {
	k, err := embedded.StartKafka(t.Context(), embedded.KafkaConfig{Dir: t.TempDir(), Addr: "127.0.0.1:0", Partitions: 1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Close() })
	var silent atomic.Bool
	got := make(chan bool, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return silenced{c, &silent, got}, err
	}))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	w := &writes{a: &App{producer: cl}, topics: &topics{adm: kadm.NewClient(cl), n: 1, there: map[string]bool{}}}
	src := &feature.Source{Topic: "t"}
	rows := func(text string) *attempt {
		return w.attempts.begin(text, []string{"v"}, []feast.Event{{Payload: []byte(text)}}, "t")
	}
	require.NoError(t, w.produce(t.Context(), src, rows("1")))

	silent.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.produce(ctx, src, rows("2")) }()
	<-got
	cancel()
	select {
	case err = <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the write goes on after its time")
	}
	require.Equal(t, feature.Unavailable, feature.KindOf(err), err)
	require.ErrorContains(t, err, "topic t")
}
