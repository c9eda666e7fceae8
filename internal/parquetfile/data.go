package parquetfile

import "github.com/weir-ml/weir/registry/feature"

// Column is a column of a file.
type Column struct {
	Name     string
	ID       int // the field id; none when 0
	Type     feature.Type
	Element  int  // of arrays, the field id of their elements; none when 0
	Fixed    int  // the length in bytes where all values have the same (then Type is Bytes), else 0
	Required bool // never null
	// Key says of texts that most of them differ and that readers look for some: no
	// dictionary is tried and pages have bounds. Numbers have bounds anyway.
	Key bool
}

// Data is one column of a row group. Which slice is set goes by the column's
// type; each has a place for every row, null or not.
type Data struct {
	Bools   []bool
	Int32s  []int32
	Int64s  []int64 // timestamps too, in microseconds
	Floats  []float32
	Doubles []float64

	// Texts (strings, bytes, bytes of one length, arrays in their packed form): text i
	// is Text[Ends[i-1]:Ends[i]].
	Text []byte
	Ends []uint32
	// Or by number, where there are few different ones: text i is Dict[Codes[i]].
	Codes []uint32
	Dict  [][]byte

	// Valid has a byte a row, 1 where there is a value; nil when every row has one.
	Valid []byte
}

// begin is where text i begins.
func (d *Data) begin(i int) uint32 {
	if i == 0 {
		return 0
	}
	return d.Ends[i-1]
}

// at is text i.
func (d *Data) at(i int) []byte {
	if d.Dict != nil {
		return d.Dict[d.Codes[i]]
	}
	return d.Text[d.begin(i):d.Ends[i]]
}
