//go:build peers

package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/cmd/weir/command"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/registry/feature"
)

// product is a whole Weir in this process.
type product struct {
	t   *testing.T
	app *app.App
	cfg app.Config
}

func start(t *testing.T) *product {
	c := app.DefaultConfig()
	c.DataDir = t.TempDir()
	c.HTTP.Addr, c.Serving.Addr, c.Kafka.EmbeddedAddr, c.Redis.EmbeddedAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Ingest.FlushInterval = 50 * time.Millisecond
	c.Offline.Upkeep.Enabled = false // this test says when
	a, err := app.New(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	select {
	case <-a.Ready():
	case err := <-done:
		done <- nil
		t.Fatalf("weir ended before it was ready: %v", err)
	}
	return &product{t, a, c}
}

func (p *product) run(args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	code := command.Main(append([]string{"--server", p.app.GRPCAddr()}, args...), strings.NewReader(""), &out, &errs)
	require.Equal(p.t, 0, code, "weir %s\n%s%s", strings.Join(args, " "), out.String(), errs.String())
	return out.String()
}

const manifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: customer}
spec: {join_keys: [{name: customer_id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: orders}
spec:
  topic: orders
  event_time: {field: at, format: unix_ms}
  schema: {type: object, required: [customer_id, at]}
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: sane}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: %s, min_value: 0}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: orders}
spec:
  source: orders
  entities: [customer]
  suite: sane
  features:
    - {name: %s}
    - {name: country, type: string}
    %s
`

// apply puts the definitions in force: the first feature, and those that come later.
func (p *product) apply(first, more string) {
	f := filepath.Join(p.t.TempDir(), "orders.yaml")
	called, _, _ := strings.Cut(first, ",")
	require.NoError(p.t, os.WriteFile(f, []byte(fmt.Sprintf(manifest, called, first, more)), 0o644))
	p.run("apply", "-f", f)
}

// TestProduct: a stream into hundreds of small files, upkeep of ours and of
// Spark's in turns, definitions that change; after each step pyiceberg and DuckDB
// read the rows that Weir does, and in the end the audit finds nothing.
func TestProduct(t *testing.T) {
	p := start(t)
	p.apply("amount, type: int32", "")
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.app.KafkaAddr()), kgo.DefaultProduceTopic("orders"), kgo.AllowAutoTopicCreation())
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	rng := rand.New(rand.NewPCG(1, 2))
	base := time.Now().Add(-3 * 24 * time.Hour).UnixMilli()
	var sent int64
	arrived := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			var all []struct {
				Partitions []struct{ Position int64 }
			}
			require.NoError(t, json.Unmarshal([]byte(p.run("status", "--view", "orders", "-o", "json")), &all))
			var at int64
			for _, x := range all[0].Partitions {
				at += x.Position
			}
			return at == sent
		}, time.Minute, 20*time.Millisecond)
	}
	publish := func(n int, more string) {
		t.Helper()
		for range n {
			amount := rng.IntN(1000) - 10 // some are held back
			v := fmt.Sprintf(`{"customer_id":"c%03d","at":%d,"amount":%d,"country":%q%s}`, rng.IntN(200), base+rng.Int64N(3*24*3600_000), amount, []string{"de", "fr", "pt"}[rng.IntN(3)], more)
			require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Value: []byte(v)}).FirstErr())
		}
		sent += int64(n)
		arrived()
	}
	stream := func(n int, more string) {
		for range n {
			publish(20, more)
		}
	}
	stream(20, "")

	data := p.cfg.DataDir
	w := warehouse{filepath.Join(data, "tables.db"), filepath.Join(data, "tables"), "default", "orders", nil}
	engines := []*engine{w.start(t, "pyiceberg"), w.start(t, "duckdb")}
	spark := w.start(t, "spark")
	store, err := iceberg.Open(ctx, "sqlite:"+w.catalog, w.dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	agree := func(view *feature.View, when string) []string {
		t.Helper()
		tb, err := store.Table(ctx, view)
		require.NoError(t, err)
		want := read(t, tb, offline.Version{})
		require.NotEmpty(t, want)
		for _, e := range engines {
			same(t, want, e.rows(nil), when+": "+e.name)
		}
		return slices.Sorted(slices.Values(want))
	}
	view := func(version int, first string, t feature.Type, more ...feature.Field) *feature.View {
		v := &feature.View{Meta: feature.Meta{Project: "default", Name: "orders"}, Source: "orders", Entities: []string{"customer"}, Version: version}
		v.Keys = []feature.Field{{Name: "customer_id", Type: feature.String}}
		v.Features = append([]feature.Field{{Name: first, Type: t}, {Name: "country", Type: feature.String}}, more...)
		return v
	}
	v1 := view(1, "amount", feature.Int32)
	before := agree(v1, "streamed")
	p.run("table", "tag", "--view", "orders", "monday")

	p.run("compact", "--view", "orders")
	require.Equal(t, before, agree(v1, "compacted"), "compaction changes no row")
	stream(5, "")
	require.NotZero(t, spark.do("compact", nil))
	after := agree(v1, "spark has compacted")
	stream(5, "")
	require.Subset(t, agree(v1, "and the stream went on"), after)

	// Definitions change while files of the old kind are there.
	v2 := view(2, "amount", feature.Int64, feature.Field{Name: "channel", Type: feature.String})
	p.apply("amount, type: int64", "- {name: channel, type: string}")
	stream(5, `,"channel":"web"`)
	wide := agree(v2, "a wider type and a new feature")
	p.run("compact", "--view", "orders")
	require.Equal(t, wide, agree(v2, "compacted again"))
	p.run("expire", "--view", "orders", "--older-than", "0s", "--keep", "0", "--orphans")
	require.Equal(t, wide, agree(v2, "expired"))
	for _, e := range []*engine{engines[0], spark} {
		tagged := e.rows(call{"tag": "monday"})
		require.Len(t, tagged, len(before), "%s: the tagged version outlives expiry", e.name)
	}
	p.run("audit", "--view", "orders")
	spark.do("expire", nil)
	stream(5, `,"channel":"app"`)
	agree(v2, "spark has expired")
	p.run("audit", "--view", "orders")

	// Going back: what came after the tag is read from the log again.
	last := agree(v2, "before going back")
	p.run("table", "rollback", "--view", "orders", "--yes", "monday")
	arrived()
	require.Equal(t, last, agree(v2, "read again"))
	p.run("audit", "--view", "orders", "--skip-online")
	stream(2, "")
	wide = agree(v2, "and the stream went on")

	// Another name for the same values.
	p.apply("total, type: int64, path: amount, renamed_from: amount", "- {name: channel, type: string}")
	stream(2, "")
	cat := view(3, "total", feature.Int64, feature.Field{Name: "channel", Type: feature.String})
	cat.Features[0].Column, cat.Features[0].Path = "amount", "amount"
	renamed := agree(cat, "renamed")
	for _, row := range wide {
		cells := strings.Split(strings.Replace(row, " amount=", " total=", 1), " ")
		slices.SortFunc(cells, func(a, b string) int { return strings.Compare(name(a), name(b)) })
		require.Contains(t, renamed, strings.Join(cells, " "), "a row of before, under the new name")
	}
	p.run("audit", "--view", "orders", "--skip-online")
}
