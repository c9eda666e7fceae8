package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// salesManifest is a view with these features and a service with these columns.
func salesManifest(features, columns string) string {
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: Entity
metadata: {name: shop}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: sales}
spec: {topic: sales, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: sales}
spec:
  source: sales
  entities: [shop]
  features: [%s]
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model}
spec: {features: [%s]}
`, features, columns)
}

// TestEvolution changes a view while events flow: right after each step lookups,
// joins and audit see the rows of before under the names and types of now, and
// a training set of before can still be made again.
func TestEvolution(t *testing.T) {
	w := start(t, testConfig(t))
	cl := kafkaClient(t, w.app.KafkaAddr())
	put := func(manifest string, args ...string) {
		t.Helper()
		w.run(append([]string{"apply", "-f", fileOf(t, "sales.yaml", manifest)}, args...)...)
	}
	refused := func(manifest, why string) {
		t.Helper()
		for _, do := range []string{"plan", "apply"} {
			code, _, errs := w.try(do, "-f", fileOf(t, "sales.yaml", manifest))
			require.Equal(t, 1, code, do)
			require.Contains(t, errs, why, do)
		}
	}
	sale := func(id string, at time.Time, n int64, x float64) *kgo.Record {
		return &kgo.Record{Topic: "sales", Value: fmt.Appendf(nil, `{"id":%q,"at":%q,"n":%d,"x":%g,"y":%d}`, id, at.Format(time.RFC3339Nano), n, x, n%1000)}
	}
	lookup := func(id string) map[string]any {
		t.Helper()
		var got struct {
			Rows []struct {
				Features map[string]any `json:"features"`
			} `json:"rows"`
		}
		w.json(&got, "lookup", "--service", "model", "--entity", "id="+id)
		return got.Rows[0].Features
	}
	begin := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	spine := fileOf(t, "spine.csv", "id,event_timestamp\nold,"+begin.Add(time.Minute).Format(time.RFC3339)+"\n")
	train := func() (id string, row map[string]string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "training.csv")
		var snap struct {
			ID string `json:"id"`
		}
		w.json(&snap, "snapshot", "create", "--service", "model", "--spine", spine, "--time", "event", "--out", out)
		f, err := os.Open(out)
		require.NoError(t, err)
		defer f.Close()
		recs, err := csv.NewReader(f).ReadAll()
		require.NoError(t, err)
		require.Len(t, recs, 2)
		row = map[string]string{}
		for i, name := range recs[0][2:] {
			row[name] = recs[1][2+i]
		}
		return snap.ID, row
	}
	const v1 = "{name: n, type: int32}, {name: x, type: float32}"
	put(salesManifest(v1, `"sales:n", "sales:x"`))
	send(t, cl, sale("old", begin, 7, 0.1), sale("wide", begin, 1<<40, 0.1))
	w.arrived("default", "sales", 2)

	// A stream that does not stop for any of this.
	ctx, cancel := context.WithCancel(t.Context())
	sent := 2
	var stream sync.WaitGroup
	stream.Go(func() {
		for ctx.Err() == nil {
			if cl.ProduceSync(ctx, sale(fmt.Sprint("k", sent%20), begin.Add(time.Duration(sent)*time.Millisecond), int64(sent), float64(sent)/3)).FirstErr() == nil {
				sent++
			}
		}
	})
	defer stream.Wait()
	defer cancel()

	var made []string // training sets
	step := func(online map[string]any, offline map[string]string) {
		t.Helper()
		w.eventually(func() bool {
			got := lookup("old")
			for name := range online {
				if _, ok := got[name]; !ok {
					return false
				}
			}
			return len(got) == len(online)
		}, "serving to have the new definition")
		require.Equal(t, online, lookup("old"))
		id, row := train()
		require.Equal(t, offline, row)
		w.run("audit", "--view", "sales")
		made = append(made, id)
		for _, id := range made {
			w.verified(id, "old", begin.Add(time.Minute))
		}
	}
	step(map[string]any{"n": 7.0, "x": 0.1}, map[string]string{"n": "7", "x": "0.1"})
	require.EqualValues(t, 1, w.held("default", "sales").Total, "the number that needs 64 bits")

	// A new feature reads null in rows from before.
	put(salesManifest(v1+", {name: y, type: int32}", `"sales:n", "sales:x", "sales:y"`))
	step(map[string]any{"n": 7.0, "x": 0.1, "y": nil}, map[string]string{"n": "7", "x": "0.1", "y": ""})

	// Wider types: a float32 of before is the float64 that it was all the time.
	const v3 = "{name: n, type: int64}, {name: x, type: float64}, {name: y, type: int32}"
	out := w.run("apply", "-f", fileOf(t, "sales.yaml", salesManifest(v3, `"sales:n", "sales:x", "sales:y"`)))
	require.Contains(t, out, "feature n is widened from int32 to int64: clients of FeatureService model get int64")
	step(map[string]any{"n": 7.0, "x": float64(float32(0.1)), "y": nil}, map[string]string{"n": "7", "x": "0.10000000149011612", "y": ""})
	send(t, cl, sale("wide", begin.Add(time.Hour), 1<<40, 0.1))
	w.eventually(func() bool { return lookup("wide")["n"] == float64(1<<40) }, "a number that needs 64 bits")
	refused(salesManifest(strings.Replace(v3, "int64", "int32", 1), `"sales:n", "sales:x", "sales:y"`), "n cannot change from int64 to int32")
	refused(salesManifest(strings.Replace(v3, "int32", "string", 1), `"sales:n", "sales:x", "sales:y"`), "y cannot change from int32 to string")

	// A rename.
	const v4 = "{name: n, type: int64}, {name: total, type: float64, path: x, renamed_from: x}, {name: y, type: int32}"
	refused(salesManifest(v4, `"sales:n", "sales:x", "sales:y"`), `FeatureView "sales" has no feature "x": it is called total now`)
	put(salesManifest(v4, `"sales:n", "sales:total", "sales:y"`), "--allow-breaking")
	step(map[string]any{"n": 7.0, "total": float64(float32(0.1)), "y": nil}, map[string]string{"n": "7", "total": "0.10000000149011612", "y": ""})

	// A new feature under the old name is another one, and two swap their names.
	put(salesManifest(v4+", {name: x, type: int64, path: y}", `"sales:n", "sales:total", "sales:y", "sales:x"`))
	step(map[string]any{"n": 7.0, "total": float64(float32(0.1)), "y": nil, "x": nil}, map[string]string{"n": "7", "total": "0.10000000149011612", "y": "", "x": ""})
	put(salesManifest("{name: total, type: int64, path: n, renamed_from: n}, {name: n, type: float64, path: x, renamed_from: total}", `"sales:total", "sales:n"`), "--allow-breaking")
	step(map[string]any{"total": 7.0, "n": float64(float32(0.1))}, map[string]string{"total": "7", "n": "0.10000000149011612"})

	cancel()
	stream.Wait()
	st := w.arrived("default", "sales", int64(sent+1))
	require.EqualValues(t, int64(sent+1)-1, st.Rows, "every event once, but for the one that is held back")
	w.run("audit", "--view", "sales")
}

// verified makes a training set of one row again.
func (w *weir) verified(id, shop string, at time.Time) {
	w.t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "event_timestamp", Type: feature.Timestamp.Arrow()}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(shop)
	b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
	var spine bytes.Buffer
	out := ipc.NewWriter(&spine, ipc.WithSchema(schema))
	require.NoError(w.t, out.Write(b.NewRecordBatch()))
	require.NoError(w.t, out.Close())
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(w.t, err)
	defer conn.Close()
	s, err := weirv1.NewSnapshotServiceClient(conn).Verify(w.t.Context())
	require.NoError(w.t, err)
	require.NoError(w.t, s.Send(&weirv1.VerifySnapshotRequest{Part: &weirv1.VerifySnapshotRequest_Header{Header: &weirv1.VerifySnapshotHeader{Id: id, TimeColumn: "event_timestamp"}}}))
	require.NoError(w.t, s.Send(&weirv1.VerifySnapshotRequest{Part: &weirv1.VerifySnapshotRequest_Spine{Spine: spine.Bytes()}}))
	require.NoError(w.t, s.CloseSend())
	got, err := s.Recv()
	for err == nil && got.Progress != nil {
		got, err = s.Recv()
	}
	require.NoError(w.t, err)
	require.True(w.t, got.Equal, "%v", got.Differences)
}
