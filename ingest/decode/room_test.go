package decode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// TestTextRoom: a batch takes memory for the texts and arrays that it will have, whatever
// length those before it had: few long ones reserve nothing for many that are short, nor
// for rows that will not come.
func TestTextRoom(t *testing.T) {
	d := decoder(t, source("", "ts", ""), Options{MaxEventBytes: 1 << 20}, view("v", 1, "id:string", "d:array<float64>", "s:string"))
	offset := int64(0)
	batch := func(rows, elements int) (taken, used int) {
		t.Helper()
		d.Expect(rows)
		for range rows {
			offset++
			d.Decode(Record{Value: fmt.Appendf(nil, `{"id":"k","ts":%q,"s":%q,"d":[%s1]}`, feature.Time(noon).Format(time.RFC3339), strings.Repeat("x", elements), strings.Repeat("0,", elements)), Offset: offset, Timestamp: noon})
		}
		res := d.Cut(feature.Origin{})
		require.Len(t, res, 1)
		require.Empty(t, res[0].Rejected)
		require.EqualValues(t, rows, res[0].Batch.Rows.NumRows())
		for _, c := range res[0].Batch.Rows.Columns()[1:] {
			data := c.Data().Buffers()[2].Bytes()
			taken, used = taken+cap(data), used+len(data)
		}
		return taken, used
	}
	const slack = 4 << 20
	batch(1, 100_000)
	for _, c := range []struct{ rows, elements int }{{1, 100_000}, {3, 100_000}, {2000, 1}, {1, 100_000}, {2000, 10}} {
		taken, used := batch(c.rows, c.elements)
		require.Less(t, taken, 2*used+slack, "%d rows of %d", c.rows, c.elements)
	}
}
