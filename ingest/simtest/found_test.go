package simtest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What the simulation has found, as the shortest story of it.

// quiet is a world in which nothing goes wrong by itself.
func quiet(parts int32) plan {
	return plan{latency: time.Millisecond, flush: time.Second, session: 3 * time.Second, batch: 40, burst: 20, catchUp: 100_000, workers: 1, parts: parts}
}

// story tells one n times: where goroutines race, chance decides.
func story(t *testing.T, n int, p plan, act func(*driver)) {
	if !tagged(t) {
		return
	}
	for i := range n {
		seed := uint64(i)
		w := live(t, seed, p, rand.New(rand.NewPCG(seed, 7)), act)
		require.Empty(t, w.faults, w.report())
	}
}

// TestLostWhileStopping: a worker that stops loses its partitions while it waits
// for a slow store. Its last commit must not move the positions over rows that
// went with the partitions.
func TestLostWhileStopping(t *testing.T) {
	p := quiet(2)
	p.flush = time.Hour
	story(t, 20, p, func(d *driver) {
		k := d.start()
		time.Sleep(2 * time.Second)
		d.w.produceTo(d.rng, 0, 30) // these are in the sinks
		time.Sleep(time.Second)
		k.away(3 * time.Second)
		d.w.produceTo(d.rng, 1, 10) // these hang
		time.Sleep(time.Second)
		d.stop(k)
		d.w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID})
		time.Sleep(10 * time.Second)
	})
}

// TestCommitLandsLate: a worker dies, its last commit still on its way; the next
// one has judged by the old revision what that commit gives to the new one, when
// it lands. Nothing may have been shown that the table does not take.
func TestCommitLandsLate(t *testing.T) {
	p := quiet(1)
	p.flush = 5 * time.Second
	story(t, 3, p, func(d *driver) {
		w := d.w
		session := p.session + time.Second
		next := func() *worker {
			time.Sleep(session)
			d.tidy()
			return d.start()
		}
		k := d.start()
		time.Sleep(2 * time.Second)
		w.produceTo(d.rng, 0, 10)
		time.Sleep(5 * time.Second)
		k.die("with everything committed")
		w.define(func(d *draft) { d.bounds("one", 40, 60) })
		w.produceTo(d.rng, 0, 10)
		k = next()
		k.mu.Lock()
		k.send = 20 * time.Second
		k.mu.Unlock()
		time.Sleep(6 * time.Second)
		w.produceTo(d.rng, 0, 30)
		k = next()
		time.Sleep(2 * time.Second)
		k.die("with nothing committed")
		time.Sleep(20 * time.Second)
	})
}
