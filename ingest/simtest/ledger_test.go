package simtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// ledger is what has landed in one view's table, as the simulation saw it land.
type ledger struct {
	spans   map[int32][]span // by partition, ascending, without gaps
	rows    map[coord]string
	commits int
}

// span is a range of offsets that one commit put into the table, and the catalog
// revision that the position before it named.
type span struct{ from, to, revision int64 }

func (l *ledger) next(part int32) int64 {
	if s := l.spans[part]; len(s) > 0 {
		return s[len(s)-1].to
	}
	return 0
}

// begins is the first offset that concerns the view.
func (l *ledger) begins(part int32) (int64, bool) {
	if s := l.spans[part]; len(s) > 0 {
		return s[0].from, true
	}
	return 0, false
}

// judged is the revision that judged an offset.
func (l *ledger) judged(c coord) (int64, bool) {
	for _, s := range l.spans[c.part] {
		if s.from <= c.off && c.off < s.to {
			return s.revision, true
		}
	}
	return 0, false
}

// append is the table's compare-and-swap, watched: whatever lands is compared
// with the model at once.
func (w *world) append(ctx context.Context, who string, t offline.Table, c *feature.Commit, files []offline.File) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, err := t.Positions(ctx)
	if err != nil {
		return err
	}
	err = t.Append(ctx, c, files)
	after, err2 := t.Positions(context.WithoutCancel(ctx))
	w.must(err2)
	if slices.Equal(before, after) {
		w.noteLocked("%s commits %s of %s: nothing changes (%v)", who, short(c.ID), c.View.Meta.Name, err)
		return err
	}
	if err != nil {
		w.wrongLocked("commit %s said %v and changed the table", short(c.ID), err)
	}
	w.landed(who, t, c, files, before, after)
	return err
}

func short(id string) string { return id[:min(8, len(id))] }

func (w *world) landed(who string, t offline.Table, c *feature.Commit, files []offline.File, before, after []feature.Position) {
	view := c.View.Meta.Name
	l := w.ledger[view]
	if l == nil {
		l = &ledger{spans: map[int32][]span{}, rows: map[coord]string{}}
		w.ledger[view] = l
	}
	l.commits++
	fresh := map[int32]span{}
	var moved []string
	for _, p := range after {
		old, known := offline.Find(before, p)
		if known && old == p {
			continue
		}
		moved = append(moved, fmt.Sprintf("%d: %d(r%d)->%d(r%d)", p.Partition, old.Next, old.Revision, p.Next, p.Revision))
		a := c.Advance(p.TopicID, p.Partition)
		if a == nil {
			w.wrongLocked("%s: commit %s moved partition %d without naming it", view, short(c.ID), p.Partition)
			continue
		}
		if !known { // the first commit of a partition has no rows; it begins where the log does
			old.Next, old.Revision = p.Next, p.Revision
		}
		if p.Next < old.Next {
			w.wrongLocked("%s: partition %d went back from %d to %d", view, p.Partition, old.Next, p.Next)
		}
		s := span{old.Next, p.Next, old.Revision}
		fresh[p.Partition] = s
		l.spans[p.Partition] = append(l.spans[p.Partition], s)
	}
	w.noteLocked("%s commits %s of %s: %s", who, short(c.ID), view, strings.Join(moved, ", "))
	got, err := readRows(&onlyFiles{t, files})
	if err != nil {
		w.wrongLocked("%s: the files of commit %s: %v", view, short(c.ID), err)
		return
	}
	for at, text := range got {
		s, named := fresh[at.part]
		if !named || at.off < s.from || at.off >= s.to {
			w.wrongLocked("%s: row %s came with commit %s, whose range is %v", view, at, short(c.ID), s)
		}
		if _, twice := l.rows[at]; twice {
			w.wrongLocked("%s: row %s is in the table twice", view, at)
		}
		l.rows[at] = text
	}
	for part, s := range fresh {
		for off := s.from; off < s.to; off++ {
			at := coord{part, off}
			if e := w.events[at]; e != nil { // those not known yet are compared at the end
				w.compare(view, l, at, e, s.revision)
			}
		}
	}
}

// compare says whether the table has of an event what it must have.
func (w *world) compare(view string, l *ledger, at coord, e *event, revision int64) {
	r := w.rules[revision]
	if r == nil {
		w.wrongLocked("%s: partition %d names revision %d, which there is not", view, at.part, revision)
		return
	}
	text, there := l.rows[at]
	switch good := r.good(view, e); {
	case good && !there:
		w.wrongLocked("%s: event %s, good by revision %d, is not in the table: %s", view, at, revision, e.rec.Value)
	case !good && there:
		w.wrongLocked("%s: event %s, bad by revision %d, is in the table: %s", view, at, revision, e.rec.Value)
	case good && text != e.text(at):
		w.wrongLocked("%s: event %s is %q in the table, wants %q", view, at, text, e.text(at))
	}
}

// onlyFiles is a table of some files.
type onlyFiles struct {
	offline.Table
	files []offline.File
}

func (o *onlyFiles) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	return &offline.State{Snapshot: 1, Files: o.files}, nil
}

// readRows reads a table.
func readRows(t offline.Table) (map[coord]string, error) {
	rows := map[coord]string{}
	err := offline.Scan(context.Background(), t, offline.ScanOptions{}, func(b *feature.Batch) error {
		for i := range b.Len() {
			c := coord{b.Origin.Partition, b.Offsets[i]}
			if _, twice := rows[c]; twice {
				return fmt.Errorf("row %s is there twice", c)
			}
			text := func(col int) string {
				if a := b.Rows.Column(col); !a.IsNull(i) {
					if packed, ok := a.(*array.Binary); ok {
						return feature.ArrayText(feature.Array(feature.String), packed.Value(i))
					}
					return a.ValueStr(i)
				}
				return "null"
			}
			rows[c] = fmt.Sprintf("%s age %s score %s tags %s event %d known %d deleted %t", text(0), text(1), text(2), text(3), b.EventTime[i], b.KnownTime[i], b.Deleted(i))
		}
		return nil
	})
	return rows, err
}

func compareCoords(a, b coord) int {
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.off, b.off))
}
