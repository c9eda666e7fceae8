package ingest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

// bell notes alerts; it does not answer the first time.
type bell struct {
	mu   sync.Mutex
	deaf bool
	rung []string
}

func (b *bell) Alert(_ context.Context, e ingest.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deaf {
		b.deaf = false
		return feature.Errorf(feature.Unavailable, "alert", "", "no answer")
	}
	text := e.Type
	if e.Accepted {
		text += ", accepted"
	}
	if len(b.rung) == 0 || b.rung[len(b.rung)-1] != text {
		b.rung = append(b.rung, text)
	}
	return nil
}

func (b *bell) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.rung...)
}

// guarded is a strict view that pauses and an easy one beside it, both of one source.
type guarded struct {
	*works
	pauses ingest.Pauses
	bell   *bell
	sent   int
	parts  int32
}

func newGuarded(t *testing.T, parts int32) *guarded {
	g := &guarded{works: newWorks(t, parts), pauses: ingest.NewPauses(), bell: &bell{deaf: true}, parts: parts}
	g.suite(100)
	strict := personView("strict")
	strict.Suite, strict.Quality = "s", &feature.Quality{MaxRejectRate: 0.2, RejectEvents: 50}
	g.apply(strict, personView("easy"))
	return g
}

func (g *guarded) suite(most int) { g.apply(between(0, "age", 0, most)) }

func (g *guarded) up() (s *ingest.Supervisor, stop func()) {
	return g.worker(g.config(), func(c *ingest.SupervisorConfig) { c.Pauses, c.Alert = g.pauses, g.bell })
}

func (g *guarded) send(n, age int) {
	var events []event
	for range n {
		at := base.Add(time.Duration(g.sent) * time.Second)
		r := g.record(fmt.Sprintf(`{"id":"k%d","at":%d,"age":%d}`, g.sent, at.UnixMicro(), age))
		r.Partition = int32(g.sent) % g.parts
		g.sent++
		events = append(events, event{rec: r})
	}
	g.produce(events...)
}

func (g *guarded) tryResume(accept bool) ([]int32, error) {
	cat, err := g.cat.Current(g.t.Context())
	require.NoError(g.t, err)
	strict, err := cat.View("p", "strict")
	require.NoError(g.t, err)
	return ingest.Resume(g.t.Context(), g.pauses, ingest.EndsOf(g.opts), strict, accept)
}

func (g *guarded) resume(accept bool) {
	g.t.Helper()
	_, err := g.tryResume(accept)
	require.NoError(g.t, err)
}

func (g *guarded) held() (n int) {
	seen := map[string]bool{}
	res, err := quarantine.NewReader(g.opts...).Read(g.t.Context(), quarantine.Query{Project: "p", View: "strict"})
	require.NoError(g.t, err)
	for _, e := range res.Entries {
		require.False(g.t, seen[fmt.Sprint(e.Partition, "/", e.Offset)], "an event is there twice")
		seen[fmt.Sprint(e.Partition, "/", e.Offset)] = true
	}
	for _, r := range g.table("strict").Rows() {
		require.False(g.t, seen[fmt.Sprint(r.Partition, "/", r.Offset)], "an event is in the table and in quarantine")
	}
	return len(res.Entries)
}

// standing waits until every partition of the strict view stands and that is remembered.
func (g *guarded) standing(s *ingest.Supervisor) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		ps, err := g.pauses.Of(g.t.Context(), "p", "strict")
		require.NoError(g.t, err)
		n := 0
		for _, p := range ps {
			if p.State == ingest.PauseStanding {
				n++
			}
		}
		stopped := 0
		for _, src := range s.Status() {
			for _, v := range src.Views {
				for _, p := range v.Partitions {
					if v.View == "strict" && p.Stopped != "" {
						stopped++
					}
				}
			}
		}
		return n == int(g.parts) && stopped == int(g.parts)
	}, 30*time.Second, 5*time.Millisecond)
}

