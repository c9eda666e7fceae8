package ingest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
)

// late are pauses of which those of one partition cannot be noted for a while.
type late struct {
	ingest.Pauses
	mu     sync.Mutex
	shut   bool // guarded by mu
	part   int32
	failed int // guarded by mu
}

func (l *late) Put(ctx context.Context, p ingest.Pause) (ingest.Pause, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut && p.Partition == l.part {
		l.failed++
		return p, feature.Errorf(feature.Unavailable, "pauses", "", "no answer")
	}
	return l.Pauses.Put(ctx, p)
}

func (l *late) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut = false
}

func (l *late) tried() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// one sends events to one partition.
func (g *guarded) one(part int32, n, age int) {
	var events []event
	for range n {
		at := base.Add(time.Duration(g.sent) * time.Second)
		r := g.record(fmt.Sprintf(`{"id":"k%d","at":%d,"age":%d}`, g.sent, at.UnixMicro(), age))
		r.Partition = part
		g.sent++
		events = append(events, event{rec: r})
	}
	g.produce(events...)
}

// stands waits until the strict view stands on a partition and that is remembered.
func (g *guarded) stands(part int32) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		ps, err := g.pauses.Of(g.t.Context(), "p", "strict")
		require.NoError(g.t, err)
		for _, p := range ps {
			if p.Partition == part && p.State == ingest.PauseStanding {
				return true
			}
		}
		return false
	}, 30*time.Second, 5*time.Millisecond)
}

// over waits until so many events are held back and nothing waits any more.
func (g *guarded) over(held int) {
	g.t.Helper()
	require.Eventually(g.t, func() bool { return g.held() == held }, 30*time.Second, 10*time.Millisecond, "the bad events")
	require.Eventually(g.t, func() bool { ps, _ := g.pauses.Of(g.t.Context(), "", ""); return len(ps) == 0 }, 30*time.Second, 5*time.Millisecond, "the pauses")
}

// TestResumedBeforeNoted: one of two workers cannot note at once that it pauses, and
// somebody resumes the view meanwhile. That holds for what it notes afterwards: it
// must not wait for another one.
func TestResumedBeforeNoted(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 2)
	l := &late{Pauses: g.pauses, part: 1, shut: true}
	g.pauses = l
	first, stopFirst := g.up()
	second, stopSecond := g.up()
	require.Eventually(t, func() bool { return g.reads(first) == 1 && g.reads(second) == 1 }, 30*time.Second, 5*time.Millisecond, "each has a partition")
	g.one(0, 60, 5)
	g.one(1, 60, 5)
	g.holds("strict", 120)
	g.one(0, 100, 500)
	g.one(1, 100, 500)
	g.stands(0)
	require.Eventually(t, func() bool { return l.tried() > 0 }, 30*time.Second, 5*time.Millisecond, "the other worker pauses")
	g.resume(true)
	l.open()
	g.over(200)
	g.holds("strict", 120)
	require.Equal(t, []string{"paused", "resumed, accepted"}, g.bell.said())
	stopFirst()
	stopSecond()
}

// reads is how many partitions a worker reads for the strict view.
func (g *guarded) reads(s *ingest.Supervisor) (n int) {
	for _, src := range s.Status() {
		for _, v := range src.Views {
			if v.View == "strict" {
				n += len(v.Partitions)
			}
		}
	}
	return n
}

// TestAcceptedOnAllPartitions: a resume that accepts is for what the log had then,
// on every partition. Good events of one must not have the limit hold again while bad ones wait in another.
func TestAcceptedOnAllPartitions(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 2)
	s, stop := g.up()
	g.one(0, 60, 5)
	g.one(1, 60, 5)
	g.holds("strict", 120)
	g.one(0, 60, 500)
	g.one(1, 3000, 500)
	g.standing(s)
	g.one(0, 200, 5)
	g.resume(true)
	g.over(3060)
	g.holds("strict", 320)

	g.one(1, 60, 500) // the limit holds again at once
	g.stands(1)
	require.LessOrEqual(t, g.held(), 3060+10)
	stop()
}
