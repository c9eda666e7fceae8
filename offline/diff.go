package offline

import (
	"cmp"
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// DiffOptions say what Diff compares.
type DiffOptions struct {
	From, To Version
	Examples int                     // rows that are listed; none when 0
	Progress func(done, total int64) // rows read, of those in files that only one version has
	most     int                     // rows remembered at a time
}

// Difference is how two versions of a table differ. Rows are known by their
// coordinates: topic id, partition and offset.
type Difference struct {
	From, To                *State
	Files                   int // that only one of the two has: all that was read
	Added, Removed, Changed int64
	Columns                 map[string]int64 // of Changed, rows with another value in that column
	Rows                    []DiffRow        // examples, by coordinates
	Moved                   []MovedPosition
	Schema                  []ColumnChange // none where a version does not tell its columns
}

// ColumnChange is a column that two versions have differently.
type ColumnChange struct {
	Kind    string  // ColumnAdded, ColumnRemoved or ColumnChanged
	Was, Is *Column // nil where it is not there
}

// Kinds of ColumnChange. A changed one has another name, another type or both.
const (
	ColumnAdded   = "added"
	ColumnRemoved = "removed"
	ColumnChanged = "changed"
)

// columnChanges compares columns by their ids, in the order of the later version, then those that are gone.
func columnChanges(from, to []Column) (out []ColumnChange) {
	if from == nil || to == nil {
		return nil
	}
	was := map[int]*Column{}
	for i := range from {
		was[from[i].ID] = &from[i]
	}
	for i := range to {
		c := &to[i]
		switch old := was[c.ID]; {
		case old == nil:
			out = append(out, ColumnChange{ColumnAdded, nil, c})
		case old.Name != c.Name || old.Type != c.Type:
			out = append(out, ColumnChange{ColumnChanged, old, c})
		}
		delete(was, c.ID)
	}
	for i := range from {
		if was[from[i].ID] != nil {
			out = append(out, ColumnChange{ColumnRemoved, &from[i], nil})
		}
	}
	return out
}

// DiffRow is a row that differs.
type DiffRow struct {
	Kind      string // DiffAdded, DiffRemoved or DiffChanged
	Topic     string
	TopicID   [16]byte
	Partition int32
	Offset    int64
	// Columns are those that changed, or all; Before and After their values as
	// text, "null" for none, nil where the row is not there.
	Columns, Before, After []string
}

// Kinds of DiffRow.
const (
	DiffAdded   = "added"
	DiffRemoved = "removed"
	DiffChanged = "changed"
)

// MovedPosition is a partition on which two versions stand at different offsets.
type MovedPosition struct {
	feature.Position       // its partition; Next is where the later version stands
	From             int64 // -1: the earlier version does not know it
}

// mostDiffRows bounds the memory of a pass: about 64 bytes a row and 4 more a column.
const mostDiffRows = 1 << 20

// Diff compares two versions. Files that both name are not read: a file never
// changes. Memory is bounded: where more rows differ in place (a compaction has moved
// all of them, say) than are remembered at once, the files are read in several passes.
func Diff(ctx context.Context, t Table, o DiffOptions) (*Difference, error) {
	if o.most <= 0 {
		o.most = mostDiffRows
	}
	from, err := t.Load(ctx, o.From)
	if err != nil {
		return nil, err
	}
	to, err := t.Load(ctx, o.To)
	if err != nil {
		return nil, err
	}
	d := &differ{t: t, o: o, out: &Difference{From: from, To: to, Columns: map[string]int64{}, Schema: columnChanges(from.Columns, to.Columns)}, numbers: map[partKey]int32{}}
	if d.out.Moved, err = movedBetween(ctx, t, o, from, to); err != nil {
		return nil, err
	}
	d.gone, d.made = onlyIn(from.Files, to.Files), onlyIn(to.Files, from.Files)
	d.out.Files = len(d.gone) + len(d.made)
	for _, f := range slices.Concat(d.gone, d.made) {
		d.total += f.Rows
	}
	sys := columnsByName(t.Columns())
	d.coordinates = [3]Column{sys[ColTopicID], sys[ColPartition], sys[ColOffset]}
	for _, c := range t.Columns() {
		if c.Name != ColTopicID && c.Name != ColPartition && c.Name != ColOffset && c.Name != ColEffective {
			d.columns = append(d.columns, c)
		}
	}
	if err := d.passes(ctx); err != nil {
		return nil, err
	}
	if err := d.describe(ctx); err != nil {
		return nil, err
	}
	return d.out, nil
}

// onlyIn is the files of a that b does not name.
func onlyIn(a, b []File) []File {
	named := make(map[string]bool, len(b))
	for _, f := range b {
		named[f.Path] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(f File) bool { return named[f.Path] })
}

// movedBetween compares where two versions stand. Where imports and replays stood at
// one of them may have expired; then they are left out.
func movedBetween(ctx context.Context, t Table, o DiffOptions, from, to *State) ([]MovedPosition, error) {
	topics := false
	at := func(v Version, st *State) ([]feature.Position, error) {
		if v == (Version{}) {
			return st.Positions, nil
		}
		all, err := t.PositionsAt(ctx, st.Snapshot)
		if feature.KindOf(err) == feature.Invalid {
			topics = true
			return st.Positions, nil
		}
		return all, err
	}
	was, err := at(o.From, from)
	if err != nil {
		return nil, err
	}
	is, err := at(o.To, to)
	if err != nil {
		return nil, err
	}
	out := moved(was, is)
	if topics {
		out = slices.DeleteFunc(out, func(m MovedPosition) bool { return m.Partition < 0 })
	}
	return out, nil
}

func moved(from, to []feature.Position) []MovedPosition {
	var out []MovedPosition
	for _, p := range to {
		old, known := Find(from, p)
		if !known {
			old.Next = -1
		}
		if old.Next != p.Next {
			out = append(out, MovedPosition{p, old.Next})
		}
	}
	for _, p := range from {
		if _, known := Find(to, p); !known {
			gone := p
			gone.Next = -1
			out = append(out, MovedPosition{gone, p.Next})
		}
	}
	return out
}

// differ is one comparison.
type differ struct {
	t           Table
	o           DiffOptions
	out         *Difference
	gone, made  []File
	columns     []Column // compared, all but the coordinates
	coordinates [3]Column
	numbers     map[partKey]int32
	parts       []partKey
	done, total int64
}

// coordinate is a row's place; part is its number in differ.parts.
type coordinate struct {
	part   int32
	offset int64
}

// number gives a partition its number.
func (d *differ) number(k partKey) int32 {
	n, ok := d.numbers[k]
	if !ok {
		n = int32(len(d.parts))
		d.numbers[k] = n
		d.parts = append(d.parts, k)
	}
	return n
}

// example notes a row that differs, as long as there is room for it.
func (d *differ) example(kind string, at coordinate, columns []string) {
	if len(d.out.Rows) >= d.o.Examples {
		return
	}
	k := d.parts[at.part]
	d.out.Rows = append(d.out.Rows, DiffRow{Kind: kind, TopicID: k.topic, Partition: k.partition, Offset: at.offset, Columns: columns})
}

// describe fills in topics and values of the examples.
func (d *differ) describe(ctx context.Context) error {
	rows := d.out.Rows
	slices.SortFunc(rows, func(a, b DiffRow) int {
		return cmp.Or(slices.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	names := topicNames(d.out.From)
	for id, name := range topicNames(d.out.To) {
		names[id] = name
	}
	var all []string
	for _, c := range d.columns {
		all = append(all, c.Name)
	}
	type place struct {
		part   partKey
		offset int64
	}
	find := map[place]int{}
	var before, after []Range
	for i := range rows {
		r := &rows[i]
		r.Topic = names[r.TopicID]
		if r.Columns == nil {
			r.Columns = all
		}
		find[place{partKey{r.TopicID, r.Partition}, r.Offset}] = i
		at := Range{TopicID: r.TopicID, Partition: r.Partition, First: r.Offset, Next: r.Offset + 1}
		if r.Kind != DiffAdded {
			before = append(before, at)
		}
		if r.Kind != DiffRemoved {
			after = append(after, at)
		}
	}
	read := func(st *State, within []Range, put func(r *DiffRow, values []string)) error {
		if len(within) == 0 || st.Snapshot == 0 {
			return nil
		}
		return Scan(ctx, d.t, ScanOptions{Version: Version{Snapshot: st.Snapshot}, Within: within}, func(b *feature.Batch) error {
			for i, o := range b.Offsets {
				if at, ok := find[place{partKey{b.Origin.TopicID, b.Origin.Partition}, o}]; ok {
					put(&rows[at], valuesOf(b, i, rows[at].Columns))
				}
			}
			return nil
		})
	}
	if err := read(d.out.From, before, func(r *DiffRow, v []string) { r.Before = v }); err != nil {
		return err
	}
	return read(d.out.To, after, func(r *DiffRow, v []string) { r.After = v })
}

// valueText is a value that is not null as text; of an array as a JSON list.
func valueText(t feature.Type, a arrow.Array, i int) string {
	if !t.IsArray() {
		return a.ValueStr(i)
	}
	one := array.NewSlice(a, int64(i), int64(i+1))
	defer one.Release()
	list, err := feature.ToLists(t, one.(*array.Binary))
	if err != nil {
		return a.ValueStr(i) // the bytes as they are
	}
	defer list.Release()
	return list.ValueStr(0)
}

// valuesOf are the values of row i as text.
func valuesOf(b *feature.Batch, i int, columns []string) []string {
	out := make([]string, len(columns))
	for k, name := range columns {
		switch name {
		case ColEvent:
			out[k] = timeText(b.EventTime[i])
		case ColKnown:
			out[k] = timeText(b.KnownTime[i])
		case ColTombstone:
			out[k] = "false"
			if b.Deleted(i) {
				out[k] = "true"
			}
		default:
			at := b.Rows.Schema().FieldIndices(name)
			if len(at) == 0 || b.Rows.Column(at[0]).IsNull(i) {
				out[k] = "null"
				continue
			}
			out[k] = valueText(b.View.Columns()[at[0]].Type, b.Rows.Column(at[0]), i)
		}
	}
	return out
}
