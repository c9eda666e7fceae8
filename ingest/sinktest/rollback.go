package sinktest

// rollback sets the table back by so many commits; false where the store cannot.
// What the sink shows follows where it is the table. Elsewhere it stays: windows have
// counted, and online rows are shown, until the same events come again and change nothing.
func (w *world) rollback(commits int) bool {
	w.t.Helper()
	x := w.open()
	_, own := x.table.(*Writer)
	switch {
	case w.store.Rollback != nil:
		w.store.Rollback(w.t, w.view, commits)
	case own && len(x.sinks) > 1:
		w.tables[w.view.ID()].Rollback(commits, w.id())
	default:
		return false
	}
	m := w.modelOf(w.view)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store.Shows == Committed {
		for _, id := range m.order[len(m.order)-commits:] {
			delete(m.landed, id)
		}
	}
	m.order = m.order[:len(m.order)-commits]
	return true
}

// rolledBack: a worker that has not heard of a rollback commits nothing more, and
// what comes again is there once, however it is cut; again when that is rolled back.
func rolledBack(w *world) {
	x := w.open()
	x.assign(all(nil)...)
	step := func(x *worker, rows int64) {
		for _, p := range all(nil) {
			x.write(p, min(x.read[p]+rows, w.log.length))
		}
	}
	for range 5 {
		step(x, 30)
		x.flush(all(nil)...)
	}
	w.check("before")
	if !w.rollback(2) {
		w.t.Skip("the table cannot be rolled back here")
	}
	w.check("rolled back")
	step(x, 10)
	c := x.cut(all(nil)...)
	x.stage(c)
	if err := x.commit(c); err == nil {
		w.t.Fatal("a commit landed on a table that was rolled back below it")
	}
	x.discard(c)
	w.check("a commit refused")
	for _, says := range []string{"by the same worker", "by another one"} {
		y := x
		if says == "by another one" {
			y = w.open()
			w.rollback(1)
		}
		y.assign(all(nil)...)
		if y == x {
			y.empty("assigned")
		}
		for _, p := range all(nil) {
			if y.read[p] >= w.log.length/2 {
				w.t.Fatalf("partition %d is read on from %d: the table was not rolled back", p, y.read[p])
			}
		}
		step(y, 25)
		y.flush(all(nil)...)
		w.check("the first rows come again, " + says)
		step(y, 80)
		y.flush(all(nil)...)
		y.empty("settled")
		w.check("more than before, " + says)
		w.rollback(1)
	}
	w.finish("to the end")
}
