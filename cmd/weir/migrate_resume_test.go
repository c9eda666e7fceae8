package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/command"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/testserver"
)

// narrow passes connections on to a server. Once so many bytes went there it holds the others back, and then cuts them all.
type narrow struct {
	addr string
	cut  chan struct{} // closed: what is held back is cut
	left atomic.Int64  // bytes until the cut
	sent atomic.Int64  // bytes that went to the server
}

func narrowTo(t *testing.T, server string, most int64) *narrow {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	n := &narrow{addr: ln.Addr().String(), cut: make(chan struct{})}
	n.left.Store(most)
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() {
				defer in.Close()
				defer out.Close()
				_, _ = io.Copy(in, out)
			}()
			go func() {
				defer in.Close()
				defer out.Close()
				_, _ = io.Copy(out, readerFunc(func(b []byte) (int, error) {
					k, err := in.Read(b)
					if n.left.Add(-int64(k)) < 0 {
						<-n.cut
						return 0, io.ErrUnexpectedEOF
					}
					n.sent.Add(int64(k))
					return k, err
				}))
			}()
		}
	}()
	return n
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestMigrateGoesOn: a migration whose upload broke off is begun again from the start, and sends only what the server has not got. Each row comes once.
func TestMigrateGoesOn(t *testing.T) {
	server := testserver.OwnRedis(t)
	feast := feastIn(t, server.Addr)
	w := start(t, testConfig(t))
	w.apply(ridesManifest)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	const drivers, half = 3000, 600_000
	text := strings.Repeat("a long name of a city ", 20)
	for i := range int64(drivers) {
		feast.put(feast.key("rides", i, ""), "driver_stats", at, map[string]string{"trips": pbInt(4, i), "rating": pbFloat(1), "city": pbText(2, fmt.Sprint(i, text)), "seen": pbInt(8, 1_700_000_000)})
	}
	migrate := func(through string, more ...string) (code int, says string) {
		var out, errs bytes.Buffer
		code = command.Main(append([]string{"--server", through, "migrate", "feast-redis", "--redis", "redis://" + server.Addr, "--feast-project", "rides",
			"--view", "driver_stats", "--spool", t.TempDir()}, more...), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	dry := narrowTo(t, w.app.GRPCAddr(), 1<<40) // it sends all, and leaves nothing
	code, says := migrate(dry.addr, "--dry-run")
	require.Zero(t, code, says)
	size := dry.sent.Load()
	require.Greater(t, size, int64(drivers*len(text)))

	first := narrowTo(t, w.app.GRPCAddr(), half)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code, says = migrate(first.addr)
	}()
	there := func() (n int64) { // of the upload, on the server's disk
		_ = filepath.WalkDir(w.cfg.DataDir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), ingest.SpoolPrefix) {
				return nil
			}
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
			return nil
		})
		return n
	}
	w.eventually(func() bool { return there() > half/4 }, "a part of the upload")
	close(first.cut)
	<-ended
	require.NotZero(t, code, says)
	require.Zero(t, w.status("default", "driver_stats").Rows, "nothing of half a file is taken")

	whole := narrowTo(t, w.app.GRPCAddr(), 1<<40)
	code, says = migrate(whole.addr)
	require.Zero(t, code, says)
	t.Logf("%d bytes in all, %d after a first half of at most %d", size, whole.sent.Load(), half)
	require.Less(t, whole.sent.Load(), size-half/4, "it went on with what was there")
	require.EqualValues(t, drivers, w.status("default", "driver_stats").Rows)
	for _, i := range []int64{0, 1, drivers / 2, drivers - 1} {
		f, st, _ := w.driver(i, "eu")
		require.Equal(t, "PRESENT", st["driver_stats"])
		require.Equal(t, fmt.Sprint(i, text), f["city"])
	}
	w.run("audit", "--no-imports")

	// And once more, there is nothing to do.
	again := narrowTo(t, w.app.GRPCAddr(), 1<<40)
	code, says = migrate(again.addr)
	require.Zero(t, code, says)
	require.EqualValues(t, drivers, w.status("default", "driver_stats").Rows)
}
