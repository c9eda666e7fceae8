package tabular

import (
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/weir-ml/weir/registry/feature"
)

// smallDictionary is the size of a dictionary page up to which a column is taken
// as indexes into it. A large one would be built anew for each batch.
const smallDictionary = 16 << 10

// readDictionaries has the texts of few different values read as indexes: putting
// them together out of those (see lookUp) takes a fraction of appending each.
func readDictionaries(pf *file.Reader, p *pqarrow.ArrowReadProperties) {
	meta := pf.MetaData()
	for i := range meta.Schema.NumColumns() {
		c := meta.Schema.Column(i)
		if c.PhysicalType() == parquet.Types.ByteArray && len(c.ColumnPath()) == 1 && c.MaxRepetitionLevel() == 0 && allInDictionary(pf, i) {
			p.SetReadDict(i, true)
		}
	}
}

// allInDictionary reports whether every page of a column is known to be indexes
// into a small dictionary.
func allInDictionary(pf *file.Reader, column int) bool {
	for g := range pf.NumRowGroups() {
		c, err := pf.MetaData().RowGroup(g).ColumnChunk(column)
		if err != nil || !c.HasDictionaryPage() || c.DataPageOffset()-c.DictionaryPageOffset() > smallDictionary {
			return false
		}
		indexes := false
		for _, e := range c.EncodingStats() {
			switch {
			case e.PageType.String() == "DICTIONARY_PAGE":
			case e.Encoding != parquet.Encodings.RLEDict && e.Encoding != parquet.Encodings.PlainDict:
				return false
			default:
				indexes = true
			}
		}
		if !indexes {
			return false
		}
	}
	return true
}

// lookUp makes texts of indexes; nil where the general way has to judge them.
func lookUp(d *array.Dictionary) arrow.Array {
	values, ok := d.Dictionary().(*array.String)
	if !ok || values.NullN() > 0 {
		return nil
	}
	size := 0
	for i := range values.Len() {
		if size += len(values.Value(i)); !utf8.ValidString(values.Value(i)) {
			return nil
		}
	}
	n := d.Len()
	offsets := make([]int32, n+1)
	data := make([]byte, 0, n*(1+size/max(1, values.Len())))
	index := d.GetValueIndex
	if x, ok := d.Indices().(*array.Int32); ok {
		all := x.Int32Values()
		index = func(i int) int { return int(all[i]) }
	}
	nulls := d.NullN() > 0
	for i := range n {
		if !nulls || d.IsValid(i) {
			data = append(data, values.Value(index(i))...)
		}
		if len(data) > math.MaxInt32 {
			return nil
		}
		offsets[i+1] = int32(len(data))
	}
	return newArray(feature.String, n, validity(d), d.NullN(), arrow.Int32Traits.CastToBytes(offsets), data)
}
