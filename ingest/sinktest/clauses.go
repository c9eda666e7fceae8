package sinktest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

func through(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	x.empty("at first")
	w.check("at first")
	for to := int64(50); to <= w.log.length; to += 50 {
		for _, p := range all(nil) {
			x.write(p, to)
		}
		x.holding("written")
		w.check("written, not committed")
		x.flush(all(nil)...)
		x.empty("settled")
		w.check("settled")
	}
	// A commit that only moves positions.
	x.flush(0)
	w.check("nothing new")
	w.finish("by another worker")
}

// again: replaying an Origin changes nothing, whoever does it and however it is cut.
func again(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	x.write(0, 40)
	x.rewrite(0, 0, 40)
	x.rewrite(0, 20, 40)
	w.check("the same batch twice")
	x.flush(all(nil)...)
	w.check("settled")
	x.rewrite(0, 0, 40)
	x.rewrite(0, 10, 60) // half of it known, half new
	x.read[0] = 60
	x.flush(0)
	x.empty("settled")
	w.check("a batch that overlaps what is committed")

	x.write(1, 30) // and the worker is gone
	y := w.open()
	y.assign(all(nil)...)
	y.rewrite(0, 0, 60)
	y.write(1, 20)
	y.rewrite(1, 0, 50)
	y.read[1] = 50
	y.flush(all(nil)...)
	y.empty("settled")
	w.check("written again by another worker")
	w.finish("to the end")
}

func cuts(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	x.write(0, 30)
	x.write(1, 30)
	c := x.cut(0)
	x.write(0, 60) // belongs to the next commit
	x.stage(c)
	x.write(0, 70)
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	x.settle(c)
	w.check("what was cut is there, and nothing else")
	x.holding("the rest")
	x.flush(1)
	w.check("another partition")
	x.flush(0, 2)
	x.empty("settled")
	w.check("the rest")
}

// repeats: Stage, Commit and Settle may be called again, after success too.
func repeats(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	x.write(0, 40)
	x.write(1, 40)
	c := x.cut(0, 1)
	for range 3 {
		x.stage(c)
	}
	for range 3 {
		if err := x.commit(c); err != nil {
			w.t.Fatal(err)
		}
	}
	for range 3 {
		x.settle(c)
	}
	x.empty("settled")
	w.check("each once")
	x.write(0, 60)
	x.flush(0)
	x.settle(c) // late
	x.adopt(x.locate(all(nil)))
	x.adopt(x.locate(all(nil)))
	w.check("assigned again and again")
	w.finish("to the end")
}

func inFlight(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	x.write(0, 20)
	x.write(1, 20)
	a := x.cut(0, 1)
	x.write(0, 40)
	b := x.cut(0)
	x.write(0, 50)
	x.stage(a)
	if err := x.commit(a); err != nil {
		w.t.Fatal(err)
	}
	x.settle(a)
	w.check("the first")
	x.stage(b)
	x.write(1, 50)
	if err := x.commit(b); err != nil {
		w.t.Fatal(err)
	}
	x.settle(b)
	w.check("the second")
	x.flush(0, 1)
	x.empty("settled")
	w.check("the third")
}

func discards(w *world) {
	for staged := range 2 {
		x := w.open()
		x.assign(all(nil)...)
		for _, p := range all(nil) {
			x.write(p, x.read[p]+30)
		}
		c := x.cut(0, 1)
		x.write(0, x.read[0]+10)
		if staged > 0 {
			x.stage(c)
		}
		x.discard(c)
		x.adopt(x.locate(all(nil)))
		x.empty("discarded and assigned")
		w.check("discarded")
		for _, p := range all(nil) {
			x.write(p, x.read[p]+20) // in other batches
			x.write(p, x.read[p]+30)
		}
		x.flush(all(nil)...)
		x.empty("settled")
		w.check("come again")
	}
}

// crashes stops a worker at every step of a commit. Whoever is assigned next, the
// same sinks (a pipeline that failed) or new ones (a new process), goes on exactly
// where the table stands.
func crashes(w *world) {
	steps := []string{"written", "cut", "cut and written on", "staged", "committed", "settled"}
	for i, says := range steps {
		for _, same := range []bool{false, true} {
			says := fmt.Sprintf("stopped when %s, same sink %t", says, same)
			x := w.open()
			x.assign(all(nil)...)
			for _, p := range all(nil) {
				x.write(p, x.read[p]+15)
			}
			var c *feature.Commit
			if i >= 1 {
				c = x.cut(0, 1)
			}
			if i >= 2 {
				x.write(0, x.read[0]+5)
			}
			if i >= 3 {
				x.stage(c)
			}
			if i >= 4 {
				if err := x.commit(c); err != nil {
					w.t.Fatalf("%s: %v", says, err)
				}
			}
			if i >= 5 {
				x.settle(c)
			}
			y := x
			if !same {
				y = w.open()
			}
			y.assign(all(nil)...)
			if same {
				y.empty(says)
			}
			w.check(says)
			for _, p := range all(nil) {
				y.write(p, y.read[p]+10)
			}
			y.flush(all(nil)...)
			y.empty(says)
			w.check(says + ", and gone on")
		}
	}
	w.finish("to the end")
}

