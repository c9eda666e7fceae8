package onlinetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// world is a view with a table and a store that agree, and one import.
type world struct {
	*testing.T
	store  online.Store
	view   *feature.View
	table  *Table
	writer *online.Writer
	oracle *Oracle
	now    int64
}

var (
	topicA = [16]byte{1}
	fileA  = [16]byte{2}
)

// newWorld has rows k0 to k<keys-1> of three partitions and imp0 to imp9 of an import.
func newWorld(t *testing.T, s online.Store, p string, ttl time.Duration, keys int) *world {
	w := &world{T: t, store: s, view: View(p, "v", feature.Duration(ttl)), table: &Table{}, now: time.Now().UnixMicro()}
	w.oracle = &Oracle{View: w.view}
	w.writer = online.NewWriter(w.view, s, w.table, online.Options{})
	for part := range int32(3) {
		var rows []Row
		for i := int(part); i < keys; i += 3 {
			rows = append(rows, w.row(fmt.Sprintf("k%d", i), int64(i), 0))
		}
		w.commit(Batch(w.view, topicA, part, rows...))
	}
	var rows []Row
	for i := range 10 {
		rows = append(rows, w.row(fmt.Sprintf("imp%d", i), int64(i), 0))
	}
	w.commit(Batch(w.view, fileA, feature.ImportPartition, rows...))
	return w
}

// row has values that follow from key and offset; shift moves its times, in seconds.
func (w *world) row(key string, offset int64, shift int64) Row {
	at := w.now + shift*1_000_000
	return Row{Values: []any{key, float64(offset) / 3, offset%2 == 0, "text of " + key, int32(offset), nil, offset << 33, float32(shift), at,
		elements(feature.Float64, float64(offset), 0.5), nil, elements(feature.String, "text", key), []byte{}, elements(feature.Bytes, []byte{0}), elements(feature.Int64, offset), elements(feature.Float32, float32(shift)), elements(feature.Timestamp, at)},
		Event: at, Known: at + 5, Offset: offset}
}

func (w *world) write(b *feature.Batch) {
	require.NoError(w, w.writer.Write(context.Background(), b))
	w.oracle.See(b.Origin.Partition, Rows(b)...)
}

func (w *world) commit(b *feature.Batch) {
	w.write(b)
	w.table.Append(b)
	to := feature.Position{TopicID: b.Origin.TopicID, Partition: b.Origin.Partition, Next: b.Origin.Next}
	require.NoError(w, w.writer.Settle(context.Background(), &feature.Commit{View: w.view, Advances: []feature.Advance{{To: to}}}))
}

func (w *world) key(k string) string {
	s := online.SpanOf(w.view)
	return s.Prefix + k + s.Suffix
}

// value is how the store keeps a row.
func (w *world) value(r Row, partition int32) []byte {
	v, err := online.Value(online.SchemaOf(w.view), r.Stamp(partition), r.Values[1:]...)
	require.NoError(w, err)
	return v
}

// plant makes val the value of a key, whatever was there.
func (w *world) plant(k string, val []byte) {
	ctx := context.Background()
	w.take(k)
	require.NoError(w, w.store.Fill(ctx, []online.Row{{Key: w.key(k), Value: val}}))
}

func (w *world) take(k string) {
	if old := get(w.T, w.store, w.key(k)); old != nil {
		n, err := w.store.Remove(context.Background(), []online.Row{{Key: w.key(k), Value: old}})
		require.NoError(w, err)
		require.Equal(w, 1, n)
	}
}

// config checks against the table as it is now.
func (w *world) config() online.CheckConfig {
	ctx := context.Background()
	pin, err := w.table.Pin(w.view, 1, 0)(ctx, 0)
	require.NoError(w, err)
	return online.CheckConfig{View: w.view, Store: w.store, At: pin.At, Strangers: true, Pause: time.Millisecond, Patience: 10 * time.Millisecond,
		Newest: func(fn func(*feature.Batch) error) error {
			return pin.Newest(ctx, online.NewestPart{Parts: 1}, fn)
		},
		Positions: func(ctx context.Context) ([]feature.Position, error) { return w.table.Positions(ctx, w.view) }}
}

func (w *world) check(cfg online.CheckConfig) (*online.CheckResult, map[string]online.CheckKind) {
	found := map[string]online.CheckKind{}
	r, err := online.Check(context.Background(), cfg, func(f online.CheckFault) {
		k := f.Key[len(online.SpanOf(w.view).Prefix) : len(f.Key)-len(online.SpanOf(w.view).Suffix)]
		require.NotContains(w, found, k)
		found[k] = f.Kind
		require.NotEmpty(w, f.Detail)
	})
	require.NoError(w, err)
	require.EqualValues(w, len(found), r.Faults)
	return r, found
}

// clean requires that a check finds nothing, and returns it.
func (w *world) clean() *online.CheckResult {
	w.Helper()
	r, found := w.check(w.config())
	require.Empty(w, found)
	require.Empty(w, r.RolledBack)
	require.Equal(w, r.TableHash, r.StoreHash)
	require.NotZero(w, r.TableHash)
	require.Equal(w, r.Keys, r.Equal+r.Expired+r.Ahead)
	return r
}

