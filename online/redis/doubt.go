package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// doubts keeps a server that has lost rows from answering that there is none.
//
// A server that restarted empty, or with the data of a while ago, or a replica that took over
// before it had everything, answers "no such key" with a good conscience. Writers notice it by a
// view's marks (online.Mark) and put the rows again; until then an absent key means nothing. So
// lookups hold absences against the marks too: whenever a connection is new, or keys have moved,
// the first absence in each view has the view's marks read, and while they show a loss, or
// are behind what they were, absences are failures. What they were is remembered by the name of
// the marks, not by server: where another one takes over, it is held against what the former had.
// Who remembers nothing, having only just begun, or sees a loss, holds the marks against the view's table (see table.go).
type doubts struct {
	epoch atomic.Uint64
	views sync.Map // view id -> *trusted
}

func (d *doubts) raise() { d.epoch.Add(1) }

// trusted is what is known of one view on one server.
type trusted struct {
	turn    chan struct{} // holds one: whoever looks, and then what follows may be used
	first   time.Time     // when the loss was first seen, or was last seen to be mended
	put     int64         // rows that whoever mends it had put by then
	looked  time.Time
	readErr error
	readHad time.Duration // the time that whoever got readErr had
	read    *tableRead    // the last one

	at   atomic.Uint64 // epoch that whole is of, plus one
	from atomic.Int64  // since when it has been whole, on the lanes' clock
	loss atomic.Pointer[string]
	left atomic.Bool // nobody has mended the loss for leftAfter
}

const (
	// While rows are missing, the marks are read again this often.
	doubtPause = 50 * time.Millisecond
	// A loss that the table does not show, of rows that it never had, is believed after this long: of a topic that is gone nobody
	// will ever write them again. While rows are put again, it is not.
	mostDoubt = 5 * time.Minute
	// Readiness waits no longer for a loss that nobody mends.
	leftAfter = time.Minute
)

// lostError is an absence that may be a loss.
type lostError struct{ view, why string }

func (e *lostError) Error() string {
	return fmt.Sprintf("rows of view %s are missing on the server: %s; they are being written again", e.view, e.why)
}

// trust turns the absent values of a group, asked for at asked, into failures where its server may have lost them.
func (r *lookup) trust(ctx context.Context, until time.Time, tab *table, g *group, keys []string, vals [][]byte, failed []bool, asked int64) error {
	err, early := r.believe(ctx, until, tab, g, keys, vals, failed, asked)
	if !early {
		return err
	}
	// They were absent before the marks were seen to be good: perhaps because what the marks tell of came just then.
	one := []group{*g}
	g.lane.ask(ctx, until, r, one, keys, vals)
	if err := one[0].err; err != nil {
		for k := range r.each(g) {
			failed[k] = vals[k] == nil
		}
		return err
	}
	err, _ = r.believe(ctx, until, tab, g, keys, vals, failed, asked)
	return err
}

// believe says which absent values are failures. early tells that some of the others were asked for before the
// server was known to be whole.
func (r *lookup) believe(ctx context.Context, until time.Time, tab *table, g *group, keys []string, vals [][]byte, failed []bool, asked int64) (err error, early bool) {
	var view, span, project string // the last one seen: rows of a view stand together
	var whole error
	for k := range r.each(g) {
		failed[k] = false
		if vals[k] != nil {
			continue
		}
		p, v, ok := viewOf(keys[k])
		if !ok {
			continue
		}
		if view == "" || p != project || v != span {
			project, span = p, v
			view = p + "/" + v
			var from int64
			from, whole = g.lane.whole(ctx, until, tab, view)
			early = early || whole == nil && from > asked
		}
		if whole != nil {
			failed[k] = true
			err = whole
		}
	}
	return err, early
}

// viewOf takes project and view from a key, w:{project/entity/key}:view.
func viewOf(key string) (project, view string, ok bool) {
	if !strings.HasPrefix(key, "w:{") {
		return "", "", false
	}
	project, _, ok = strings.Cut(key[3:], "/")
	end := strings.LastIndex(key, "}:")
	if !ok || end < 0 || end+2 >= len(key) {
		return "", "", false
	}
	return project, key[end+2:], true
}

// whole tells whether the server has all rows of a view that were ever put there, and since when at least, on the lanes' clock.
func (l *lane) whole(ctx context.Context, until time.Time, tab *table, view string) (from int64, err error) {
	t := l.trusted(view)
	if t.at.Load() != l.doubt.epoch.Load()+1 || t.loss.Load() != nil {
		if err := t.look(ctx, until, l, tab, view, false); err != nil {
			return 0, err
		}
	}
	return t.from.Load(), nil
}

