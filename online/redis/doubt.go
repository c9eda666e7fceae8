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
// are behind what they were, absences are failures.
type doubts struct {
	epoch atomic.Uint64
	views sync.Map // view id -> *trusted
}

func (d *doubts) raise() { d.epoch.Add(1) }

// trusted is what is known of one view on one server.
type trusted struct {
	turn    chan struct{} // holds one: whoever looks, and then what follows may be used
	key     string        // of the marks: another one after slots have moved
	marks   online.Marks
	first   time.Time // when the loss was first seen
	looked  time.Time
	readErr error

	at   atomic.Uint64 // epoch that whole is of, plus one
	loss atomic.Pointer[string]
}

const (
	// While rows are missing, the marks are read again this often.
	doubtPause = 50 * time.Millisecond
	// A loss that nobody mends is believed after this long: the marks may have been set back on purpose.
	mostDoubt = 5 * time.Minute
)

// lostError is an absence that may be a loss.
type lostError struct{ view, why string }

func (e *lostError) Error() string {
	return fmt.Sprintf("rows of view %s are missing on the server: %s; they are being written again", e.view, e.why)
}

// trust turns the absent values of a group into failures where its server may have lost them.
func (r *lookup) trust(ctx context.Context, until time.Time, tab *table, g *group, keys []string, vals [][]byte, failed []bool) (err error) {
	var view, span, project string // the last one seen: rows of a view stand together
	var whole error
	for k := range r.each(g) {
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
			whole = g.lane.whole(ctx, until, tab, view)
		}
		if whole != nil {
			failed[k] = true
			err = whole
		}
	}
	return err
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

// whole tells whether the server has all rows of a view that were ever put there.
func (l *lane) whole(ctx context.Context, until time.Time, tab *table, view string) error {
	v, ok := l.doubt.views.Load(view)
	if !ok {
		v, _ = l.doubt.views.LoadOrStore(strings.Clone(view), &trusted{turn: make(chan struct{}, 1)})
	}
	t := v.(*trusted)
	if t.at.Load() == l.doubt.epoch.Load()+1 && t.loss.Load() == nil {
		return nil
	}
	return t.look(ctx, until, l, tab, view, false)
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
	} else if !force && recent && t.readErr != nil {
		return t.readErr
	}
	key, ok := tab.markKey(l, view)
	if !ok {
		return nil // this server has no slots any more, and the next table will show it
	}
	var fields map[string]string
	var refused reply
	err := l.use(ctx, until, func(w *wire) (err error) {
		fields, refused, err = w.hash(key)
		return err
	})
	t.looked = time.Now()
	if refused != "" && refused.word() != "NOPERM" { // who may not read marks goes without
		err = refused
	}
	if t.readErr = err; err != nil {
		return err
	}
	now := parseMarks(fields)
	why := lossOf(t.marks, now, key == t.key)
	if why == "" || !t.first.IsZero() && time.Since(t.first) > mostDoubt {
		t.key, t.marks, t.first = key, now, time.Time{}
		t.loss.Store(nil)
		t.at.Store(epoch + 1)
		return nil
	}
	if t.first.IsZero() {
		t.first = t.looked
		l.log.Warn("a server of the online store has lost rows: lookups of what it does not have fail until it has been filled",
			"redis", l.addr, "view", view, "why", why)
	}
	t.loss.Store(&why)
	t.at.Store(epoch + 1)
	return &lostError{view, why}
}

// lossOf tells what marks show to be lost; "" where it is nothing. before are marks of a moment when
// nothing was, of the same key if same. What was written beyond the table's position does not count: a
// worker that takes a partition over sets Written back, and writes those rows again. Nor do
// imports, which nobody may ever finish.
func lossOf(before, now online.Marks, same bool) string {
	for _, m := range now.Part {
		if m.LostFrom < m.LostTo && m.Partition >= 0 {
			return fmt.Sprintf("those of offsets %d to %d of partition %d", m.LostFrom, m.LostTo, m.Partition)
		}
	}
	if !same {
		return ""
	}
	if fed(before) && !fed(now) {
		return "it is empty"
	}
	for _, b := range before.Part {
		if m, ok := now.Find(b.TopicID, b.Partition); ok && m.Settled < b.Settled && m.Partition >= 0 {
			return fmt.Sprintf("partition %d was settled at offset %d and is at %d", b.Partition, b.Settled, m.Settled)
		}
	}
	return ""
}

// fed tells that rows of a topic or of an import were ever put. A rebuild from the table has marks of its own, from its
// beginning on, and those of the partitions when it is done.
func fed(m online.Marks) bool {
	return slices.ContainsFunc(m.Part, func(p online.Mark) bool { return p.Partition >= feature.ImportPartition })
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