func (w *world) materialize(parts int, change func(*online.MaterializeConfig)) *online.MaterializeResult {
	cfg := w.rebuild(parts)
	if change != nil {
		change(&cfg)
	}
	r, err := online.Materialize(context.Background(), cfg)
	require.NoError(w, err)
	return r
}

func (w *world) rebuild(parts int) online.MaterializeConfig {
	return online.MaterializeConfig{View: w.view, Store: w.store, Pin: w.table.Pin(w.view, parts, 0), Pause: time.Millisecond, Patience: 5 * time.Millisecond,
		Positions: func(ctx context.Context) ([]feature.Position, error) { return w.table.Positions(ctx, w.view) }}
}

// testCheck plants every fault there is. Each is found as what it is, and a rebuild heals all.
func testCheck(t *testing.T, s online.Store, p string) {
	w := newWorld(t, s, p, 0, 60)
	require.EqualValues(t, 70, w.clean().Equal)

	// Newer rows that the table does not have yet, of a known partition, of a new
	// one, of a new topic, of an import under way.
	ahead := []*feature.Batch{
		Batch(w.view, topicA, 0, w.row("k0", 58, 1), w.row("new", 61, 1)), Batch(w.view, topicA, 3, w.row("k1", 0, 1)),
		Batch(w.view, [16]byte{9}, 1, w.row("k2", 0, 1)), Batch(w.view, [16]byte{8}, feature.ImportPartition, w.row("k3", 0, 1)),
	}
	for _, b := range ahead {
		w.write(b)
	}
	r := w.clean()
	require.EqualValues(t, 66, r.Equal)
	require.EqualValues(t, 4, r.Ahead)
	for _, b := range ahead {
		w.commit(b)
	}
	require.EqualValues(t, 71, w.clean().Equal)

	// Rows written under an older schema are the same rows.
	old := *w.view
	old.Features = append(slices.Clone(w.view.Features[2:]), feature.Field{Name: "dropped", Type: feature.Int64})
	row := w.row("k6", 6, 0)
	v, err := online.Value(online.SchemaOf(&old), row.Stamp(0), append(slices.Clone(row.Values[3:]), int64(5))...)
	require.NoError(t, err)
	w.plant("k6", v)
	_, found := w.check(w.config())
	require.Equal(t, map[string]online.CheckKind{"k6": online.Changed}, found, "a schema that nobody knows")
	require.NoError(t, s.PutSchema(context.Background(), p+"/v", online.SchemaOf(&old).ID, online.SchemaOf(&old).Text()))
	_, found = w.check(w.config())
	require.Equal(t, map[string]online.CheckKind{"k6": online.Changed}, found, "two features have values in the table, and not in the store")
	v, err = online.Value(online.SchemaOf(w.view), row.Stamp(0), row.Values[1:]...)
	require.NoError(t, err)
	w.plant("k6", v)
	wide := *w.view
	wide.Features = append(slices.Clone(w.view.Features), feature.Field{Name: "dropped", Type: feature.Int64})
	require.NoError(t, s.PutSchema(context.Background(), p+"/v", online.SchemaOf(&wide).ID, online.SchemaOf(&wide).Text()))
	v, err = online.Value(online.SchemaOf(&wide), w.row("k7", 7, 0).Stamp(1), append(w.row("k7", 7, 0).Values[1:], int64(5))...)
	require.NoError(t, err)
	w.plant("k7", v)
	require.EqualValues(t, 71, w.clean().Equal)

	changed, stale, newer := w.row("k11", 11, 0), w.row("k12", 12, -60), w.row("k13", 5, 60)
	changed.Values[3] = "another text"
	ahead2 := w.row("k19", 19, 0)
	ahead2.Event, ahead2.Known = w.now+9, w.now // the effective time is the known time: other order
	plants := map[string]online.CheckKind{"k10": online.Missing, "imp3": online.Missing, "k11": online.Changed, "k12": online.Stale, "k13": online.Stranger,
		"k14": online.Changed, "k15": online.Stale, "nobody": online.Stranger, "rubbish": online.Stranger, "k16": online.Changed, "k19": online.Stale,
		"k17": online.Changed, "k18": online.Changed}
	// Arrays: another one, and bytes that are none (a value that is whole but for them).
	array, damaged := w.row("k17", 17, 0), w.row("k18", 18, 0)
	array.Values[11] = elements(feature.String, "text")
	damaged.Values[9] = []byte{1, 2, 3}
	w.plant("k17", w.value(array, 2))
	w.plant("k18", w.value(damaged, 0))
	w.take("k10")
	w.take("imp3")
	w.plant("k11", w.value(changed, 2))
	w.plant("k12", w.value(stale, 0))
	w.plant("k13", w.value(newer, 2))
	w.plant("k14", []byte("no value at all, but long enough"))
	w.plant("k15", w.value(w.row("k15", 14, 0), 0))
	w.plant("nobody", w.value(w.row("nobody", 17, 0), 2))
	w.plant("rubbish", []byte("x"))
	tomb := Batch(w.view, topicA, 1, Row{Values: []any{"k16"}, Event: w.now, Known: w.now + 5, Offset: 16, Deleted: true})
	w.take("k16")
	require.NoError(t, online.NewWriter(w.view, s, w.table, online.Options{}).Write(context.Background(), tomb))
	w.plant("k19", w.value(ahead2, 1))
	cfg := w.config()
	r, found = w.check(cfg)
	require.Equal(t, plants, found)
	require.EqualValues(t, 71-11, r.Equal)
	require.NotEqual(t, r.TableHash, r.StoreHash)

	cfg.Strangers = false
	_, found = w.check(cfg)
	some := maps.Clone(plants)
	delete(some, "nobody")
	delete(some, "rubbish")
	require.Equal(t, some, found)

	// What an abandoned import left is a stranger only where none can be under way.
	left := w.row("left", 3, 0)
	require.NoError(t, online.NewWriter(w.view, s, w.table, online.Options{}).Write(context.Background(), Batch(w.view, [16]byte{77}, feature.ImportPartition, left)))
	_, found = w.check(w.config())
	require.Equal(t, plants, found)
	cfg = w.config()
	cfg.NoImports = true
	plants["left"] = online.Stranger
	_, found = w.check(cfg)
	require.Equal(t, plants, found)

	m := w.materialize(3, func(c *online.MaterializeConfig) { c.NoImports = true })
	require.EqualValues(t, 4, m.Pruned) // k13, nobody, rubbish, left
	require.EqualValues(t, 1, m.Mended) // k13
	require.EqualValues(t, 71, m.Keys)
	require.EqualValues(t, 71, w.clean().Equal)
	w.oracle.Check(t, s, w.now)

	// The table is rolled back.
	w.table.RollBack(4)
	_, err = s.Marks(context.Background(), p+"/v")
	require.NoError(t, err)
	r, found = w.check(w.config())
	require.Len(t, r.RolledBack, 4)
	for _, x := range r.RolledBack {
		require.Greater(t, x.Settled, x.At.Next)
	}
	require.Empty(t, found, "the rows will come again")
}

