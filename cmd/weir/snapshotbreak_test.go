package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/cmd/weir/command"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// breaking is a server of snapshots that goes wrong: it sends half of the rows, then does as it is told.
type breaking struct {
	weirv1.UnimplementedSnapshotServiceServer
	then    func(weirv1.SnapshotService_CreateServer, *ipc.Writer) error
	deleted chan string
	server  *grpc.Server
}

func (b *breaking) Create(s weirv1.SnapshotService_CreateServer) error {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "split", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	w := ipc.NewWriter(sending(func(p []byte) error {
		return s.Send(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Data{Data: bytes.Clone(p)}})
	}), ipc.WithSchema(schema))
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rb.Release()
	for i := range 1000 {
		rb.Field(0).(*array.Int64Builder).Append(int64(i))
		rb.Field(1).(*array.StringBuilder).Append([]string{"train", "test"}[i%2])
	}
	rec := rb.NewRecordBatch()
	defer rec.Release()
	if err := w.Write(rec); err != nil {
		return err
	}
	if b.then != nil {
		return b.then(s, w)
	}
	return b.rest(s, w)
}

// rest is how it should end.
func (b *breaking) rest(s weirv1.SnapshotService_CreateServer, w *ipc.Writer) error {
	if err := w.Close(); err != nil {
		return err
	}
	return s.Send(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Snapshot{Snapshot: &weirv1.Snapshot{Id: "x", Rows: 1000}}})
}

func (b *breaking) Delete(_ context.Context, r *weirv1.DeleteSnapshotRequest) (*weirv1.DeleteSnapshotResponse, error) {
	b.deleted <- r.Id
	return &weirv1.DeleteSnapshotResponse{}, nil
}

type sending func([]byte) error

func (f sending) Write(b []byte) (int, error) { return len(b), f(b) }

func breakingServer(t *testing.T, then func(weirv1.SnapshotService_CreateServer, *ipc.Writer) error) (addr string, b *breaking) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := grpc.NewServer()
	b = &breaking{then: then, deleted: make(chan string, 1), server: g}
	weirv1.RegisterSnapshotServiceServer(g, b)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return l.Addr().String(), b
}

// filesIn are the names in a folder.
func filesIn(t *testing.T, dir string) (out []string) {
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range all {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// TestSnapshotBrokenOff: whatever ends it in the middle, no half file is left and the
// files of before are as they were.
func TestSnapshotBrokenOff(t *testing.T) {
	spine := fileOf(t, "spine.csv", "id,event_timestamp\n1,2026-01-01\n")
	for _, out := range []string{"set.csv", "set-{split}.csv"} {
		kind, before := "one file", []string{"set.csv"}
		if strings.Contains(out, "{") {
			kind, before = "a file for each part", []string{"set-test.csv", "set-train.csv"}
		}
		folder := func(t *testing.T) string {
			dir := t.TempDir()
			for _, f := range before {
				require.NoError(t, os.WriteFile(filepath.Join(dir, f), []byte("old"), 0o600))
			}
			return dir
		}
		asBefore := func(t *testing.T, dir string) {
			require.Equal(t, before, filesIn(t, dir))
			for _, f := range before {
				b, err := os.ReadFile(filepath.Join(dir, f))
				require.NoError(t, err)
				require.Equal(t, "old", string(b))
			}
		}
		args := func(addr, dir string) []string {
			return []string{"--server", addr, "snapshot", "create", "--service", "s", "--spine", spine, "--out", filepath.Join(dir, out), "--split", "train=50,test=50"}
		}
		run := func(addr, dir string) (int, string) {
			var o, e bytes.Buffer
			return command.Main(args(addr, dir), strings.NewReader(""), &o, &e), e.String()
		}
		for name, then := range map[string]func(weirv1.SnapshotService_CreateServer, *ipc.Writer) error{
			"an error": func(weirv1.SnapshotService_CreateServer, *ipc.Writer) error {
				return status.Error(codes.Internal, "the disk is full")
			},
			"a bare end": func(weirv1.SnapshotService_CreateServer, *ipc.Writer) error { return nil },
			"no whole set": func(s weirv1.SnapshotService_CreateServer, _ *ipc.Writer) error {
				return s.Send(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Data{Data: []byte("nonsense, not Arrow")}})
			},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dir := folder(t)
				addr, _ := breakingServer(t, then)
				code, errs := run(addr, dir)
				require.Equal(t, 2, code)
				require.NotEmpty(t, errs)
				asBefore(t, dir)
			})
		}
		t.Run(kind+"/the server is gone", func(t *testing.T) {
			dir := folder(t)
			addr, b := breakingServer(t, nil)
			b.then = func(s weirv1.SnapshotService_CreateServer, _ *ipc.Writer) error {
				go b.server.Stop()
				<-s.Context().Done()
				return nil
			}
			code, errs := run(addr, dir)
			require.Equal(t, 2, code)
			require.Contains(t, errs, "the Weir at "+addr+" went away in the middle")
			asBefore(t, dir)
		})
		for _, how := range []string{"interrupt", "kill"} {
			t.Run(kind+"/"+how, func(t *testing.T) {
				dir := folder(t)
				half := make(chan struct{})
				addr, _ := breakingServer(t, func(s weirv1.SnapshotService_CreateServer, _ *ipc.Writer) error {
					close(half)
					<-s.Context().Done()
					return nil
				})
				p := spawn(t, args(addr, dir)...)
				select {
				case <-half:
				case err := <-p.done:
					p.done <- err
					t.Fatalf("it ended before its time: %v\n%s", err, p.logs)
				}
				require.Eventually(t, func() bool { return len(filesIn(t, dir)) == 2*len(before) }, 60*time.Second, 5*time.Millisecond, "%s", p.logs)
				if how == "interrupt" {
					require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
					err := <-p.done
					p.done <- err
					require.Error(t, err)
					require.Contains(t, p.logs.String(), "weir: interrupted")
					asBefore(t, dir)
					return
				}
				p.kill()
				for _, f := range filesIn(t, dir) {
					require.True(t, slices.Contains(before, f) || strings.HasPrefix(f, ".set") && strings.HasSuffix(f, ".part"), f)
				}
				whole, _ := breakingServer(t, nil)
				code, errs := run(whole, dir)
				require.Equal(t, 0, code, errs)
				require.Equal(t, before, filesIn(t, dir), "the next run has removed what was left")
				b, err := os.ReadFile(filepath.Join(dir, before[0]))
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(string(b), "id,split\n"))
			})
		}
	}

	// The snapshot is recorded, and its file cannot be had: it is deleted again.
	dir := t.TempDir()
	addr, b := breakingServer(t, nil)
	b.then = func(s weirv1.SnapshotService_CreateServer, w *ipc.Writer) error {
		for { // the client has begun its file: it looks whether it can be had before that, too
			if begun, err := os.ReadDir(dir); err != nil || len(begun) > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := os.MkdirAll(filepath.Join(dir, "set.csv", "in the way"), 0o700); err != nil {
			return err
		}
		return b.rest(s, w)
	}
	var o, e bytes.Buffer
	code := command.Main([]string{"--server", addr, "snapshot", "create", "--service", "s", "--spine", spine, "--out", filepath.Join(dir, "set.csv")}, strings.NewReader(""), &o, &e)
	require.Equal(t, 2, code, e.String())
	select {
	case id := <-b.deleted: // before the command ended
		require.Equal(t, "x", id)
	default:
		t.Fatalf("the snapshot was not deleted: %s", e.String())
	}
	require.Equal(t, []string{"set.csv"}, filesIn(t, dir))
}