// TestPause: a view pauses before the batch that is too bad, alone, and says so
// once; a restart changes nothing; a corrected suite judges from there on, and no
// event is lost or in two places.
func TestPause(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 2)
	s, stop := g.up()
	g.send(200, 5)
	g.holds("strict", 200)
	g.send(300, 500)
	g.holds("easy", 500)
	g.send(40, 5) // it looks for the pause at its next batch at the latest
	g.holds("easy", 540)
	g.standing(s)
	require.Eventually(t, func() bool { return len(g.bell.said()) == 1 }, 30*time.Second, 5*time.Millisecond)
	held := g.held()
	require.LessOrEqual(t, held, 10, "that many are let pass")
	stop()

	s, stop = g.up()
	g.standing(s)
	require.Equal(t, held, g.held(), "the same events were judged and stopped again")
	g.send(20, 5)
	g.holds("easy", 560)
	stop()
	require.Equal(t, []string{"paused"}, g.bell.said())
	require.Len(t, g.table("strict").Rows(), 200)

	g.suite(1000) // while nobody runs
	_, stop = g.up()
	g.holds("strict", 560-held)
	require.Equal(t, held, g.held())
	require.Eventually(t, func() bool { return len(g.bell.said()) == 2 }, 30*time.Second, 5*time.Millisecond)
	require.Equal(t, []string{"paused", "resumed"}, g.bell.said())
	require.Eventually(t, func() bool { ps, _ := g.pauses.Of(t.Context(), "", ""); return len(ps) == 0 }, 30*time.Second, 5*time.Millisecond)
	stop()
}

// TestPauseResumed: somebody lets it go on, judging anew, and it pauses again; then
// with what is bad, which goes to quarantine as far as the log had it.
func TestPauseResumed(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 1)
	s, stop := g.up()
	_, err := g.tryResume(false)
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	g.send(100, 5)
	g.holds("strict", 100)
	g.send(200, 500)
	g.holds("easy", 300)
	g.standing(s)
	held := g.held()

	parts, err := g.tryResume(false)
	require.NoError(t, err)
	require.Equal(t, []int32{0}, parts)
	g.standing(s)
	again := g.held()
	require.LessOrEqual(t, again, held+10)

	g.resume(true)
	stop() // that it is accepted outlives the worker
	s, stop = g.up()
	require.Eventually(t, func() bool { return g.held() == 200 }, 30*time.Second, 10*time.Millisecond)
	g.send(100, 5)
	g.holds("strict", 200)
	require.Eventually(t, func() bool { ps, _ := g.pauses.Of(t.Context(), "", ""); return len(ps) == 0 }, 30*time.Second, 5*time.Millisecond)
	g.send(60, 500)
	g.standing(s)
	require.LessOrEqual(t, g.held(), 210)
	stop()
	require.Equal(t, "paused", g.bell.said()[len(g.bell.said())-1])
}

// TestPauseApplied: a worker that runs takes the corrected suite at once.
func TestPauseApplied(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 2)
	s, stop := g.up()
	g.send(100, 5)
	g.send(100, 500)
	g.send(40, 5)
	g.holds("easy", 240)
	g.standing(s)
	held := g.held()
	g.suite(1000)
	g.holds("strict", 240-held)
	require.Equal(t, held, g.held())
	stop()
}

// TestPauseOfATopicThatIsGone: nothing waits there any more, so the pause ends, and somebody hears of it.
func TestPauseOfATopicThatIsGone(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 1)
	for part := range int32(2) { // the new one has fewer partitions
		_, err := g.pauses.Put(t.Context(), ingest.Pause{Project: "p", View: "strict", Topic: "t", TopicID: [16]byte{9}, Partition: part,
			State: ingest.PauseStanding, Next: 7, Since: 5, Limit: 0.2, Events: 50})
		require.NoError(t, err)
	}
	_, stop := g.up()
	g.send(10, 5)
	g.holds("strict", 10)
	require.Eventually(t, func() bool { ps, _ := g.pauses.Of(t.Context(), "", ""); return len(ps) == 0 }, 30*time.Second, 5*time.Millisecond)
	require.Equal(t, []string{"resumed"}, g.bell.said())
	stop()
}
