package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	growthTarget = 11  // times the time, for 10 times the rows
	fewRows      = 100 // of a spine
	fewTarget    = 0.5 // s
	flightTarget = 60  // percent of reading Parquet
	pitStart     = 1_750_000_000_000_000
	pitSpan      = 90 * 24 * 3600 * 1_000_000 // microseconds: the span of gen.py's times
)

// growth makes training sets of all of three sizes: entities and spine grow with the features.
func (w *pitWorld) growth(ctx context.Context, r *run) error {
	var before []ran
	for i, part := range []int{100, 10, 1} {
		s, err := r.pitWorld(ctx, w.rows/part, "ingested")
		if err != nil {
			return err
		}
		var runs []ran
		for range pitRounds {
			a, err := s.join(ctx, r, "ingested", "event", "")
			if err != nil {
				return err
			}
			runs = append(runs, a)
		}
		if i > 0 {
			r.add(Line{What: fmt.Sprintf("training set of %s rows from %s feature rows to one of a tenth of both: CPU", short(s.spine), short(3*s.rows)),
				Value: medianOf(runs, cpuTime) / medianOf(before, cpuTime), Unit: "x", Target: growthTarget, CPU: medianOf(runs, cpuTime), CPUUnit: "training set",
				Note: told(runs) + "; a tenth: " + told(before)})
			r.add(Line{What: "the same by the clock", Value: medianOf(runs, wallTime) / medianOf(before, wallTime), Unit: "x", Target: growthTarget})
		}
		before = runs
	}
	return nil
}

// few makes training sets of a hundred rows, with a server that has made one before.
func (w *pitWorld) few(ctx context.Context, r *run) error {
	spine := filepath.Join(w.work, "few.csv")
	var b strings.Builder
	b.WriteString("entity_id,ts\n")
	rng := rand.New(rand.NewPCG(11, 12))
	for range fewRows {
		at := time.UnixMicro(pitStart + rng.Int64N(pitSpan)).UTC()
		fmt.Fprintf(&b, "%d,%s\n", rng.IntN(w.spine), at.Format(time.RFC3339Nano))
	}
	if err := os.WriteFile(spine, []byte(b.String()), 0o644); err != nil {
		return err
	}
	train := func(folder, profile string) (runs []ran, err error) {
		p, err := w.up(ctx, r, folder, profile)
		if err != nil {
			return nil, err
		}
		defer func() {
			if serr := p.stop(); err == nil {
				err = serr
			}
		}()
		for i := range 2*pitRounds + 1 {
			a, err := w.train(ctx, r, p, spine, "event", filepath.Join(w.work, "few.parquet"))
			if err != nil {
				return nil, err
			}
			if i > 0 {
				runs = append(runs, a)
			}
		}
		return runs, nil
	}
	for _, l := range pitLayouts {
		runs, err := train(l.folder, "")
		if err != nil {
			return err
		}
		line := Line{What: fmt.Sprintf("training set of %d rows from %s feature rows, %s", fewRows, short(3*w.rows), l.what), Value: medianOf(runs, wallTime), Unit: "s", Target: fewTarget,
			CPU: medianOf(runs, cpuTime), CPUUnit: "training set", Note: fmt.Sprintf("the client's process from start to end, the server running; %s; the server's threads waited %s for a core", told(runs), duration(medianOf(runs, waitTime)))}
		if line.Value > fewTarget || r.profiles != "" {
			profile := filepath.Join(r.dir, "few-"+l.folder+".prof")
			if _, err := train(l.folder, profile); err != nil {
				return err
			}
			line.Profile = top(ctx, profile)
		}
		r.add(line)
	}
	return nil
}

// flight streams a training set into pandas.
func (w *pitWorld) flight(ctx context.Context, r *run) error {
	parquet := filepath.Join(w.work, "compacted-event.parquet")
	if !exists(parquet) {
		if _, err := w.join(ctx, r, "compacted", "event", ""); err != nil {
			return err
		}
	}
	script, err := filepath.Abs(filepath.Join("bench", "peers", "pit", "flight.py"))
	if err != nil {
		return err
	}
	p, err := w.up(ctx, r, "compacted", "")
	if err != nil {
		return err
	}
	defer p.stop()
	var stream, whole, read []float64
	from := p.usedCPU()
	for range pitRounds {
		out, err := exec.CommandContext(ctx, w.py, script, p.grpc, filepath.Join(w.data, "spine.parquet"), parquet).CombinedOutput()
		if err != nil {
			return fmt.Errorf("flight.py: %w\n%s\n%s", err, out, p.logs)
		}
		var f struct {
			Stream, Whole, Read float64
			Rows                int
		}
		if err := json.Unmarshal(out, &f); err != nil || f.Rows != w.spine {
			return fmt.Errorf("flight.py: %v\n%s", err, out)
		}
		stream, whole, read = append(stream, f.Stream), append(whole, f.Whole), append(read, f.Read)
	}
	rows := float64(w.spine)
	r.add(Line{What: "Arrow Flight to pandas, first batch to DataFrame, to pandas.read_parquet of the same", Value: 100 * median(read) / median(stream), Unit: "%", Target: flightTarget, AtLeast: true,
		CPU: (p.usedCPU() - from) / pitRounds, CPUUnit: "training set (server)",
		Note: fmt.Sprintf("%s and %s rows/s; with the join %s", number(rows/median(stream)), number(rows/median(read)), duration(median(whole)))})
	return p.stop()
}

// export writes the newest values of every entity.
func (w *pitWorld) export(ctx context.Context, r *run) error {
	// The rows are of 2025: asked about today, all would have expired.
	at := time.UnixMicro(pitStart + pitSpan).UTC().Format(time.RFC3339)
	export := func(profile string) (a ran, err error) {
		p, err := w.up(ctx, r, "compacted", profile)
		if err != nil {
			return a, err
		}
		a, _, err = r.client(ctx, p, "export", "--service", "pit", "--at", at, "--out", filepath.Join(w.work, "export.parquet"))
		if serr := p.stop(); err == nil {
			err = serr
		}
		return a, err
	}
	a, err := export("") // once: it is held against nothing
	if err != nil {
		return err
	}
	line := Line{What: "weir export, the newest values of " + short(w.spine) + " entities in 3 views", Value: 3 * float64(w.rows) / a.cpu, Unit: "rows/CPU-s",
		CPU: a.cpu, CPUUnit: "export", Note: fmt.Sprintf("%s rows are read; %s by the clock; peak memory of the server %s MiB, of the client %s MiB", short(3*w.rows), duration(a.wall), number(peakMiB(a)), number(clientMiB(a)))}
	if r.profiles != "" {
		profile := filepath.Join(r.dir, "export.prof")
		if _, err := export(profile); err != nil {
			return err
		}
		line.Profile = top(ctx, profile)
	}
	r.add(line)
	return nil
}
