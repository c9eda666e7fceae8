//go:build peers

package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/weir-ml/weir/internal/testseed"
)

// messages keeps what a writer sends.
type messages []*arrowflight.FlightData

func (m *messages) Send(d *arrowflight.FlightData) error {
	*m = append(*m, proto.CloneOf(d))
	return nil
}

// TestHostileClient: a client that sends what is no spine, or a spine with wrong numbers in it, over many streams at
// once, then garbage in place of gRPC. The process lives, holds no memory for it, and answers others.
func TestHostileClient(t *testing.T) {
	seed := testseed.For(t)
	p := start(t)
	readme, dir := blocks(t, "../README.md"), t.TempDir()
	for _, name := range []string{"weather.yaml", "monday.jsonl"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(readme["file "+name]), 0o644))
	}
	p.run("apply", "-f", filepath.Join(dir, "weather.yaml"))
	p.run("import", "--view", "airport_weather", filepath.Join(dir, "monday.jsonl"))
	client, err := arrowflight.NewClientWithMiddleware(p.app.GRPCAddr(), nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(1<<30)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })

	schema := arrow.NewSchema([]arrow.Field{{Name: "origin", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "event_timestamp", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true}, {Name: "text", Type: arrow.BinaryTypes.StringView, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 500 {
		b.Field(0).(*array.StringBuilder).Append([]string{"EWR", "JFK", "LGA"}[i%3])
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1767589200_000_000 + int64(i)*60_000_000))
		require.NoError(t, b.Field(2).(*array.BinaryDictionaryBuilder).AppendString([]string{"a", "b"}[i%2]))
		b.Field(3).(*array.StringViewBuilder).Append("a text that is longer than twelve bytes")
	}
	rec := b.NewRecordBatch()
	var plain [2]messages
	for i, o := range [][]ipc.Option{nil, {ipc.WithZstd()}} {
		w := arrowflight.NewRecordWriter(&plain[i], append(o, ipc.WithSchema(schema))...)
		w.SetFlightDescriptor(&arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: []byte(`{"service":"delays","record":false}`)})
		require.NoError(t, w.Write(rec))
		require.NoError(t, w.Close())
	}
	send := func(m messages) (rows int64, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s, err := client.DoExchange(ctx)
		if err != nil {
			return 0, err
		}
		for _, d := range m {
			if err := s.Send(d); err != nil {
				break // why comes from reading
			}
		}
		_ = s.CloseSend()
		r, err := arrowflight.NewRecordReader(s)
		if err != nil {
			return 0, err
		}
		defer r.Release()
		for r.Next() {
			rows += r.RecordBatch().NumRows()
		}
		return rows, r.Err()
	}
	good := func() {
		t.Helper()
		rows, err := send(plain[0])
		require.NoError(t, err)
		require.EqualValues(t, 500, rows)
	}
	good()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)

	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered, refused := 0, 0
	for i := range 8 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for range 60 {
				var m messages
				for _, d := range plain[rng.IntN(2)] {
					m = append(m, proto.CloneOf(d))
				}
				for range 1 + rng.IntN(3) {
					d := m[rng.IntN(len(m))]
					b := d.DataHeader
					if rng.IntN(3) == 0 && len(d.DataBody) > 8 {
						b = d.DataBody
					}
					at := rng.IntN(len(b)-7) &^ 3
					switch rng.IntN(4) {
					case 0:
						b[at] ^= 1 << rng.IntN(8)
					case 1:
						binary.LittleEndian.PutUint32(b[at:], []uint32{0, 1 << 20, 1<<31 - 1, 1<<32 - 1}[rng.IntN(4)])
					case 2:
						binary.LittleEndian.PutUint64(b[at:], []uint64{1 << 30, 1 << 36, 1 << 40, 1<<63 - 1, 1<<64 - 1}[rng.IntN(5)])
					default:
						d.DataBody = d.DataBody[:len(d.DataBody)/2]
					}
				}
				_, err := send(m)
				mu.Lock()
				if err != nil {
					refused++
				} else {
					answered++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d answered, %d refused in %s", answered, refused, time.Since(began))
	require.NotZero(t, answered)
	require.NotZero(t, refused)

	// One message that is larger than any may be, and the head of one that never comes.
	_, err = send(messages{plain[0][0], {DataHeader: plain[0][1].DataHeader, DataBody: make([]byte, 300<<20)}})
	require.ErrorContains(t, err, "larger than max")
	for _, junk := range [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), make([]byte, 1<<20)} {
		c, err := net.Dial("tcp", p.app.GRPCAddr())
		require.NoError(t, err)
		_, _ = c.Write(junk)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = io.Copy(io.Discard, c)
		_ = c.Close()
		var late net.Error
		require.False(t, errors.As(err, &late) && late.Timeout(), "the connection stays open: %q", junk[:10])
	}
	good()
	for range 3 { // gRPC's pools of buffers outlive two
		runtime.GC()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapInuse)-int64(before.HeapInuse), int64(64<<20), "what refused streams brought is still held")
}
