package onlinetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Oracle is what a store must answer: the newest row of each key, in a map.
type Oracle struct {
	View *feature.View
	// Drops says that the store may have dropped rows beyond their ttl meanwhile, and
	// been given older ones since: what has expired is absent then, or expired in some row.
	Drops bool
	best  map[string]oracleRow
}

type oracleRow struct {
	Row
	st feature.Stamp
}

// See takes rows of a partition, in any order.
func (o *Oracle) See(partition int32, rows ...Row) {
	if o.best == nil {
		o.best = map[string]oracleRow{}
	}
	for _, r := range rows {
		k := fmt.Sprint(r.Values[0])
		st := r.Stamp(partition)
		if old, ok := o.best[k]; !ok || st.Compare(old.st) >= 0 {
			o.best[k] = oracleRow{r, st}
		}
	}
}

// Check looks every key up, and one that does not exist.
func (o *Oracle) Check(t *testing.T, s online.Store, now int64) {
	t.Helper()
	rd := online.NewReader(s, func() time.Time { return feature.Time(now) }, nil, nil)
	plan, err := rd.Compile(Service(o.View))
	require.NoError(t, err)
	keys := []string{"no such key"}
	for k := range o.best {
		keys = append(keys, k)
	}
	var in feature.Vector
	in.Reset(feature.String, len(keys))
	for i, k := range keys {
		in.Valid[i], in.Bytes[i] = true, []byte(k)
	}
	var b feature.Block
	require.NoError(t, plan.Read(context.Background(), []feature.Vector{in}, len(keys), &b))
	for i, k := range keys {
		r, known := o.best[k]
		want := feature.Present
		switch {
		case !known || r.Deleted:
			want = feature.NotFoundStatus
		case r.st.Expired(o.View.TTL, now):
			want = feature.OutsideMaxAge
		}
		if got := b.Views[0]; o.Drops && known && r.st.Expired(o.View.TTL, now) {
			require.Contains(t, []feature.Status{feature.NotFoundStatus, feature.OutsideMaxAge}, got.Status[i], "key %q, row %+v", k, r)
			for c := range b.Columns {
				require.Nil(t, Value(&b.Columns[c].Vector, i), "key %q, feature %s", k, b.Columns[c].Name)
			}
			continue
		}
		require.Equal(t, want.String(), b.Views[0].Status[i].String(), "key %q, row %+v", k, r)
		if want == feature.Present || want == feature.OutsideMaxAge {
			require.Equal(t, r.Event, b.Views[0].EventTime[i])
		} else {
			require.Zero(t, b.Views[0].EventTime[i])
		}
		for c := range b.Columns {
			var x any
			if want == feature.Present {
				x = r.Values[1+c]
			}
			require.Equal(t, x, Value(&b.Columns[c].Vector, i), "key %q, feature %s", k, b.Columns[c].Name)
		}
	}
}

// RandomRow draws a row of View: few keys, times close together, some deleted.
func RandomRow(r *rand.Rand, v *feature.View, base, offset int64) Row {
	row := Row{Values: []any{fmt.Sprintf("k%d {,}%%é", r.IntN(25))}, Offset: offset, Deleted: r.IntN(10) == 0}
	for _, f := range v.Features {
		row.Values = append(row.Values, Random(r, f.Type))
	}
	row.Event = base + r.Int64N(20)*int64(time.Minute/time.Microsecond)
	row.Known = row.Event + []int64{0, 1, 300_000_000, -60_000_000}[r.IntN(4)]
	return row
}

// testWriteAndRead: any order, duplicates and replays of batches from several
// partitions leave what Stamp orders last.
func testWriteAndRead(t *testing.T, s online.Store, p string) {
	ctx, r := context.Background(), Seed(t)
	now := time.Now().UnixMicro()
	v := View(p, "v", feature.Duration(15*time.Minute))
	w := online.NewWriter(v, s, &Table{}, online.Options{})
	o := &Oracle{View: v}
	var all []*feature.Batch
	for part := range int32(3) {
		next := int64(0)
		for range 12 {
			var rows []Row
			for range 1 + r.IntN(12) {
				rows = append(rows, RandomRow(r, v, now-20*60_000_000, next))
				next += 1 + r.Int64N(3)
			}
			o.See(part, rows...)
			all = append(all, Batch(v, [16]byte{1}, part, rows...))
		}
	}
	for range 20 {
		all = append(all, all[r.IntN(len(all))])
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, b := range all {
		require.NoError(t, w.Write(ctx, b))
	}
	o.Check(t, s, now)
}