// testCheckMany has expired rows, more keys than are asked for at once, and a store that fails.
func testCheckMany(t *testing.T, s online.Store, p string) {
	w := newWorld(t, s, p, time.Hour, 1100)
	rows := []Row{w.row("old1", 2000, -3601), w.row("old2", 2001, -4000), w.row("young", 2002, -3000)}
	w.commit(Batch(w.view, topicA, 0, rows...))
	require.EqualValues(t, 1113, w.clean().Equal)
	w.take("old1") // gone, as it may be
	w.plant("old2", w.value(w.row("old2", 2001, -8000), 0))
	w.plant("old3", w.value(w.row("old3", 0, -8000), 0)) // expired in the store, and not in the table any more
	w.plant("young", w.value(w.row("young", 2002, -3400), 0))
	r, found := w.check(w.config())
	require.Equal(t, map[string]online.CheckKind{"young": online.Stale}, found)
	require.EqualValues(t, 2, r.Expired, "old2 came again in an older row when the newest was gone: expired is expired")
	w.plant("old2", w.value(rows[1], 0))
	w.plant("young", w.value(rows[2], 0))
	w.clean()

	w.take("k7")
	heal := 0
	flaky := &Faulty{Store: s, Fail: func(op string, n int) Fault {
		if op == "get" && n%2 == 1 {
			return Half
		}
		if op == "marks" {
			heal++
		}
		return None
	}}
	cfg := w.config()
	cfg.Store = flaky
	_, found = w.check(cfg)
	require.Equal(t, map[string]online.CheckKind{"k7": online.Missing}, found)
	require.Greater(t, heal, 3, "it was looked at again")

	// A worker mends while the check looks.
	w.take("k7")
	_, err := s.Settle(context.Background(), p+"/v", int64(time.Hour/time.Microsecond), []online.Settlement{{TopicID: topicA, Partition: 1, Written: 0, Reset: true}}, nil)
	require.NoError(t, err)
	looked := 0
	cfg.Patience = time.Minute
	flaky.Fail = func(op string, _ int) Fault {
		if op == "marks" {
			if looked++; looked == 8 {
				_, err := w.writer.Mend(context.Background())
				require.NoError(t, err)
			}
		}
		return None
	}
	_, found = w.check(cfg)
	require.Empty(t, found, "looked %d times", looked)

	for _, op := range []string{"get", "marks", "scan"} {
		flaky.Fail = func(o string, _ int) Fault {
			if o == op {
				return Half
			}
			return None
		}
		_, err := online.Check(context.Background(), cfg, func(f online.CheckFault) { t.Errorf("%+v", f) })
		require.Equal(t, feature.Unavailable, feature.KindOf(err), "%s: %v", op, err)
	}
}
