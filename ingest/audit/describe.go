package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// cells are a row as people read it: every column's text by name, "null" where null.
type cells struct {
	names  []string
	values []string
	none   string // why there is no row
}

// cells decodes one event for people.
func (x *reader) cells(d *definition, v *feature.View, rec *kgo.Record) *cells {
	res, err := x.decode(d, []*kgo.Record{rec})
	if err != nil {
		return &cells{none: err.Error()}
	}
	defer res.Batch.Rows.Release()
	if res.Batch.Len() == 0 {
		c := &cells{none: "it cannot be decoded"}
		if len(res.Rejected) > 0 && len(res.Rejected[0].Reasons) > 0 {
			reason := res.Rejected[0].Reasons[0]
			c.none = strings.TrimSpace(reason.Rule + " " + reason.Path)
		}
		return c
	}
	return cellsOf(v, res.Batch, 0, d.pick)
}

func cellsOf(v *feature.View, b *feature.Batch, i int, pick []int) *cells {
	c := &cells{}
	add := func(name, value string) { c.names, c.values = append(c.names, name), append(c.values, value) }
	for n, f := range v.Columns() {
		at := n
		if pick != nil {
			at = pick[n]
		}
		value := "null"
		if at >= 0 && !b.Rows.Column(at).IsNull(i) {
			value = textOf(f.Type, b.Rows.Column(at), i)
		}
		add(f.Name, value)
	}
	add("event time", fmt.Sprint(b.EventTime[i]))
	add("known time", fmt.Sprint(b.KnownTime[i]))
	add("tombstone", fmt.Sprint(b.Deleted(i)))
	return c
}

// textOf is a value for people, of an array the list that it is.
func textOf(t feature.Type, col arrow.Array, i int) string {
	if a, ok := col.(*array.Binary); ok && t.IsArray() {
		return feature.ArrayText(t, a.Value(i))
	}
	return feature.Shorten([]byte(col.ValueStr(i)))
}

// mostColumns bounds the columns that one difference names.
const mostColumns = 5

// against says in which columns a row of the table differs from the log's.
func (c *cells) against(table *cells) string {
	if c.none != "" {
		return "in the table, though no definition of the view takes the event: " + c.none
	}
	var out []string
	for i, name := range c.names {
		if c.values[i] == table.values[i] {
			continue
		}
		if len(out) == mostColumns {
			out = append(out, "...")
			break
		}
		out = append(out, fmt.Sprintf("%s is %s in the log and %s in the table", name, c.values[i], table.values[i]))
	}
	return strings.Join(out, "; ")
}

// describe looks the rows up that begin the differences: for the day they are
// of, and for what has changed in them.
func (r *run) describe(ctx context.Context) error {
	type at struct {
		part   partKey
		offset int64
	}
	want := map[at][]*finding{}
	var within []offline.Range
	r.found.each(func(d *finding) {
		if d.log == nil && (d.Day != 0 || d.Kind == Missing) {
			return
		}
		k := at{partKey{d.TopicID, d.Partition}, d.First}
		if want[k] == nil {
			within = append(within, offline.Range{TopicID: d.TopicID, Partition: d.Partition, First: d.First, Next: d.First + 1})
		}
		want[k] = append(want[k], d)
	})
	if len(within) == 0 {
		return nil
	}
	return r.scan(ctx, within, func(b *feature.Batch) error {
		for i, o := range b.Offsets {
			for _, d := range want[at{partKey{b.Origin.TopicID, b.Origin.Partition}, o}] {
				if d.Day == 0 {
					d.Day = dayOf(b.Stamp(i).Effective())
				}
				if d.log == nil {
					continue
				}
				// Of doubled rows one may be as it should be.
				if text := d.log.against(cellsOf(r.v, b, i, nil)); text != "" && !slices.Contains(strings.Split(d.Detail, " | "), text) {
					d.Detail = strings.TrimPrefix(d.Detail+" | "+text, " | ")
				}
			}
		}
		return nil
	})
}
