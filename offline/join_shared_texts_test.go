package offline_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// TestJoinSharesTexts: a text that many rows of the spine take, of one row of the table
// or of many with the same dictionary entry, is held once, not once for each of them: the
// join needs one look at the table, with far less memory than all of its output.
func TestJoinSharesTexts(t *testing.T) {
	const width, rows = 100_000, 4000
	for name, c := range map[string]struct{ keys, texts int64 }{"one row": {1, 1}, "three texts": {50, 3}} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(41, 42))
			v := makeView("v", 0, []feature.Field{field("id", feature.Int64)}, field("page", feature.String))
			table := openTable(t, v)
			var facts []fact
			for i := range c.keys {
				facts = append(facts, fact{keys: []any{i}, stamp: feature.Stamp{Offset: i}, values: []any{strings.Repeat(string(rune('a'+i%c.texts)), width)}})
			}
			appendFiles(t, table, []offline.File{writeFile(t, table, "a", facts, true, true, 100, 64<<20)})
			schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "at", Type: feature.Timestamp.Arrow()}}, nil)
			rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			var ids []int64
			for range rows {
				ids = append(ids, r.Int64N(c.keys))
				rb.Field(0).(*array.Int64Builder).Append(ids[len(ids)-1])
				rb.Field(1).(*array.TimestampBuilder).Append(1)
			}
			req := offline.JoinRequest{Service: makeService(t, v), Tables: []offline.TableAt{{Table: table}}, Memory: 4 << 20,
				Spine: offline.Spine{Rows: &batches{schema: schema, recs: []arrow.RecordBatch{rb.NewRecordBatch()}}, Time: "at"}}
			row, largest := 0, int64(0)
			res, err := offline.Join(ctx, req, func(rec arrow.RecordBatch) error {
				largest = max(largest, rec.NumRows()*width)
				for i := range int(rec.NumRows()) {
					x := rec.Column(2).(*array.String).Value(i)
					require.Len(t, x, width)
					require.Equal(t, byte('a'+ids[row]%c.texts), x[width-1])
					row++
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, rows, row)
			require.LessOrEqual(t, largest, int64(9<<20))
			require.Equal(t, c.keys, res.RowsRead, "the table was read more than once")
		})
	}
}
