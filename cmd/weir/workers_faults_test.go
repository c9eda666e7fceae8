package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

// TestAuditFindsPlantedFaults breaks what running processes have stored, one
// thing at a time, where each of it is kept. weir audit names what was broken,
// with exit code 1, and finds nothing once it is mended.
func TestAuditFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	_, seed := killsAndSeed(t, 0)
	dir := t.TempDir()
	f := newFleet(t, fleet{
		project: "shop", kafka: testserver.OwnKafka(t, "group.min.session.timeout.ms=1000"), redis: testserver.OwnRedis(t), files: filepath.Join(dir, "tables"),
		catalog: "sqlite:" + filepath.Join(dir, "catalog.db"), tables: "sqlite:" + filepath.Join(dir, "tables.db"),
	}, 1, "")
	const topic, partitions = "people", 3
	s := newStream(topic, partitions, seed)
	cl := s.producer(t, f.kafka.Addr)
	defer cl.Close()
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	f.startHead()
	f.apply(workersManifest(f.project, topic))
	f.startWorker(0)
	for range 600 {
		r := s.next()
		require.NoError(t, cl.ProduceSync(t.Context(), r).FirstErr())
		s.heard(r, committed)
	}
	seqs, ends := s.inLog(t, f.kafka.Addr)
	views := workersViews()
	f.settled(topic, ends, len(views))
	for _, v := range views {
		f.check(s, seqs, v)
	}
	f.auditIsClean(seqs, views)
	f.stop(f.workers[0]) // nobody mends, nobody writes
	f.auditIsClean(seqs, views)

	found := func(view string) []difference {
		a := f.audit("--view", view)
		require.False(t, a.Clean)
		require.Len(t, a.Views, 1)
		require.Equal(t, view, a.Views[0].View)
		return a.Views[0].Differences
	}

	t.Run("a data file is gone", func(t *testing.T) {
		var file string
		require.NoError(t, filepath.WalkDir(f.files, func(path string, d fs.DirEntry, err error) error {
			if strings.Contains(path, "scores-") && strings.HasSuffix(path, ".parquet") {
				file = path
			}
			return err
		}))
		require.NotEmpty(t, file)
		require.NoError(t, os.Rename(file, file+".away"))
		named := false
		for _, d := range found("scores") {
			switch d.Kind {
			case "lost_file":
				named = true
				require.Contains(t, d.Path, filepath.Base(file))
			case "missing":
				require.Equal(t, topic, d.Topic)
			default:
				require.Fail(t, "a difference that nobody made", "%+v", d)
			}
		}
		require.True(t, named, "the file is not named")
		require.NoError(t, os.Rename(file+".away", file))
		require.True(t, f.audit("--view", "scores").Clean)
	})

	rdb := redis.NewClient(&redis.Options{Addr: f.redis.Addr})
	defer rdb.Close()
	key := ""
	for it := rdb.Scan(t.Context(), 0, "w:{shop/person/*}:people", 100).Iterator(); key == "" && it.Next(t.Context()); {
		if v, err := rdb.Get(t.Context(), it.Val()).Bytes(); err == nil && len(v) > 37 { // a row, no tombstone
			key = it.Val()
		}
	}
	require.NotEmpty(t, key)
	value, err := rdb.Get(t.Context(), key).Bytes()
	require.NoError(t, err)
	online := func(t *testing.T, kind string) {
		ds := found("people")
		require.Len(t, ds, 1)
		require.Equal(t, kind, ds[0].Kind)
		require.Contains(t, key, ds[0].Key)
		require.NoError(t, rdb.Set(t.Context(), key, value, 0).Err())
		require.True(t, f.audit("--view", "people").Clean)
	}
	t.Run("a key is gone", func(t *testing.T) {
		require.NoError(t, rdb.Del(t.Context(), key).Err())
		online(t, "online_missing")
	})
	t.Run("a value is another", func(t *testing.T) {
		other := append([]byte(nil), value...)
		other[len(other)-2] ^= 1 // in the score
		require.NoError(t, rdb.Set(t.Context(), key, other, 0).Err())
		online(t, "online_changed")
	})

	t.Run("an event in both places", func(t *testing.T) {
		rows, _ := f.readRows(views[0])
		var where at
		for a := range rows {
			where = a
			break
		}
		topics, err := kadm.NewClient(cl).ListTopics(t.Context(), topic)
		require.NoError(t, err)
		rec, err := readAt(t.Context(), f.kafka.Addr, topic, where)
		require.NoError(t, err)
		held := quarantine.NewWriter(cl).Session()
		entry := &quarantine.Entry{Project: f.project, View: "people", Topic: topic, TopicID: topics[topic].ID, Partition: where.part, Offset: where.offset,
			Timestamp: rec.Timestamp.UnixMicro(), Key: rec.Key, Payload: rec.Value, Reasons: []feature.Reason{{Rule: "planted"}}}
		require.NoError(t, held.Write(t.Context(), entry))
		require.NoError(t, held.Flush(t.Context()))
		ds := found("people")
		require.Len(t, ds, 1)
		require.Equal(t, "in_both", ds[0].Kind)
		require.Equal(t, topic, ds[0].Topic)
		require.Equal(t, where, at{ds[0].Partition, ds[0].First})
		require.Equal(t, ds[0].First, ds[0].Last)
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: quarantine.Topic(f.project, "people"), Key: []byte(entry.ID())}).FirstErr())
		require.True(t, f.audit("--view", "people").Clean)
	})
	f.stop(f.head)
}

// readAt reads one record.
func readAt(ctx context.Context, broker, topic string, a at) (*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {a.part: kgo.NewOffset().At(a.offset)}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for {
		fs := cl.PollRecords(ctx, 1)
		if err := fs.Err(); err != nil {
			return nil, err
		}
		for _, r := range fs.Records() {
			return r, nil
		}
	}
}
