package tally

import (
	"encoding"
	"encoding/hex"

	"github.com/weir-ml/weir/registry/feature"
)

// Tally is what a window keeps of its rows. T is the pointer type itself; nil is
// none. A tally is for one goroutine at a time.
type Tally[T any] interface {
	comparable
	// Count is how many rows were folded.
	Count() int64
	// Merge adds another tally, which stays as it is. It must not fail: where the two do
	// not fit (a definition has changed), what is merged last is worth more.
	Merge(T)
	// Size is about how many bytes of memory it takes.
	Size() int64
	encoding.BinaryMarshaler
}

// Decode makes a tally of what MarshalBinary gave. It keeps nothing of the bytes.
type Decode[T any] func([]byte) (T, error)

// Target is a line of windows that a view's rows are folded into.
type Target[T any] interface {
	Series() Series
	// Window says by its Pane what rows are counted in. Series.Size tells it apart from the owner's other lines.
	Window() feature.Window
	// New is an empty tally.
	New() T
	// Bind gives what folds rows of batches of one version of the view; nil when
	// there is nothing to fold. It is called once for each partition and version, and
	// the function by one goroutine at a time, so it may own buffers. Rows
	// [from, to) are of one window and no tombstones; they are rows of b.Rows, or
	// of b.Held.Rows where held is set (only with TapOptions.Held).
	Bind(v *feature.View) func(t T, b *feature.Batch, from, to int, held bool)
}

// Series names a line of windows: those of one owner (a monitor, a suite on a view) and window size. An
// owner whose thresholds change keeps its windows; one whose window size changes begins anew.
type Series struct {
	Project string
	Owner   string `json:"Monitor"` // states are stored under the name of the first owners
	Size    string
}

func (s Series) String() string { return s.Project + "/" + s.Owner + "@" + s.Size }

// ImportID names an import in Delta.Import and Record.Imports: its topic id in hex.
func ImportID(topic [16]byte) string { return hex.EncodeToString(topic[:]) }
