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
	manyCommits  = 1000
	smallCommit  = 10 // rows
	commitTarget = 2  // the 1000th may take so many times what the 100th takes
	around       = 20 // commits whose median stands for the one they lead up to
)

// measureCommits commits to one table a thousand times, through the writer that
// ingestion commits with, on each catalog that can be had.
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
	view := statsView()
	table, err := store.Table(ctx, view)
	if err != nil {
		return err
	}
	defer table.Close()
	w, err := offline.NewWriter(table, offline.DefaultConfig(), log, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	rows := &filledTable{newest: make([]int32, entities)}
	rng := rand.New(rand.NewPCG(3, 4))
	at := feature.Position{Topic: "stats", TopicID: [16]byte{1}}
	var took, cpu []float64 // ms
	for i := range manyCommits {
		b := rows.batch(view, at, smallCommit, rng)
		c := &feature.Commit{ID: fmt.Sprintf("bench-%04d", i), View: view, Partitions: 1, Advances: []feature.Advance{{From: at, To: at}}}
		to := &c.Advances[0].To
		to.Next, to.Revision, to.Commit = b.Origin.Next, 1, c.ID
		if i == 0 {
			c.Advances[0].From = feature.Position{Topic: at.Topic, TopicID: at.TopicID}
		}
		if err := w.Write(ctx, b); err != nil {
			return err
		}
		b.Rows.Release()
		w.Cut(c)
		if err := w.Stage(ctx, c); err != nil {
			return err
		}
		began, from := time.Now(), ownCPU()
		if err := w.Commit(ctx, c); err != nil {
			return err
		}
		took, cpu = append(took, 1000*time.Since(began).Seconds()), append(cpu, ownCPU()-from)
		if err := w.Settle(ctx, c); err != nil {
			return err
		}
		at = *to
	}
	upTo := func(all []float64, n int) float64 { return median(all[max(0, n-around):n]) }
	r.add(Line{What: "the 1,000th commit of a table to the 100th, " + what, Value: upTo(took, manyCommits) / upTo(took, 100), Unit: "x", Target: commitTarget,
		CPU: upTo(cpu, manyCommits), CPUUnit: "commit number 1,000",
		Note: fmt.Sprintf("number 1: %s ms; medians of the %d up to number 100: %s ms, %s of CPU; up to number 1,000: %s ms, %s of CPU; slowest %s ms",
			number(took[0]), around, number(upTo(took, 100)), duration(upTo(cpu, 100)), number(upTo(took, manyCommits)), duration(upTo(cpu, manyCommits)), number(slices.Max(took)))})
	return nil
}
