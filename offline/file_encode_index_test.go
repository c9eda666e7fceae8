package offline

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/parquetfile"
	"github.com/weir-ml/weir/registry/feature"
)

// checkIndex holds the footer and the page index against the cells.
func (s *sheet) checkIndex(t *testing.T, raw []byte) {
	pf, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	m := pf.Metadata()
	require.EqualValues(t, s.rows(), m.NumRows)
	require.Len(t, m.RowGroups, len(s.groups))
	for g, group := range s.groups {
		rg := m.RowGroups[g]
		require.EqualValues(t, group.rows, rg.NumRows)
		require.Len(t, rg.SortingColumns, len(s.view.Keys)+len(SortSuffix))
		for i, sc := range rg.SortingColumns {
			want := append(append([]feature.Field{}, s.view.Keys...), feature.Field{Name: ColEffective}, feature.Field{Name: ColKnown}, feature.Field{Name: ColPartition}, feature.Field{Name: ColOffset})[i].Name
			require.Equal(t, want, s.cols[sc.ColumnIdx].Name)
			require.False(t, sc.Descending)
		}
		var packed, plain int64
		for ci, c := range s.cols {
			s.checkChunk(t, pf, g, ci, c)
			packed, plain = packed+rg.Columns[ci].MetaData.TotalCompressedSize, plain+rg.Columns[ci].MetaData.TotalUncompressedSize
		}
		require.Equal(t, packed, rg.TotalCompressedSize)
		require.Equal(t, plain, rg.TotalByteSize)
	}
}

func (s *sheet) checkChunk(t *testing.T, pf *parquet.File, g, ci int, c Column) {
	cells := s.groups[g].cells[ci]
	md := pf.Metadata().RowGroups[g].Columns[ci].MetaData
	least, most, values := cellBounds(c, cells)
	leaf, entries := entriesOf(c, cells)
	text := !c.Required && (leaf.Type == feature.String || leaf.Type == feature.Bytes)
	if text {
		least, most = nil, nil // those of features are not in the footer
	}
	require.Equal(t, least == nil, md.Statistics.MinValue == nil)
	require.Equal(t, string(least), string(md.Statistics.MinValue), "column %s", c.Type)
	require.Equal(t, string(most), string(md.Statistics.MaxValue), "column %s", c.Type)
	require.EqualValues(t, len(entries)-values, md.Statistics.NullCount)
	require.EqualValues(t, len(entries), md.NumValues)
	path := []string{c.Name}
	if c.Type.IsArray() {
		path = append(path, "list", "element")
	}
	require.Equal(t, path, []string(md.PathInSchema))

	chunk := pf.RowGroups()[g].ColumnChunks()[ci]
	places, err := chunk.OffsetIndex()
	require.NoError(t, err)
	index, missing := chunk.ColumnIndex()
	bounded, size := true, int64(0)
	var lows, highs [][]byte
	for p := range places.NumPages() {
		from, to := places.FirstRowIndex(p), int64(len(cells))
		if p+1 < places.NumPages() {
			to = places.FirstRowIndex(p + 1)
		}
		require.Less(t, from, to)
		size += places.CompressedPageSize(p)
		least, most, values := cellBounds(c, cells[from:to])
		if values > 0 && (text || least == nil) {
			bounded = false
			continue
		}
		if missing != nil {
			continue
		}
		require.Equal(t, values == 0, index.NullPage(p))
		_, entries := entriesOf(c, cells[from:to])
		require.EqualValues(t, len(entries)-values, index.NullCount(p))
		if values == 0 {
			continue
		}
		lo, hi := index.MinValue(p).Bytes(), index.MaxValue(p).Bytes()
		lows, highs = append(lows, lo), append(highs, hi)
		if leaf.Type == feature.String || leaf.Type == feature.Bytes { // shortened to a bound
			require.LessOrEqual(t, string(lo), string(least))
			require.GreaterOrEqual(t, string(hi), string(most))
			require.LessOrEqual(t, len(lo), parquetfile.BoundBytes)
			continue
		}
		require.Equal(t, least, lo)
		require.Equal(t, most, hi)
	}
	if !bounded { // an index that cannot tell bounds would make readers skip pages
		require.ErrorIs(t, missing, parquet.ErrMissingColumnIndex)
		return
	}
	require.NoError(t, missing)
	up := func(s [][]byte) bool {
		for i := range s[min(1, len(s)):] {
			if parquetfile.Compare(leaf.Type, s[i], s[i+1]) > 0 {
				return false
			}
		}
		return true
	}
	require.Equal(t, up(lows) && up(highs), index.IsAscending())
	require.Equal(t, len(md.Encoding) > 0, true)
	if md.Codec == format.Uncompressed {
		require.Equal(t, md.TotalCompressedSize, md.TotalUncompressedSize)
	}
	if md.DictionaryPageOffset == 0 {
		require.Equal(t, md.TotalCompressedSize, size)
	}
}

// checkStats holds what the table is told of a file against the cells.
func (s *sheet) checkStats(t *testing.T, f File) {
	require.Len(t, f.Stats, len(s.cols))
	var bytes int64
	for ci, c := range s.cols {
		st := f.Stats[ci]
		require.Equal(t, c.ID, st.ID)
		require.Equal(t, c.Element, st.Element)
		bytes += st.Bytes
		var all [][]byte
		bounded := c.Required || !c.Type.Variable()
		for _, g := range s.groups {
			all = append(all, g.cells[ci]...)
			if least, _, values := cellBounds(c, g.cells[ci]); values > 0 && least == nil {
				bounded = false // nothing but NaN
			}
		}
		least, most, values := cellBounds(c, all)
		_, entries := entriesOf(c, all)
		require.EqualValues(t, len(entries), st.Values)
		require.EqualValues(t, len(entries)-values, st.Nulls)
		nulls := 0
		for _, cell := range all {
			if cell == nil {
				nulls++
			}
		}
		require.EqualValues(t, nulls, st.NullRows)
		switch {
		case !bounded || least == nil:
			require.Nil(t, st.Min)
			require.Nil(t, st.Max)
		case c.Fixed == 0 && (c.Type == feature.String || c.Type == feature.Bytes):
			require.LessOrEqual(t, string(st.Min), string(least))
			require.LessOrEqual(t, len(st.Min), parquetfile.BoundBytes)
			if st.Max != nil {
				require.GreaterOrEqual(t, string(st.Max), string(most))
			}
		default:
			require.Equal(t, least, st.Min)
			require.Equal(t, most, st.Max)
		}
		switch c.Name {
		case ColEffective, ColOffset, ColPartition:
			got := map[string][2]int64{ColEffective: {f.MinEffective, f.MaxEffective}, ColOffset: {f.MinOffset, f.MaxOffset}, ColPartition: {f.MinPartition, f.MaxPartition}}[c.Name]
			if s.rows() == 0 {
				require.Equal(t, [2]int64{UnknownMin, UnknownMax}, got)
			} else {
				require.Equal(t, [2]int64{parquetfile.Int(least), parquetfile.Int(most)}, got)
			}
		}
	}
	require.Less(t, bytes, f.Bytes)
}
