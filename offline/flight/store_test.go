package flight

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/stretchr/testify/require"
)

// put sends a spine in the older way.
func (b *bed) put(ctx context.Context, d *arrowflight.FlightDescriptor, schema *arrow.Schema, recs []arrow.RecordBatch) error {
	s, err := b.client.DoPut(ctx)
	if err != nil {
		return err
	}
	if err := sendAll(s, d, schema, recs); err != nil {
		return err
	}
	if _, err = s.Recv(); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (b *bed) get(ctx context.Context, d *arrowflight.FlightDescriptor) (result, error) {
	info, err := b.client.GetFlightInfo(ctx, d)
	if err != nil {
		return result{}, err
	}
	require.Len(b.t, info.Endpoint, 1)
	s, err := b.client.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		return result{}, err
	}
	return b.drain(s)
}

func TestPutAndGet(t *testing.T) {
	b := serve(t)
	schema, recs := spineOf(1000, 300)
	d := forCommand(`{"id":"mine","service":"doubles"}`)
	require.ErrorContains(t, b.put(t.Context(), forCommand(`{"service":"doubles"}`), schema, recs), "no id")
	require.NoError(t, b.put(t.Context(), d, schema, recs))
	require.ErrorContains(t, b.put(t.Context(), d, schema, recs), "one waits for this very command")

	b.trainer.fail = errors.New("broken")
	_, err := b.get(t.Context(), d)
	require.ErrorContains(t, err, "broken")
	b.trainer.fail = nil
	r, err := b.get(t.Context(), d) // what was not answered still waits
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.rows)
	require.EqualValues(t, 1998, r.doubles[999])
	require.Zero(t, b.service.store.bytes)

	_, err = b.client.GetFlightInfo(t.Context(), forCommand(`{"id":"mine","service":"nobody"}`))
	require.ErrorContains(t, err, "nobody")
	info, err := b.client.GetFlightInfo(t.Context(), d)
	require.NoError(t, err)
	require.Empty(t, info.Endpoint, "it was fetched; nothing waits")
	s, err := b.client.DoGet(t.Context(), &arrowflight.Ticket{Ticket: d.Cmd})
	require.NoError(t, err)
	_, err = s.Recv()
	require.ErrorContains(t, err, "none waits")
	files, err := os.ReadDir(b.service.opts.Folder)
	require.NoError(t, err)
	require.Empty(t, files)
}

// TestStoreIsBounded: in number, in bytes, in time.
func TestStoreIsBounded(t *testing.T) {
	b := serve(t, func(o *Options) { o.Config.Uploads, o.Config.Bytes = 2, 100_000 })
	schema, recs := spineOf(1000, 300) // 16 kB
	put := func(id string, recs []arrow.RecordBatch) error {
		return b.put(t.Context(), forCommand(`{"id":"`+id+`","service":"doubles"}`), schema, recs)
	}
	require.NoError(t, put("1", recs))
	_, large := spineOf(20_000, 1000)
	require.ErrorContains(t, put("2", large), "flight.bytes")
	require.NoError(t, put("2", recs), "what was refused takes no room")
	require.ErrorContains(t, put("3", recs), "flight.uploads")
	_, err := b.get(t.Context(), forCommand(`{"id":"1","service":"doubles"}`))
	require.NoError(t, err)
	require.NoError(t, put("3", recs))

	b = serve(t, func(o *Options) { o.Config.Age = time.Millisecond })
	require.NoError(t, b.put(t.Context(), forCommand(`{"id":"1","service":"doubles"}`), schema, recs))
	require.Eventually(t, func() bool {
		b.service.store.mu.Lock()
		defer b.service.store.mu.Unlock()
		return len(b.service.store.waits) == 0 && b.service.store.bytes == 0
	}, time.Minute, time.Millisecond)
}

// TestUploadCancelled: a client that goes away in the middle leaves nothing.
func TestUploadCancelled(t *testing.T) {
	b := serve(t)
	_, recs := spineOf(1000, 100)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := b.client.DoPut(ctx)
	require.NoError(t, err)
	w := arrowflight.NewRecordWriter(s)
	w.SetFlightDescriptor(forCommand(`{"id":"1","service":"doubles"}`))
	require.NoError(t, w.Write(recs[0]))
	require.Eventually(t, func() bool { return b.room() > 0 }, time.Minute, time.Millisecond)
	cancel()
	require.Eventually(t, func() bool { return b.room() == 0 }, time.Minute, time.Millisecond)
	require.False(t, b.service.store.has(key(forCommand(`{"id":"1","service":"doubles"}`))))
}

func (b *bed) room() int64 {
	b.service.store.mu.Lock()
	defer b.service.store.mu.Unlock()
	return b.service.store.bytes
}
