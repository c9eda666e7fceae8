package ingest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
)

// phone notes each alert that it takes, while it answers at all.
type phone struct {
	mu   sync.Mutex
	dead bool // guarded by mu
	rung int  // guarded by mu
	took []ingest.Event
}

func (p *phone) Alert(_ context.Context, e ingest.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rung++
	if p.dead {
		return feature.Errorf(feature.Unavailable, "alert", "", "no answer")
	}
	p.took = append(p.took, e)
	return nil
}

func (p *phone) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rung
}

// mend has it answer, and forgets what it took.
func (p *phone) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead, p.took = false, nil
}

func (p *phone) ids() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.took {
		out = append(out, e.ID)
	}
	return out
}

// TestPauseToldByTheNext: a worker that noted a pause and ended before somebody was told of it: the one
// after it tells, with the id that the first would have used; so does each that comes, and for all partitions together.
func TestPauseToldByTheNext(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 2)
	rings := &phone{dead: true}
	up := func() (*ingest.Supervisor, func()) {
		return g.worker(g.config(), func(c *ingest.SupervisorConfig) { c.Pauses, c.Alert = g.pauses, rings })
	}
	s, stop := up()
	g.send(100, 5)
	g.holds("strict", 100)
	g.send(100, 500)
	g.send(40, 5) // it looks for the pause at its next batch at the latest
	g.holds("easy", 240)
	g.standing(s)
	require.Eventually(t, func() bool { return rings.tried() > 0 }, 30*time.Second, 5*time.Millisecond)
	stop()
	ps, err := g.pauses.Of(t.Context(), "p", "strict")
	require.NoError(t, err)
	require.Len(t, ps, 2)
	since := ps[0].Since

	var first []string
	for range 2 {
		rings.mend()
		s, stop = up()
		g.standing(s)
		require.Eventually(t, func() bool { return len(rings.ids()) > 0 }, 30*time.Second, 5*time.Millisecond, "nobody was told of the pause")
		g.send(4, 5)
		stop()
		require.Len(t, slices.Compact(rings.ids()), 1, "it is one pause")
		require.Equal(t, ingest.EventPaused, rings.took[0].Type)
		require.Equal(t, since, rings.took[0].At, "it is the same pause")
		if first == nil {
			first = rings.ids()
		}
		require.Equal(t, first[0], rings.ids()[0])
	}
}
