package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
	feast "github.com/weir-ml/weir/proto/feast/serving"
	"github.com/weir-ml/weir/proto/inference"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	lookupEntities = 100_000
	lookupViews    = 3
	lookupTTL      = 30 * 24 * time.Hour
)

// lookups is a server of lookups with three views in Redis.
type lookups struct {
	server  *process
	redis   *goredis.Client
	asFeast feast.ServingServiceClient
	asModel inference.GRPCInferenceServiceClient
}

func user(who int) string { return fmt.Sprintf("u%08d", who) }

// userKey is where the online store has a user's row: 30 bytes.
func userKey(view, who int) string { return fmt.Sprintf("w:{default/user/%s}:vw%d", user(who), view) }

// userView is a view of ten numbers and a text, as the catalog resolves it.
func userView(n int) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "default", Name: fmt.Sprintf("vw%d", n)}, Source: "users", Entities: []string{"user"}, Version: 1,
		TTL: feature.Duration(lookupTTL), Keys: []feature.Field{{Name: "id", Type: feature.String, Path: "id"}}}
	for i := range numbers {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%d_%d", n, i), Type: feature.Float64})
	}
	v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("s%d", n), Type: feature.String})
	return v
}

func lookupManifests() string {
	var b strings.Builder
	b.WriteString(`
apiVersion: weir/v1
kind: Entity
metadata: {name: user, description: A user, owner: bench@example.com}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: users, description: Figures of users, owner: bench@example.com}
spec: {topic: users, event_time: {field: ts}}
`)
	var refs []string
	for n := range lookupViews {
		v := userView(n)
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: FeatureView\nmetadata: {name: %s, description: Figures, owner: bench@example.com}\nspec:\n  source: users\n  entities: [user]\n  ttl: %s\n  features:\n", v.Meta.Name, lookupTTL)
		for i, f := range v.Features {
			fmt.Fprintf(&b, "    - {name: %s, type: %s}\n", f.Name, f.Type)
			if i < numbers {
				refs = append(refs, v.Meta.Name+":"+f.Name)
			}
		}
	}
	for name, n := range map[string]int{"one": 1, "three": lookupViews} {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: FeatureService\nmetadata: {name: %s, description: Figures, owner: bench@example.com}\nspec: {features: [%s]}\n",
			name, strings.Join(refs[:n*numbers], ", "))
	}
	return b.String()
}

// noTable is the table of rows that came from nowhere.
type noTable struct{}

func (noTable) Positions(context.Context, *feature.View) ([]feature.Position, error) { return nil, nil }
func (noTable) Newest(context.Context, *feature.View, func(*feature.Batch) error) error {
	return nil
}
func (noTable) Since(context.Context, *feature.View, []feature.Position, func(*feature.Batch) error) error {
	return nil
}

// fill puts the definitions in force and the rows of all views into Redis, as ingestion
// does. It returns the bytes that an entity of the first view takes there.
func (w *lookups) fill(ctx context.Context, addr string) (perEntity float64, err error) {
	if err := w.server.apply(ctx, lookupManifests()); err != nil {
		return 0, err
	}
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{addr}
	store, err := redis.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer store.Close()
	before, err := w.memory(ctx)
	if err != nil {
		return 0, err
	}
	const rows = 10_000
	for n := range lookupViews {
		v := userView(n)
		out := online.NewWriter(v, store, noTable{}, online.Options{})
		for from := 0; from < lookupEntities; from += rows {
			b := userRows(v, from, rows)
			err := out.Write(ctx, b)
			b.Rows.Release()
			if err != nil {
				return 0, err
			}
		}
		if n == 0 {
			after, err := w.memory(ctx)
			if err != nil {
				return 0, err
			}
			perEntity = (after - before) / lookupEntities
		}
	}
	return perEntity, nil
}

func (w *lookups) memory(ctx context.Context) (used float64, err error) {
	text, err := w.redis.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		_, _ = fmt.Sscanf(line, "used_memory:%f", &used)
	}
	return used, nil
}

func userRows(v *feature.View, from, rows int) *feature.Batch {
	now := time.Now().UnixMicro()
	b := &feature.Batch{View: v, Origin: feature.Origin{Topic: "users", TopicID: [16]byte{1}, First: int64(from), Next: int64(from + rows)}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	defer rb.Release()
	for i := range rows {
		row := int64(from + i)
		b.Offsets = append(b.Offsets, row)
		b.EventTime, b.KnownTime = append(b.EventTime, now), append(b.KnownTime, now+1_500_000)
		rb.Field(0).(*array.StringBuilder).Append(user(int(row)))
		for f := range numbers {
			rb.Field(1 + f).(*array.Float64Builder).Append(amount(row, f))
		}
		rb.Field(1 + numbers).(*array.StringBuilder).Append(plan(row))
	}
	b.Rows = rb.NewRecordBatch()
	return b
}

// check compares the values of one answer.
func (w *lookups) check(ctx context.Context, s shape) error {
	const from = 12_345
	a, err := w.server.features.Lookup(ctx, w.request(s, from))
	if err != nil {
		return err
	}
	for i, col := range a.Columns {
		for row, got := range col.Values.GetDoubles().GetValues() {
			if want := amount(int64((from+row*7)%lookupEntities), i%numbers); got != want {
				return fmt.Errorf("lookup of %s: %s of %s is %v, not %v", s.what, col.Name, user((from+row*7)%lookupEntities), got, want)
			}
		}
	}
	return nil
}
