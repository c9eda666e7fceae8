package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"sync"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/registry/feature"
)

// guard watches what share of a view's last events is bad, over all partitions
// of this worker. Above the limit the view pauses before the batch that crosses it has
// gone anywhere: a stream that is bad as a whole waits for a person, in the log, where it
// is safe, and is not emptied into quarantine.
//
// What has not been judged yet counts as good, so that the first bad event of a
// stream does not stop it.
type guard struct {
	limit float64
	n     int64 // events that the share is taken over
	most  int64 // bad ones of them that are let pass

	mu    sync.Mutex
	bits  []uint64 // guarded by mu; the last n events, a set bit is a bad one
	at    int64    // guarded by mu; the oldest of them
	bad   int64    // guarded by mu; set bits
	since int64    // guarded by mu; when it paused, microseconds UTC; 0 when it has not
	over  *crossing
	told  bool  // guarded by mu; somebody was alerted, by this worker
	again bool  // guarded by mu; it was seeded: an earlier worker paused, and has logged it
	taken int64 // guarded by mu; events since it was seeded
	seen  int64 // guarded by mu; number of the last Resumption that this worker knows
}

// crossing is a batch that would have brought the share above the limit.
type crossing struct {
	Bad, Judged int64            // of the last events, at the event that crossed
	Rules       map[string]int64 // of the batch that crossed
	seen        int64            // see guard.seen
	said        bool
}

// newGuard gives the guard of a view; nil where it has no limit.
func newGuard(v *feature.View) *guard {
	q := v.Quality.WithDefaults()
	if q.MaxRejectRate <= 0 {
		return nil
	}
	return &guard{limit: q.MaxRejectRate, n: q.RejectEvents, most: int64(math.Floor(q.MaxRejectRate*float64(q.RejectEvents) + 1e-9)),
		bits: make([]uint64, (q.RejectEvents+63)/64)}
}

func (g *guard) get(i int64) bool { return g.bits[i>>6]&(1<<(i&63)) != 0 }

// isPaused reports whether the view waits.
func (g *guard) isPaused() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over != nil
}

// pass takes the events of a batch, in their order, unless they bring the share
// above the limit: then nothing is taken and the view is paused from at on.
func (g *guard) pass(bad []bool, rules func() map[string]int64, at int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over != nil {
		return false
	}
	count, crossed := g.bad, int64(-1)
	for k := range int64(len(bad)) {
		if k < g.n && g.get((g.at+k)%g.n) || k >= g.n && bad[k-g.n] {
			count--
		}
		if bad[k] {
			count++
		}
		if count > g.most {
			crossed = count
			break
		}
	}
	if crossed >= 0 {
		g.over, g.since = &crossing{Bad: crossed, Judged: g.n, Rules: rules(), seen: g.seen}, cmp.Or(g.since, at)
		return false
	}
	g.taken += int64(len(bad))
	for _, b := range bad {
		if g.get(g.at) {
			g.bad--
		}
		g.bits[g.at>>6] &^= 1 << (g.at & 63)
		if b {
			g.bits[g.at>>6] |= 1 << (g.at & 63)
			g.bad++
		}
		g.at = (g.at + 1) % g.n
	}
	return true
}

// knows notes the last resumption of the view.
func (g *guard) knows(number int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = number
}

// seed has the guard stand at its limit, as it did when the view paused: the
// same events, judged again, cross it again. Whether somebody was alerted then nobody knows: the
// worker that noted the pause may have died in between. So it is told once more, with the same id.
func (g *guard) seed(since int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.bits)
	for i := range g.most {
		k := g.n - 1 - i
		g.bits[k>>6] |= 1 << (k & 63)
	}
	g.at, g.bad, g.since, g.told, g.again, g.taken = 0, g.most, since, false, true, 0
}

// calm reports whether so many events were taken since it was seeded that nothing
// is left of that.
func (g *guard) calm() bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken >= g.n
}

// forget lets the next pause be one of its own.
func (g *guard) forget() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over == nil {
		g.since, g.told, g.again = 0, false, false
	}
}

// reset forgets everything.
func (g *guard) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.bits)
	g.at, g.bad, g.since, g.over, g.told, g.again, g.taken = 0, 0, 0, nil, false, false, 0
}

// share is what share of the last events was bad.
func (g *guard) share() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return float64(g.bad) / float64(g.n)
}

// ordered tells for each event of a batch, by ascending offset, whether it is
// among held, which is by ascending offset too.
func ordered(rejected []decode.Rejected, b *feature.Batch, held []heldEvent) []bool {
	all := make([]int64, 0, len(rejected))
	for _, r := range rejected {
		all = append(all, r.Offset)
	}
	if b != nil {
		all = append(all, b.Offsets...)
	}
	slices.Sort(all)
	out := make([]bool, len(all))
	for i, off := range all {
		for len(held) > 0 && held[0].offset < off {
			held = held[1:]
		}
		out[i] = len(held) > 0 && held[0].offset == off
	}
	return out
}

// heldEvent is an event that is to be held back.
type heldEvent struct {
	offset  int64
	reasons []feature.Reason
}

// rulesOf counts the events that failed each rule.
func rulesOf(held []heldEvent) map[string]int64 {
	out := map[string]int64{}
	for _, h := range held {
		for i, r := range h.reasons {
			if !slices.ContainsFunc(h.reasons[:i], func(o feature.Reason) bool { return o.Rule == r.Rule }) {
				out[r.Rule]++
			}
		}
	}
	return out
}

// judgedBy is the same for two views that judge every event alike and pause at the
// same share: what somebody has to change so that a paused view is judged anew.
func judgedBy(v *feature.View, limits *feature.View) string {
	q := limits.Quality.WithDefaults()
	s := v.SourceOf
	b, err := json.Marshal([]any{v.Keys, v.Features, v.SuiteOf, string(s.Schema), s.EventTime, s.Created, s.Future(), s.Encoding(), q.MaxRejectRate, q.RejectEvents})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// crossed reports, once, that the last pass has paused the view.
func (g *guard) crossed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over == nil || g.over.said {
		return false
	}
	g.over.said = true
	return true
}
