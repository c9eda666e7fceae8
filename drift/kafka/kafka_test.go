package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/outbox"
)

func TestDeliver(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()

	d := New(cl)
	for _, payload := range []string{"one", "two"} {
		require.NoError(t, d.Deliver(ctx, &outbox.Entry{
			ID: payload, Key: "shop/prices", Scope: "shop", Payload: []byte(payload), Headers: map[string]string{"content-type": "application/cloudevents+json"},
		}))
	}
	// A deliverer of another process finds the topic there.
	require.NoError(t, New(cl).Deliver(ctx, &outbox.Entry{Key: "shop/prices", Scope: "shop", Payload: []byte("three")}))

	in, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("weir.shop.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer in.Close()
	var got []string
	for len(got) < 3 {
		f := in.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) {
			require.Equal(t, "prices", string(r.Key))
			if len(got) < 2 {
				require.Equal(t, []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}, r.Headers)
			}
			got = append(got, string(r.Value))
		})
	}
	require.Equal(t, []string{"one", "two", "three"}, got)
}