func revokes(w *world) {
	x, y := w.open(), w.open()
	x.assign(all(nil)...)
	x.write(0, 30)
	x.write(1, 30)
	x.revoke(0)
	c := x.cut(1)
	x.stage(c)
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	x.settle(c)
	x.empty("settled")
	w.check("what was left")
	// What was cut before the partition went is still committed.
	x.write(1, 60)
	x.write(2, 60)
	c = x.cut(1, 2)
	x.write(1, 70)
	x.revoke(1)
	x.stage(c)
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	x.settle(c)
	x.empty("settled")
	w.check("cut before it was revoked")
	y.assign(0, 1)
	y.write(0, 40)
	y.write(1, 80)
	y.flush(0, 1)
	w.check("by its new owner")
	// And back again.
	y.write(0, 50)
	y.revoke(0, 1)
	x.assign(0)
	x.write(0, 90)
	x.flush(0, 2)
	w.check("back again")
	y.empty("nothing left")
}

func zombies(w *world) {
	// Late at every step: the heir has committed in between.
	for late := range 3 {
		x, y := w.open(), w.open()
		x.assign(0, 1)
		x.write(0, x.read[0]+20)
		c := (*feature.Commit)(nil)
		if late >= 1 {
			c = x.cut(0, 1)
		}
		if late >= 2 {
			x.stage(c)
		}
		y.assign(0, 1)
		y.write(0, y.read[0]+13)
		y.flush(0, 1)
		w.check("the heir's rows")
		x.write(0, x.read[0]+5)
		if late < 1 {
			c = x.cut(0, 1)
		}
		if late < 2 {
			x.stage(c)
		}
		for range 2 {
			if err := x.commit(c); err == nil {
				w.t.Fatal("a commit landed that began where the table does not stand")
			}
		}
		w.check("a late commit")
		x.discard(c)
		w.check("a late discard")
		y.write(0, y.read[0]+50)
		y.flush(0)
		w.check("the heir goes on")
	}
	// It has landed just before the heir came, and settles after the heir has committed.
	x, y := w.open(), w.open()
	x.assign(0)
	x.write(0, x.read[0]+20)
	c := x.cut(0)
	x.stage(c)
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	y.assign(0)
	w.check("assigning settles what has landed")
	y.write(0, y.read[0]+20)
	y.flush(0)
	x.settle(c)
	x.empty("settled")
	w.check("a late settle")
	// It lands after the heir was assigned: the heir's own commit is the late one.
	x, y = w.open(), w.open()
	x.assign(0)
	x.write(0, x.read[0]+20)
	c = x.cut(0)
	x.stage(c)
	y.assign(0)
	y.write(0, y.read[0]+10)
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	d := y.cut(0)
	y.stage(d)
	if err := y.commit(d); err == nil {
		w.t.Fatal("both commits landed")
	}
	y.discard(d)
	y.assign(0)
	y.write(0, y.read[0]+20)
	y.flush(0)
	x.settle(c)
	y.empty("settled")
	w.check("the heir was the late one")
	w.finish("to the end")
}

