package feature

// Status says what a lookup found for one row and view.
type Status uint8

const (
	StatusInvalid  Status = 0
	Present        Status = 1
	NullValue      Status = 2 // only per feature: the row is there, the feature is null
	NotFoundStatus Status = 3 // no row for the key, or it was deleted
	OutsideMaxAge  Status = 4 // the row is older than the view's ttl
	StoreError     Status = 5 // the store did not answer for this row; never reported as not found
)

var statusNames = [...]string{"INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "STORE_ERROR"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "INVALID"
}

// Vector is one column of typed values with validity. Exactly one of the value
// slices is used, chosen by Type; it has one entry a row, zero where invalid.
type Vector struct {
	Type    Type
	Valid   []bool
	Bools   []bool
	Int32s  []int32
	Int64s  []int64 // also Timestamp, microseconds UTC
	Float32 []float32
	Float64 []float64
	Bytes   [][]byte // String, Bytes, and arrays in their packed form
}

// Reset makes the vector n invalid rows of type t, keeping its memory.
func (v *Vector) Reset(t Type, n int) {
	v.Type = t
	v.Valid = zeroed(v.Valid, n)
	switch t {
	case Bool:
		v.Bools = zeroed(v.Bools, n)
	case Int32:
		v.Int32s = zeroed(v.Int32s, n)
	case Int64, Timestamp:
		v.Int64s = zeroed(v.Int64s, n)
	case Float32:
		v.Float32 = zeroed(v.Float32, n)
	case Float64:
		v.Float64 = zeroed(v.Float64, n)
	default:
		if t.Variable() {
			v.Bytes = zeroed(v.Bytes, n)
		}
	}
}

func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// Block is the answer to a lookup: columns in request order, a status and an
// event time for each row and view.
type Block struct {
	Rows    int
	Views   []BlockView
	Columns []BlockColumn
}

// BlockView is what one view answered.
type BlockView struct {
	View      *View
	Status    []Status // a row: Present, NotFoundStatus, OutsideMaxAge or StoreError
	EventTime []int64  // microseconds UTC; 0 unless Present or OutsideMaxAge
}

// BlockColumn is one requested feature. Its values are invalid on rows whose
// view is not Present.
type BlockColumn struct {
	Name string
	View int // index into Block.Views
	Vector
}
