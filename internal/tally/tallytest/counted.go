package tallytest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// Counted is the plainest tally: how many rows there were, and how many of them a suite held back.
type Counted struct{ Rows, Held int64 }

func (c *Counted) Count() int64     { return c.Rows }
func (c *Counted) Merge(o *Counted) { c.Rows, c.Held = c.Rows+o.Rows, c.Held+o.Held }
func (c *Counted) Size() int64      { return 16 }
func (c *Counted) MarshalBinary() ([]byte, error) {
	return wire.Uint(wire.Uint(nil, uint64(c.Rows)), uint64(c.Held)), nil
}

// DecodeCounted is its tally.Decode.
func DecodeCounted(b []byte) (*Counted, error) {
	r := wire.Read(b)
	c := &Counted{Rows: r.Count(), Held: r.Count()}
	return c, r.Done()
}

// Share is its verdict: how much was held back.
type Share struct{ Held float64 }

// Plain is its Kit.
var Plain = &Kit[*Counted, *Share]{
	Make: func(rows int64) *Counted { return &Counted{Rows: rows, Held: rows / 2} },
	Check: func(t testing.TB, c *Counted, rows int64) {
		t.Helper()
		require.Equal(t, rows, c.Rows)
	},
	Verdict: func() *Share { return &Share{0.25} },
}

// Windows is a target that counts in windows of a size; its owner is named after it.
type Windows string

func (w Windows) Series() tally.Series {
	return tally.Series{Project: "p", Owner: "m_" + string(w), Size: string(w)}
}
func (w Windows) Window() feature.Window { return feature.Window{Size: string(w)} }
func (Windows) New() *Counted            { return &Counted{} }
func (Windows) Bind(*feature.View) func(*Counted, *feature.Batch, int, int, bool) {
	return func(c *Counted, _ *feature.Batch, from, to int, held bool) {
		c.Rows += int64(to - from)
		if held {
			c.Held += int64(to - from)
		}
	}
}

// Slid are hours that slide by Slide; their owner is m_slid.
type Slid struct{ Windows }

func (s Slid) Series() tally.Series {
	return tally.Series{Project: "p", Owner: "m_slid", Size: s.Window().Name()}
}
func (Slid) Window() feature.Window { return feature.Window{Size: "1h", Slide: Slide} }

// NewTap makes the tap that ExactlyOnce wants, with rows held back.
func NewTap(v *feature.View, s tally.Stager[*Counted]) *tally.Tap[*Counted] {
	return tally.NewTap(v, []tally.Target[*Counted]{Windows("1h"), Windows("1d"), Slid{}}, s, tally.TapOptions{Name: "counted", Held: true})
}