func parallel(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	var turns [partitions]sync.Mutex // as ingestion: no Write of a partition that is being cut
	var at [partitions]int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for p := range partitions {
		wg.Go(func() {
			for to := int64(7); ; to += 7 {
				to = min(to, w.log.length)
				turns[p].Lock()
				b := x.batch(int32(p), at[p], to)
				if b != nil {
					if err := x.sink.Write(ctx, b); err != nil {
						w.t.Error(err)
					}
					if len(x.sinks) > 1 {
						if err := x.sinks[1].Write(ctx, b); err != nil {
							w.t.Error(err)
						}
					}
					b.Rows.Release()
					x.wrote(int32(p), at[p], to)
				}
				at[p] = to
				turns[p].Unlock()
				if to == w.log.length {
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(stop) }()
	for n, over := 0, false; !over; n++ {
		select {
		case <-stop:
			over = true
		default:
		}
		parts := []int32{int32(n % partitions), int32((n + 1) % partitions)}
		if over {
			parts = all(nil)
		}
		for _, p := range parts {
			turns[p].Lock()
			x.read[p] = at[p]
		}
		c := x.cut(parts...)
		for _, p := range parts {
			turns[p].Unlock()
		}
		x.stage(c)
		if err := x.commit(c); err != nil {
			w.t.Fatal(err)
		}
		x.settle(c)
	}
	x.empty("settled")
	w.check("all of it")
}

// imports have a partition of their own kind and an end.
func imports(w *world) {
	x := w.open()
	x.topic[0]++
	im := feature.ImportPartition
	first := feature.Position{Topic: "file:a.csv", TopicID: x.topic, Partition: im, Revision: 3, Started: Base}
	c := &feature.Commit{ID: w.id(), View: x.view, Advances: []feature.Advance{{To: first}}}
	c.Advances[0].To.Commit = c.ID
	for _, s := range x.sinks {
		s.Cut(c)
	}
	x.stage(c)
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	x.settle(c)
	x.adopt(x.locate([]int32{im}))
	if got, want := x.at[im], c.Advances[0].To; got != want {
		w.t.Fatalf("the table stands at %#v, it was put to %#v", got, want)
	}
	x.write(im, 40)
	x.flush(im)
	w.check("half of a file")

	y := w.open() // the other half in another process
	y.topic = x.topic
	y.adopt(y.locate([]int32{im}))
	if got, want := y.at[im], x.at[im]; got != want {
		w.t.Fatalf("the table stands at %#v, it was put to %#v", got, want)
	}
	y.rewrite(im, 0, 60)
	y.read[im] = 60
	c = y.cut(im)
	c.Advances[0].Final, c.Advances[0].Drained = true, true
	y.stage(c)
	if err := y.commit(c); err != nil {
		w.t.Fatal(err)
	}
	y.settle(c)
	y.empty("settled")
	w.check("the whole file")
	w.finish("beside a stream")
}

func views(w *world) {
	other := View("others")
	x, y := w.open(), w.openView(other)
	x.assign(all(nil)...)
	y.assign(all(nil)...)
	x.write(0, 50)
	y.write(0, 30)
	y.write(1, 30)
	c := x.cut(0)
	y.flush(0, 1)
	x.stage(c)
	w.checkView(other, "committed")
	if err := x.commit(c); err != nil {
		w.t.Fatal(err)
	}
	x.settle(c)
	w.check("committed")
	y.write(0, 90)
	d := y.cut(0)
	y.discard(d)
	y.adopt(y.locate(all(nil)))
	x.adopt(x.locate(all(nil)))
	y.write(0, 60)
	x.write(1, 60)
	y.flush(0)
	x.flush(1)
	w.check("one")
	w.checkView(other, "the other")
}

// memoryGivenBack: what a sink keeps it retains, what it retains it releases.
// Released memory is overwritten, so one that looks too late shows nonsense.
func memoryGivenBack(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	for _, p := range all(nil) {
		x.write(p, 100)
	}
	x.flush(0)
	w.check("settled")
	x.flush(1, 2)
	w.check("settled")
	x.write(0, 150)
	x.revoke(0)
	x.write(1, 150)
	c := x.cut(1)
	x.discard(c)
	x.adopt(x.locate([]int32{0, 1}))
	x.write(1, 120)
	c = x.cut(1)
	x.stage(c)
	x.discard(c)
	x.write(2, 160)
	x.cut(2)
	x.adopt(x.locate(all(nil)))
	x.empty("dropped")
	x.write(0, 200)
	x.flush(0)
	w.check("at the end")
	w.mem.AssertSize(w.t, 0)
}

// cancelled: a call whose context has ended does nothing or fails with the
// context's error, and is right when it is made again.
func cancelled(w *world) {
	done, cancel := context.WithCancel(ctx)
	cancel()
	try := func(what string, f func(context.Context) error) {
		w.t.Helper()
		if err := f(done); err != nil && !isCancelled(err) {
			w.t.Fatalf("%s with a cancelled context: %v", what, err)
		}
	}
	x := w.open()
	x.assign(all(nil)...)
	for range 2 {
		at := x.locate(all(nil))
		try("assign", func(ctx context.Context) error { return x.sink.Assign(ctx, at) })
		x.adopt(at)
		for _, p := range all(nil) {
			if b := x.batch(p, x.read[p], x.read[p]+20); b != nil {
				try("write", func(ctx context.Context) error { return x.sink.Write(ctx, b) })
				b.Rows.Release()
			}
			x.write(p, x.read[p]+20)
		}
		c := x.cut(all(nil)...)
		try("stage", func(ctx context.Context) error { return x.sink.Stage(ctx, c) })
		x.stage(c)
		try("commit", func(ctx context.Context) error { return x.table.Commit(ctx, c) })
		if err := x.commit(c); err != nil {
			w.t.Fatal(err)
		}
		try("settle", func(ctx context.Context) error { return x.sink.Settle(ctx, c) })
		x.settle(c)
		x.empty("settled")
		w.check("settled")
	}
	w.finish("to the end")
}

// faults has each kind of call fail, before or after it took effect, and be made again.
func faults(w *world) {
	if w.store.Break == nil {
		w.t.Skip("the store cannot be made to fail")
	}
	r := rand.New(rand.NewPCG(w.log.seed, 4))
	var mu sync.Mutex
	for every := 2; every <= 5; every++ {
		w.store.Break(func() Fault {
			mu.Lock()
			defer mu.Unlock()
			if r.IntN(every) == 0 {
				return Before + Fault(r.IntN(2))
			}
			return None
		})
		x := w.open()
		x.assign(all(nil)...)
		for range 2 {
			for _, p := range all(nil) {
				x.write(p, x.read[p]+15)
			}
			c := x.cut(all(nil)...)
			x.stage(c)
			if err := x.commit(c); err != nil {
				w.t.Fatal(err)
			}
			x.settle(c)
		}
		x.empty("settled")
		w.store.Break(func() Fault { return None })
		w.check(fmt.Sprintf("one call in %d fails", every))
	}
	w.finish("to the end")
}
