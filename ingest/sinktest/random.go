package sinktest

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// random lets workers come, go, lose their partitions with and without knowing it,
// and stop at any step, while the store fails now and then; then one reads the log to its end.
func random(w *world) {
	w.t.Helper()
	w.log.length = 200
	r := rand.New(rand.NewPCG(w.log.seed, 2))
	if w.store.Break != nil {
		f := rand.New(rand.NewPCG(w.log.seed, 3))
		var mu sync.Mutex // a sink may write several files at once
		w.store.Break(func() Fault {
			mu.Lock()
			defer mu.Unlock()
			switch f.IntN(12) {
			case 0:
				return Before
			case 1:
				return After
			}
			return None
		})
	}
	workers := []*worker{w.open()}
	workers[0].assign(all(nil)...)
	for range 120 {
		if r.IntN(25) == 0 {
			workers = rebalance(w, r, workers)
		}
		workers[r.IntN(len(workers))].step(r)
	}
	if w.store.Break != nil {
		w.store.Break(func() Fault { return None })
	}
	w.finish("at the end")
}

// rebalance gives every partition to one of a few workers.
func rebalance(w *world, r *rand.Rand, workers []*worker) []*worker {
	var alive []*worker
	for _, x := range workers {
		switch r.IntN(4) {
		case 0: // told, and done with what it had cut
			for len(x.flights) > 0 && x.advance() {
			}
			x.revoke(x.owned()...)
			alive = append(alive, x)
		case 1: // told in the middle of a commit
			x.revoke(x.owned()...)
			alive = append(alive, x)
		case 2: // killed
		case 3: // goes on as if nothing had happened
			alive = append(alive, x)
		}
	}
	if len(alive) > 4 {
		alive = alive[len(alive)-4:]
	}
	heirs := make([]*worker, 1+r.IntN(2))
	for i := range heirs {
		// A worker whose pipeline starts anew keeps nothing in flight, but may be the same process.
		if len(alive) > 0 && r.IntN(3) == 0 && !slices.Contains(heirs[:i], alive[len(alive)-1]) {
			heirs[i] = alive[len(alive)-1]
		} else {
			heirs[i] = w.open()
			alive = append(alive, heirs[i])
		}
	}
	for _, p := range all(r) {
		heirs[r.IntN(len(heirs))].again(p)
	}
	return alive
}

// again assigns a partition beside those the worker has; commits under way that
// name it are over.
func (x *worker) again(p int32) {
	x.w.t.Helper()
	for _, f := range slices.Clone(x.flights) {
		if f.stage == 2 {
			x.settle(f.c)
		} else {
			x.discard(f.c)
		}
	}
	x.assign(append(slices.DeleteFunc(x.owned(), func(q int32) bool { return q == p }), p)...)
}

func (x *worker) owned() []int32 {
	var out []int32
	for p := range x.at {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// step is one step of a worker.
func (x *worker) step(r *rand.Rand) {
	x.w.t.Helper()
	own := x.owned()
	switch n := r.IntN(10); {
	case n < 5 && len(own) > 0:
		p := own[r.IntN(len(own))]
		from, to := x.read[p], min(x.read[p]+r.Int64N(30), x.w.log.length)
		if from == to {
			return
		}
		if r.IntN(5) == 0 {
			from = max(0, from-r.Int64N(20)) // overlaps what was written
		}
		x.rewrite(p, from, to)
		x.read[p] = to
	case n == 5 && len(own) > 0 && len(x.flights) < 2:
		r.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
		x.cut(own[:1+r.IntN(len(own))]...)
	case n > 5 && len(x.flights) > 0:
		x.advance()
	}
}

// advance takes the oldest commit under way a step further; false when it was lost.
func (x *worker) advance() bool {
	x.w.t.Helper()
	f := x.flights[0]
	switch f.stage {
	case 0:
		x.stage(f.c)
	case 1:
		if x.commit(f.c) != nil {
			for _, g := range slices.Clone(x.flights) {
				x.discard(g.c)
			}
			if own := x.owned(); len(own) > 0 {
				x.assign(own...)
			}
			return false
		}
	case 2:
		x.settle(f.c)
		return true
	}
	f.stage++
	return true
}
