package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/serving"
)

func open(t *testing.T, addrs []string) *Sink {
	t.Helper()
	s, err := New([]kgo.Opt{kgo.SeedBrokers(addrs...)}, Options{Topic: "seen", Partitions: 2, Replicas: 1, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return s
}

// The topic is made, and records come with key, time and value; a close waits for them.
func TestSink(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	at := time.Now()
	for range 2 { // the second finds the topic there
		s := open(t, c.ListenAddrs())
		kept := make(chan error, 10)
		for i := range 10 {
			s.Put([]byte("r"), fmt.Append(nil, i), at, func(err error) { kept <- err })
		}
		require.NoError(t, s.Close(ctx))
		for range 10 {
			require.NoError(t, <-kept)
		}
	}
	in, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("seen"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer in.Close()
	topic, err := kadm.NewClient(in).ListTopics(ctx, "seen")
	require.NoError(t, err)
	require.Len(t, topic["seen"].Partitions, 2)
	n := 0
	for n < 20 {
		f := in.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) {
			require.Equal(t, "r", string(r.Key))
			require.Equal(t, fmt.Sprint(n%10), string(r.Value), "records of a key stay in order")
			require.Equal(t, at.UnixMilli(), r.Timestamp.UnixMilli())
			n++
		})
	}
}

// Without Kafka nothing waits: what has no room is refused at once, and a close ends when it is told to.
func TestSinkWithoutKafka(t *testing.T) {
	t.Parallel()
	s := open(t, []string{"127.0.0.1:1"})
	value := make([]byte, 1<<20)
	const n = 2 * mostBytes >> 20
	outcomes := make(chan error, n)
	for range n {
		s.Put(nil, value, time.Now(), func(err error) { outcomes <- err })
	}
	for range n - mostBytes>>20 {
		require.ErrorIs(t, <-outcomes, serving.ErrFull)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
	for range mostBytes>>20 - 1 { // a record is a little larger than its value
		require.Error(t, <-outcomes)
	}
}