func (l *lane) trusted(view string) *trusted {
	v, ok := l.doubt.views.Load(view)
	if !ok {
		v, _ = l.doubt.views.LoadOrStore(strings.Clone(view), &trusted{turn: make(chan struct{}, 1)})
	}
	return v.(*trusted)
}

// look reads the marks, unless somebody just has and force is not set.
func (t *trusted) look(ctx context.Context, until time.Time, l *lane, tab *table, view string, force bool) error {
	select {
	case t.turn <- struct{}{}:
	default:
		wait := time.NewTimer(time.Until(until))
		defer wait.Stop()
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
			return errLate
		}
	}
	defer func() { <-t.turn }()
	epoch := l.doubt.epoch.Load()
	if recent := time.Since(t.looked) < doubtPause; !force && t.at.Load() == epoch+1 {
		why := t.loss.Load()
		if why == nil {
			return nil
		}
		if recent {
			return &lostError{view, *why}
		}
	} else if !force && recent && t.readErr != nil && (!late(t.readErr) || time.Until(until) <= t.readHad) {
		return t.readErr // but that somebody had too little time says nothing to who has more
	}
	key, ok := tab.markKey(l, view)
	if !ok {
		return nil // this server has no slots any more, and the next table will show it
	}
	had := time.Until(until)
	why, now, err := t.find(ctx, until, l, view, key, epoch)
	if err != nil {
		if ctx.Err() == nil { // else it is the caller's own
			t.looked, t.readErr, t.readHad = time.Now(), err, had
		}
		return err
	}
	t.looked, t.readErr = time.Now(), nil
	if why != "" {
		t.left.Store(t.looked.Sub(t.first) > leftAfter)
		if t.loss.Swap(&why) == nil {
			l.log.Warn("a server of the online store has lost rows, or has not got them yet: lookups of what it does not have fail until it has been filled",
				"redis", l.addr, "view", view, "why", why)
		}
		t.at.Store(epoch + 1)
		return &lostError{view, why}
	}
	l.seen.Store(key, now)
	if t.loss.Load() != nil || t.at.Load() != epoch+1 {
		t.from.Store(l.now())
	}
	t.first, t.read = time.Time{}, nil
	t.loss.Store(nil)
	t.at.Store(epoch + 1)
	return nil
}

// find tells what is missing, by the marks, and by the table where those leave it open.
func (t *trusted) find(ctx context.Context, until time.Time, l *lane, view, key string, epoch uint64) (why string, now online.Marks, err error) {
	before, known := l.seen.Load(key)
	was, _ := before.(online.Marks)
	for {
		var all bool
		asked := time.Now()
		if now, all, err = l.marks(ctx, until, key); err != nil || all {
			return "", now, err
		}
		why, unsettled := lossOf(was, now)
		table := l.table.Load()
		if why == "" && (known || table == nil) {
			return "", now, nil
		}
		t.progress(now, time.Now())
		if table == nil {
			return t.patient(why), now, nil
		}
		r, err := t.positions(ctx, until, l, *table, view, epoch)
		if err != nil {
			return "", now, &unknownError{view, err}
		}
		if asked.Before(r.ended) { // what a commit brought between the two would look lost
			continue
		}
		if missing := behind(r.at, now); missing != "" {
			return missing, now, nil
		}
		if unsettled {
			return t.patient(why), now, nil
		}
		return "", now, nil // what was remembered is of a table that is no more, or was rolled back
	}
}

// marks reads the marks of a view. all tells that they are not for us to see.
func (l *lane) marks(ctx context.Context, until time.Time, key string) (m online.Marks, all bool, err error) {
	var fields map[string]string
	var refused reply
	err = l.use(ctx, until, func(w *wire) (err error) {
		start := time.Now()
		if fields, refused, err = w.hash(key); err == nil {
			l.measure(start)
		}
		return err
	})
	switch refused.word() {
	case "":
	case "NOPERM": // who may not read marks goes without
		return m, true, err
	case "MOVED":
		l.moved() // perhaps no lookup asks for what has moved with them
		fallthrough
	default:
		err = refused
	}
	return parseMarks(fields), false, err
}

