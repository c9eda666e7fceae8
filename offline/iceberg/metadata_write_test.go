package iceberg_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// What a commit writes is what iceberg-go would have written, whatever kind of
// commit it was and whoever made those before it.
func TestMetadataIsAsIcebergGoWritesIt(t *testing.T) {
	v := offlinetest.View("orders")
	tb, open := openTable(t, v)
	same := func(step string) {
		t.Helper()
		file, want, err := iceberg.Metadata(ctx, tb)
		require.NoError(t, err)
		require.Equal(t, exactly(t, want), exactly(t, file), step)
	}
	same("a new table")
	g := generator(v)
	w := offlinetest.NewWriter(t, tb)
	var at feature.Position
	add := func(id string, rows int) {
		to := offlinetest.At(0, at.Next+int64(max(rows, 1)), "")
		c := offlinetest.Move(v, id, at, to)
		if rows > 0 {
			require.NoError(t, offlinetest.Flush(ctx, w, c, g.Batch(0, at.Next, rows, false)))
		} else {
			require.NoError(t, offlinetest.Flush(ctx, w, c))
		}
		at = c.Advances[0].To
	}
	add("positions", 0)
	same("positions only, no snapshot yet")
	for i := range 3 {
		add(fmt.Sprintf("c%d", i), 5)
		same("rows")
	}
	add("positions again", 0)
	same("positions only")
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	require.NoError(t, tb.Tag(ctx, "v1", st.Snapshot))
	same("a tag")
	add("c4", 5)
	same("rows after a tag")

	// Somebody else's commits, and ours after them.
	require.NoError(t, iceberg.Foreign(ctx, tb, func(_ *table.Table, tx *table.Transaction) error {
		return tx.SetProperties(map[string]string{"owner": "somebody <else>"})
	}))
	same("another engine")
	add("c5", 5)
	same("rows after another engine")
	other, err := open().Table(ctx, v)
	require.NoError(t, err)
	ow := offlinetest.NewWriter(t, other)
	c := offlinetest.Move(v, "theirs", at, offlinetest.At(0, at.Next+5, ""))
	require.NoError(t, offlinetest.Flush(ctx, ow, c, g.Batch(0, at.Next, 5, false)))
	at = c.Advances[0].To
	same("another worker")
	add("c6", 5)
	same("rows after another worker")
	require.NoError(t, iceberg.Foreign(ctx, tb, func(_ *table.Table, tx *table.Transaction) error {
		return tx.ExpireSnapshots(table.WithRetainLast(2), table.WithOlderThan(0))
	}))
	same("expiry")
	add("c7", 5)
	same("rows after expiry")

	wider := offlinetest.View("orders", feature.Field{Name: "gained", Type: feature.Float64})
	tb, err = open().Table(ctx, wider)
	require.NoError(t, err)
	same("a column more")
}

// exactly is JSON with its numbers as they stand there: ids have more digits than a float64.
func exactly(t *testing.T, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}
