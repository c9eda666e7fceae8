package offline

// columnData is one column of a row group in the file's order, as the encoder
// takes it. Which slice is set goes by the column's type; each has a place for
// every row, null or not. What it holds is void after the call that got it.
type columnData struct {
	bools   []bool
	int32s  []int32
	int64s  []int64 // timestamps too
	floats  []float32
	doubles []float64

	// Texts (strings, bytes, fixed-length bytes, packed arrays): text i is text[ends[i-1]:ends[i]].
	text []byte
	ends []uint32
	// Or by number, where there are few different ones: text i is dict[codes[i]].
	codes []uint32
	dict  [][]byte

	// valid has a byte a row, 1 where there is a value; nil when every row has one.
	valid []byte
}