// progress notes when rows were last put by whoever mends a loss.
func (t *trusted) progress(now online.Marks, at time.Time) {
	var put int64
	for _, m := range now.Part {
		if m.Partition < feature.ImportPartition {
			put += m.Written
		}
	}
	if t.first.IsZero() || put != t.put {
		t.first, t.put = at, put
	}
}

// patient is why, for as long as somebody may mend it.
func (t *trusted) patient(why string) string {
	if time.Since(t.first) > mostDoubt {
		return ""
	}
	return why
}

// lossOf tells what marks show to be lost; "" where it is nothing. before are marks of a moment when
// nothing was, or nothing that was not believed. What was written beyond the table's position does not count: a
// worker that takes a partition over sets Written back, and writes those rows again. Nor is it a loss that Settled alone
// goes back, for a worker may tell late of where the table was. Nor are imports, which nobody may ever finish. unsettled tells that
// the marks themselves call it a loss: perhaps of rows that the table does not have yet.
func lossOf(before, now online.Marks) (why string, unsettled bool) {
	for _, m := range now.Part {
		if m.LostFrom >= m.LostTo || m.Partition < 0 {
			continue
		}
		if b, ok := before.Find(m.TopicID, m.Partition); !ok || m.LostFrom < b.LostFrom || m.LostTo > b.LostTo {
			return fmt.Sprintf("those of offsets %d to %d of partition %d", m.LostFrom, m.LostTo, m.Partition), true
		}
	}
	if !fed(now) {
		switch {
		case fed(before):
			return "it is empty", false
		case filling(now) && !filling(before):
			return "it has not been filled yet", false
		}
	}
	for _, b := range before.Part {
		m, ok := now.Find(b.TopicID, b.Partition)
		switch {
		case b.Partition < 0 || b.Settled == 0:
		case ok && m.Settled < b.Settled && m.Written < b.Written:
			return fmt.Sprintf("partition %d was settled at offset %d and is at %d", b.Partition, b.Settled, m.Settled), false
		case !ok && slices.ContainsFunc(now.Part, func(m online.Mark) bool { return m.TopicID == b.TopicID && m.Partition >= 0 }):
			return fmt.Sprintf("all of partition %d", b.Partition), false // but of a former topic nobody need remember any
		}
	}
	return "", false
}

// fed tells that rows of a topic or of an import were put, all that the table has. A rebuild from the table has marks of its own,
// from its first rows on, and those of the partitions when it is done.
func fed(m online.Marks) bool {
	return slices.ContainsFunc(m.Part, func(p online.Mark) bool { return p.Partition >= feature.ImportPartition && p.Written > 0 })
}

// filling tells that a rebuild has begun to put rows, and has not ended.
func filling(m online.Marks) bool {
	return slices.ContainsFunc(m.Part, func(p online.Mark) bool { return p.Partition < feature.ImportPartition && p.Written > 0 })
}

// refresh keeps what is remembered of the views near to what the server has, so that a
// server that goes back a little is found out too.
func (l *lane) refresh(ctx context.Context, tab *table) {
	l.doubt.views.Range(func(view, t any) bool {
		if ctx.Err() != nil || l.shut.Load() != nil {
			return false
		}
		_ = t.(*trusted).look(ctx, time.Now().Add(l.cfg.ReadTimeout), l, tab, view.(string), true)
		return true
	})
}

// markKey is the key of a view's marks on a lane's server: as shards.keys has it.
func (t *table) markKey(l *lane, view string) (string, bool) {
	if t.owner == nil {
		return markKey(view, 0), true
	}
	if !slices.Contains(t.lanes, l) { // a redirect led there, and the search is long
		return "", false
	}
	for n := range slots { // a server with very few slots may have none of these names
		k := markKey(view, n)
		if o := t.owner[slot(k)]; o >= 0 && t.lanes[o] == l {
			return k, true
		}
	}
	return "", false
}

// hash reads a hash. refused is what the server said instead.
func (w *wire) hash(key string) (h map[string]string, refused reply, err error) {
	w.command("HGETALL", key)
	if err := w.send(); err != nil {
		return nil, "", err
	}
	v, err := w.value(0)
	if err != nil {
		return nil, "", err
	}
	if r, ok := v.(reply); ok {
		return nil, r, nil
	}
	list, ok := v.([]any)
	if !ok || len(list)%2 != 0 {
		return nil, "", errProtocol
	}
	h = make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		f, ok1 := list[i].(string)
		x, ok2 := list[i+1].(string)
		if !ok1 || !ok2 {
			return nil, "", errProtocol
		}
		h[f] = x
	}
	return h, "", nil
}
