package embedded

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkKafkaStart is how long a start takes on a log of so many 205-byte
// records in batches of a hundred: after a clean stop, and after a kill, when
// the broker cannot trust what it noted.
func BenchmarkKafkaStart(b *testing.B) {
	for _, records := range []int{100_000, 1_000_000} {
		dir := filepath.Join(b.TempDir(), "log")
		fill(b, dir, records)
		for _, how := range []string{"clean", "killed"} {
			b.Run(fmt.Sprintf("records=%d/%s", records, how), func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					if how == "killed" {
						snaps, err := filepath.Glob(filepath.Join(dir, "partitions", "*", "snapshot.json"))
						require.NoError(b, err)
						require.NotEmpty(b, snaps)
						for _, s := range snaps {
							require.NoError(b, os.Remove(s))
						}
					}
					b.StartTimer()
					k, err := StartKafka(b.Context(), KafkaConfig{Dir: dir, Addr: "127.0.0.1:0"})
					b.StopTimer()
					require.NoError(b, err)
					require.NoError(b, k.Close())
					b.StartTimer()
				}
			})
		}
	}
}

func fill(b *testing.B, dir string, records int) {
	k := start(b, dir)
	cl := client(b, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("events"), kgo.MaxBufferedRecords(100_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := bytes.Repeat([]byte("x"), 205)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range records {
		wg.Add(1)
		cl.Produce(b.Context(), &kgo.Record{Value: value, Key: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			wg.Done()
			if err != nil {
				b.Error(err)
			}
		})
		if i%100 == 99 {
			require.NoError(b, cl.Flush(b.Context()))
		}
	}
	wg.Wait()
	b.Logf("%d records written in %v, acknowledged each hundred", records, time.Since(began).Round(time.Millisecond))
	cl.Close()
	require.NoError(b, k.Close())
}
