package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weir-ml/weir/internal/testserver/native"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	fewCommits   = 100
	manyCommits  = 1000
	smallCommit  = 10 // rows
	commitTarget = 2  // the 1000th may take so many times what the 100th takes
	around       = 50 // commits around each of those numbers whose median counts
)

// measureCommits commits a hundred times to one table and a thousand times to
// another, through the writer that ingestion commits with, on each catalog that
// can be had. The commits that are compared are made in turns, so that whatever
// else uses the disk holds up both.
func measureCommits(ctx context.Context, r *run) error {
	dir := filepath.Join(r.dir, "commits")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := r.commits(ctx, "SQLite", "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "sqlite")); err != nil {
		return err
	}
	// PostgreSQL may run as another user, who must reach its folder.
	pgDir, err := os.MkdirTemp("", "weir-bench-pg-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(pgDir)
	pg, err := native.StartPostgres(ctx, pgDir)
	if errors.Is(err, native.ErrAbsent) {
		fmt.Fprintln(os.Stderr, "  commits to PostgreSQL are not measured:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer pg.Stop()
	return r.commits(ctx, "PostgreSQL", pg.URL, filepath.Join(dir, "postgres"))
}

func (r *run) commits(ctx context.Context, what, catalog, warehouse string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := iceberg.Open(ctx, catalog, warehouse, log)
	if err != nil {
		return err
	}
	defer store.Close()
	young, err := openCommitted(ctx, store, "young", log)
	if err != nil {
		return err
	}
	defer young.close()
	old, err := openCommitted(ctx, store, "old", log)
	if err != nil {
		return err
	}
	defer old.close()
	for range fewCommits - around/2 {
		if err := young.commit(ctx); err != nil {
			return err
		}
	}
	for range manyCommits - around/2 {
		if err := old.commit(ctx); err != nil {
			return err
		}
	}
	for range around {
		if err := errors.Join(young.commit(ctx), old.commit(ctx)); err != nil {
			return err
		}
	}
	last := func(all []float64) float64 { return median(all[len(all)-around:]) }
	r.add(Line{What: "the 1,000th commit of a table to the 100th, " + what, Value: last(old.took) / last(young.took), Unit: "x", Target: commitTarget,
		CPU: last(old.cpu), CPUUnit: "commit number 1,000",
		Note: fmt.Sprintf("number 1: %s ms; medians of the %d around number 100: %s ms, %s of CPU; around number 1,000: %s ms, %s of CPU; slowest %s ms",
			number(young.took[0]), around, number(last(young.took)), duration(last(young.cpu)), number(last(old.took)), duration(last(old.cpu)), number(slices.Max(old.took)))})
	return nil
}

// committed is a table that gets small commits.
type committed struct {
	view  *feature.View
	table offline.Table
	w     *offline.Writer
	rows  *filledTable
	rng   *rand.Rand
	at    feature.Position
	took  []float64 // ms
	cpu   []float64 // seconds, of this process
}

func openCommitted(ctx context.Context, store *iceberg.Store, name string, log *slog.Logger) (*committed, error) {
	view := statsView()
	view.Meta.Name = name
	table, err := store.Table(ctx, view)
	if err != nil {
		return nil, err
	}
	w, err := offline.NewWriter(table, offline.DefaultConfig(), log, nil)
	if err != nil {
		_ = table.Close()
		return nil, err
	}
	return &committed{view: view, table: table, w: w, rows: &filledTable{newest: make([]int32, entities)}, rng: rand.New(rand.NewPCG(3, 4)),
		at: feature.Position{Topic: "stats", TopicID: [16]byte{1}}}, nil
}

func (t *committed) close() {
	_ = t.w.Close()
	_ = t.table.Close()
}

func (t *committed) commit(ctx context.Context) error {
	b := t.rows.batch(t.view, t.at, smallCommit, t.rng)
	c := &feature.Commit{ID: fmt.Sprintf("bench-%04d", len(t.took)), View: t.view, Partitions: 1, Advances: []feature.Advance{{From: t.at, To: t.at}}}
	to := &c.Advances[0].To
	to.Next, to.Revision, to.Commit = b.Origin.Next, 1, c.ID
	err := t.w.Write(ctx, b)
	b.Rows.Release()
	if err != nil {
		return err
	}
	t.w.Cut(c)
	if err := t.w.Stage(ctx, c); err != nil {
		return err
	}
	began, from := time.Now(), ownCPU()
	if err := t.w.Commit(ctx, c); err != nil {
		return err
	}
	t.took, t.cpu = append(t.took, 1000*time.Since(began).Seconds()), append(t.cpu, ownCPU()-from)
	t.at = *to
	return t.w.Settle(ctx, c)
}
