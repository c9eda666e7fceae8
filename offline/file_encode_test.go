package offline

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// One file of two row groups, read by a reader of rows.
func TestFileEncoderByHand(t *testing.T) {
	v := &feature.View{Keys: []feature.Field{{Name: "id", Type: feature.Int64}}, Features: []feature.Field{{Name: "s", Type: feature.String}}}
	v.Meta.Name = "v"
	cols := ViewColumns(v)
	for i := range cols {
		cols[i].ID = i + 1
	}
	e := newFileEncoder(v, cols, DefaultConfig())
	for range 2 { // the second file is as the first
		var out bytes.Buffer
		e.start(&out)
		for g := range int64(2) {
			times := []int64{10, 20 + g}
			require.NoError(t, e.group(2, func(ci int) (*columnData, error) {
				switch cols[ci].Name {
				case "id":
					return &columnData{int64s: []int64{g, g}}, nil
				case "s":
					return &columnData{text: []byte("xyz"), ends: []uint32{3, 3}, valid: []byte{1, 0}}, nil
				case ColTopicID:
					return &columnData{codes: []uint32{0, 0}, dict: [][]byte{make([]byte, 16)}}, nil
				case ColPartition:
					return &columnData{int32s: []int32{7, 7}}, nil
				case ColTombstone:
					return &columnData{bools: []bool{false, true}}, nil
				}
				return &columnData{int64s: times}, nil
			}))
		}
		f, err := e.finish()
		require.NoError(t, err)
		require.EqualValues(t, 4, f.Rows)
		require.EqualValues(t, out.Len(), f.Bytes)
		require.True(t, f.Sorted)
		require.EqualValues(t, [4]int64{10, 21, 7, 7}, [4]int64{f.MinKnown, f.MaxKnown, f.MinPartition, f.MaxPartition})
		pf, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), f.Bytes)
		require.NoError(t, err)
		var got []string
		for _, rg := range pf.RowGroups() {
			rows := make([]parquet.Row, 3)
			r := rg.Rows()
			n, _ := r.ReadRows(rows)
			for _, row := range rows[:n] {
				got = append(got, row[0].String()+" "+row[1].String()+" "+row[2].String()+" "+row[8].String())
			}
			require.NoError(t, r.Close())
		}
		require.Equal(t, []string{"0 xyz 10 false", "0 <null> 20 true", "1 xyz 10 false", "1 <null> 21 true"}, got)
	}
}
