package sinktest

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// Op is a step at which a fault can be injected.
type Op string

const (
	Assign Op = "assign"
	Write  Op = "write"
	Stage  Op = "stage"
	Commit Op = "commit" // before it reaches the table
	Reply  Op = "reply"  // after the commit has landed: its answer is lost
	Settle Op = "settle"
)

// Faults decides which calls fail and how. Safe for concurrent use.
type Faults struct {
	mu   sync.Mutex
	rng  *rand.Rand
	rate float64
	Hits map[Op]int
}

// NewFaults fails about the given share of all calls, chosen by seed.
func NewFaults(seed uint64, rate float64) *Faults {
	return &Faults{rng: rand.New(rand.NewPCG(seed, 1)), rate: rate, Hits: map[Op]int{}}
}

// at returns the error of a call: mostly an outage, sometimes a fault that ends the pipeline.
func (f *Faults) at(op Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rng.Float64() >= f.rate {
		return nil
	}
	f.Hits[op]++
	kind := feature.Unavailable
	if f.rng.IntN(4) == 0 {
		kind = feature.Internal
	}
	return feature.Errorf(kind, "sinktest."+string(op), "", "injected")
}

// FaultyWriter is a Writer whose calls fail as Faults says.
type FaultyWriter struct {
	*Writer
	F *Faults
}

func (w *FaultyWriter) Assign(ctx context.Context, at []feature.Position) error {
	if err := w.F.at(Assign); err != nil {
		return err
	}
	return w.Writer.Assign(ctx, at)
}

func (w *FaultyWriter) Write(ctx context.Context, b *feature.Batch) error {
	if err := w.F.at(Write); err != nil {
		return err
	}
	return w.Writer.Write(ctx, b)
}

func (w *FaultyWriter) Stage(ctx context.Context, c *feature.Commit) error {
	if err := w.F.at(Stage); err != nil {
		return err
	}
	return w.Writer.Stage(ctx, c)
}

func (w *FaultyWriter) Commit(ctx context.Context, c *feature.Commit) error {
	if err := w.F.at(Commit); err != nil {
		return err
	}
	if err := w.Writer.Commit(ctx, c); err != nil {
		return err
	}
	return w.F.at(Reply)
}

func (w *FaultyWriter) Settle(ctx context.Context, c *feature.Commit) error {
	if err := w.F.at(Settle); err != nil {
		return err
	}
	return w.Writer.Settle(ctx, c)
}