// TestRowsUnreadable: a file that turns out to be unreadable while it is sent ends the
// command, with what is wrong with it, and leaves nothing.
func TestRowsUnreadable(t *testing.T) {
	w, spine := salesWeir(t, 50)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var made shown
	w.json(&made, "snapshot", "create", "--service", "model", "--spine", spine, "--out", file("good.csv"))
	tags := w.run("table", "log", "--view", "sales")

	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "event_timestamp", Type: arrow.FixedWidthTypes.Timestamp_us},
		{Name: "label", Type: arrow.PrimitiveTypes.Uint64}}, nil)
	var bad bytes.Buffer
	aw := ipc.NewWriter(&bad, ipc.WithSchema(schema))
	for i := range 3 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range 100 {
			b.Field(0).(*array.StringBuilder).Append("s01")
			b.Field(1).(*array.TimestampBuilder).Append(1767225600000000)
			b.Field(2).(*array.Uint64Builder).Append(uint64(i) << 62)
		}
		rec := b.NewRecordBatch()
		require.NoError(t, aw.Write(rec))
		rec.Release()
		b.Release()
	}
	require.NoError(t, aw.Close())
	require.NoError(t, os.WriteFile(file("bad.arrow"), bad.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(file("cut.arrow"), bad.Bytes()[:bad.Len()*2/5], 0o600))

	for name, says := range map[string]string{"bad.arrow": "row 201", "cut.arrow": "EOF"} {
		for _, args := range [][]string{
			{"snapshot", "create", "--service", "model", "--spine", file(name), "--out", file("x.csv")},
			{"snapshot", "verify", made.ID, "--spine", file(name)},
			{"export", "--service", "model", "--entities", file(name), "--time-column", "t", "--out", file("x.csv")},
		} {
			var code int
			var errs string
			done := make(chan struct{})
			go func() {
				defer close(done)
				code, _, errs = w.try(args...)
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatalf("weir %s does not end", strings.Join(args, " "))
			}
			require.Equal(t, 2, code, args)
			require.Contains(t, errs, name, args)
			require.Contains(t, errs, says, args)
		}
	}
	require.Equal(t, []string{"bad.arrow", "cut.arrow", "good.csv"}, filesIn(t, dir))
	w.eventually(func() bool { return w.run("table", "log", "--view", "sales") == tags }, "the tags of what did not come to be to go")
}
