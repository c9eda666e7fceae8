package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	entities   = 100_000
	commits    = 200
	commitRows = 10_000
	numbers    = 10 // float64 features of the view
	// rowEvery spreads the rows over five days, as a stream of four events a second would.
	rowEvery = 5 * 24 * time.Hour / (commits * commitRows)
)

// filledTable is a data folder with a table of 2M rows of 100,000 customers.
type filledTable struct {
	data   string
	newest []int32 // by customer: its newest row
}

const statsManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: customer, description: A customer, owner: bench@example.com}
spec:
  join_keys: [{name: customer_id, type: string}]
---
apiVersion: weir/v1
kind: Source
metadata: {name: stats, description: Figures of customers, owner: bench@example.com}
spec:
  topic: stats
  event_time: {field: ts}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: stats, description: The newest figures of each customer, owner: bench@example.com}
spec:
  source: stats
  entities: [customer]
  features:
@FEATURES@
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: stats, description: Ten figures, owner: bench@example.com}
spec:
  features: [@REFS@]
`

// statsView is the view of statsManifest as the catalog resolves it.
func statsView() *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "default", Name: "stats"}, Source: "stats", Entities: []string{"customer"}, Version: 1,
		Keys: []feature.Field{{Name: "customer_id", Type: feature.String, Path: "customer_id"}}}
	for i := range numbers {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("amount_%d", i), Type: feature.Float64})
	}
	v.Features = append(v.Features, feature.Field{Name: "plan", Type: feature.String})
	return v
}

func manifestOf(v *feature.View) string {
	var features, refs []string
	for i, f := range v.Features {
		features = append(features, fmt.Sprintf("    - {name: %s, type: %s}", f.Name, f.Type))
		if i < numbers {
			refs = append(refs, "stats:"+f.Name)
		}
	}
	return strings.NewReplacer("@FEATURES@", strings.Join(features, "\n"), "@REFS@", strings.Join(refs, ", ")).Replace(statsManifest)
}

// filled makes the table once. The definitions go in through a running weir, the
// rows through the writer that ingestion commits with, as an import, so that the
// table stands on no partition of a topic that Kafka does not have.
func (r *run) filled(ctx context.Context) (*filledTable, error) {
	if r.table != nil {
		return r.table, nil
	}
	t := &filledTable{data: filepath.Join(r.dir, "filled"), newest: make([]int32, entities)}
	p, err := r.up(ctx, t.data, "")
	if err != nil {
		return nil, err
	}
	view := statsView()
	if err := p.apply(ctx, manifestOf(view)); err != nil {
		_ = p.stop()
		return nil, err
	}
	if err := p.stop(); err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(t.data, "tables.db"), filepath.Join(t.data, "tables"), log)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	table, err := store.Table(ctx, view)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	w, err := offline.NewWriter(table, offline.DefaultConfig(), log, nil)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	hash := sha256.Sum256([]byte("the rows of weir's own benchmark"))
	at := feature.Position{Topic: "stats", TopicID: [16]byte(hash[:16]), Partition: feature.ImportPartition}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range commits {
		b := t.batch(view, at, commitRows, rng)
		c := &feature.Commit{ID: fmt.Sprintf("bench-%03d", i), View: view, Advances: []feature.Advance{{From: at, To: at, Final: i == commits-1}}}
		to := &c.Advances[0].To
		to.Next, to.Revision, to.Commit, to.Started = b.Origin.Next, 1, c.ID, when(commits*commitRows)
		if err := w.Write(ctx, b); err != nil {
			return nil, err
		}
		b.Rows.Release()
		w.Cut(c)
		if err := w.Stage(ctx, c); err != nil {
			return nil, err
		}
		if err := w.Commit(ctx, c); err != nil {
			return nil, err
		}
		if err := w.Settle(ctx, c); err != nil {
			return nil, err
		}
		at = *to
	}
	r.table = t
	return t, nil
}

// when is the event time of a row in microseconds.
func when(row int64) int64 {
	return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro() + row*rowEvery.Microseconds()
}

// batch is the next rows. The first 100,000 are of each customer once; the rest
// are of any.
func (t *filledTable) batch(view *feature.View, at feature.Position, rows int64, rng *rand.Rand) *feature.Batch {
	b := &feature.Batch{View: view, Origin: feature.Origin{Topic: at.Topic, TopicID: at.TopicID, Partition: at.Partition, First: at.Next, Next: at.Next + rows}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, view.Schema())
	defer rb.Release()
	for i := range rows {
		row := at.Next + i
		who := int(row)
		if who >= entities {
			who = rng.IntN(entities)
		}
		t.newest[who] = int32(row)
		b.Offsets = append(b.Offsets, row)
		b.EventTime, b.KnownTime = append(b.EventTime, when(row)), append(b.KnownTime, when(row))
		rb.Field(0).(*array.StringBuilder).Append(customer(who))
		for f := range numbers {
			rb.Field(1 + f).(*array.Float64Builder).Append(amount(row, f))
		}
		rb.Field(1 + numbers).(*array.StringBuilder).Append(plan(row))
	}
	b.Rows = rb.NewRecordBatch()
	return b
}

func customer(who int) string { return fmt.Sprintf("customer-%06d", who) }

// amount and plan are what a row holds, so that any answer can be checked.
func amount(row int64, f int) float64 {
	x := (uint64(row)*numbers + uint64(f)) * 0x9e3779b97f4a7c15
	return float64(x>>40) / 100
}

func plan(row int64) string { return [...]string{"monthly", "one year", "two years"}[row%3] }

// measureRefill starts weir on the filled table and checks what it answers.
func measureRefill(ctx context.Context, r *run) error {
	t, err := r.filled(ctx)
	if err != nil {
		return err
	}
	const times = 3
	var took, cpu, wait, first []float64
	for range times {
		p, err := r.up(ctx, t.data, "")
		if err != nil {
			return err
		}
		took, cpu, wait = append(took, p.ready.Seconds()), append(cpu, p.cpu), append(wait, p.wait)
		began := time.Now()
		_, err = p.features.Lookup(ctx, t.request(0, 1, numbers))
		first = append(first, 1000*time.Since(began).Seconds())
		if err == nil {
			err = t.check(ctx, p, 100)
		}
		if serr := p.stop(); err == nil {
			err = serr
		}
		if err != nil {
			return err
		}
	}
	l := Line{What: "weir up, refilling 100,000 entities x 11 features from 2M rows in 200 commits", Value: median(took), Unit: "s", Target: 4,
		CPU: median(cpu), CPUUnit: "start", Note: fmt.Sprintf("median of %d, slowest %s; its threads waited %s for a core; 100 entities looked up after each and right", times, duration(slices.Max(took)), duration(median(wait)))}
	if l.Value > l.Target {
		profile := filepath.Join(r.dir, "refill.prof")
		p, err := r.up(ctx, t.data, profile)
		if err != nil {
			return err
		}
		if err := p.stop(); err != nil {
			return err
		}
		l.Profile = top(ctx, profile)
	}
	r.add(l)
	r.add(Line{What: "the first lookup after that, with its connection", Value: median(first), Unit: "ms",
		Note: "slowest " + number(slices.Max(first)) + " ms"})
	return nil
}

// request asks for rows customers from the one numbered from on, and for the
// first features of the service.
func (t *filledTable) request(from, rows, features int) *weirv1.LookupRequest {
	who := make([]string, rows)
	for i := range who {
		who[i] = customer((from + i*7919) % entities)
	}
	req := &weirv1.LookupRequest{IncludeStatuses: true, IncludeEventTimes: true,
		Entities: []*weirv1.EntityColumn{{Name: "customer_id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: who}}}}}}
	if features == numbers {
		req.What = &weirv1.LookupRequest_Service{Service: "stats"}
		return req
	}
	req.What = &weirv1.LookupRequest_Features{Features: &weirv1.FeatureList{Refs: []string{"stats:*"}}}
	return req
}

// check looks up n customers with all features and compares every value.
func (t *filledTable) check(ctx context.Context, p *process, n int) error {
	from := rand.IntN(entities)
	a, err := p.features.Lookup(ctx, t.request(from, n, numbers+1))
	if err != nil {
		return err
	}
	if len(a.Columns) != numbers+1 || len(a.Views) != 1 {
		return fmt.Errorf("lookup: %d columns of %d views", len(a.Columns), len(a.Views))
	}
	for i := range n {
		who := (from + i*7919) % entities
		row := int64(t.newest[who])
		if a.Views[0].Statuses[i] != weirv1.Status_STATUS_PRESENT || a.Views[0].EventTimes[i] != when(row) {
			return fmt.Errorf("lookup of %s: %s of %s, not row %d", customer(who), a.Views[0].Statuses[i], feature.Time(a.Views[0].EventTimes[i]), row)
		}
		for f := range numbers {
			if got := a.Columns[f].Values.GetDoubles().Values[i]; math.Float64bits(got) != math.Float64bits(amount(row, f)) {
				return fmt.Errorf("lookup of %s: amount_%d is %v, not %v", customer(who), f, got, amount(row, f))
			}
		}
		if got := a.Columns[numbers].Values.GetStrings().Values[i]; got != plan(row) {
			return fmt.Errorf("lookup of %s: plan is %q, not %q", customer(who), got, plan(row))
		}
	}
	return nil
}
