package offline

import (
	"math"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// gathered is a column of the row group that is being written: rows of many
// inputs are put in their places, input by input, so that each input is read
// from one end to the other.
type gathered struct {
	columnData
	texts [][]byte // by row, until done; they alias the inputs
	coded bool     // all inputs so far had numbers
}

func (g *gathered) begin(t feature.Type, rows int, dict *textDict) {
	g.reset(t, rows)
	g.coded = dict != nil
	if isText(t) {
		if g.coded {
			g.codes = sized(g.codes, rows)
		} else {
			g.texts = sized(g.texts, rows)
		}
	}
}

// put places rows lo, lo+1, ... of an input's column at the given rows.
func (g *gathered) put(t feature.Type, pos []uint32, from *columnData, lo int, dict *textDict) {
	hi := lo + len(pos)
	if from.valid != nil {
		scatter(g.validity(g.rows(t)), from.valid[lo:hi], pos)
	}
	switch t {
	case feature.Bool:
		scatter(g.bools, from.bools[lo:hi], pos)
	case feature.Int32:
		scatter(g.int32s, from.int32s[lo:hi], pos)
	case feature.Int64, feature.Timestamp:
		scatter(g.int64s, from.int64s[lo:hi], pos)
	case feature.Float32:
		scatter(g.floats, from.floats[lo:hi], pos)
	case feature.Float64:
		scatter(g.doubles, from.doubles[lo:hi], pos)
	default:
		if g.coded && from.dict != nil {
			scatter(g.codes, from.codes[lo:hi], pos)
			return
		}
		if g.coded { // the first without numbers: those before go back to texts
			g.coded = false
			g.texts = sized(g.texts, len(g.codes))
			for i, c := range g.codes {
				g.texts[i] = nil
				if int(c) < len(dict.values) { // places that nothing was put into yet may hold anything
					g.texts[i] = dict.values[c]
				}
			}
		}
		for k, p := range pos {
			if from.valid != nil && from.valid[lo+k] == 0 {
				g.texts[p] = nil
			} else {
				g.texts[p] = from.at(lo + k)
			}
		}
	}
}

func (g *gathered) rows(t feature.Type) int {
	switch t {
	case feature.Bool:
		return len(g.bools)
	case feature.Int32:
		return len(g.int32s)
	case feature.Int64, feature.Timestamp:
		return len(g.int64s)
	case feature.Float32:
		return len(g.floats)
	case feature.Float64:
		return len(g.doubles)
	}
	if g.coded {
		return len(g.codes)
	}
	return len(g.texts)
}

// done returns the column once all inputs have been put.
func (g *gathered) done(t feature.Type, dict *textDict) (*columnData, error) {
	if !isText(t) {
		return &g.columnData, nil
	}
	if g.coded && len(dict.values) > 0 {
		g.dict = dict.values
		return &g.columnData, nil
	}
	if g.coded { // null in every row
		g.texts = sized(g.texts, len(g.codes))
		clear(g.texts)
	}
	g.dict, g.text, g.ends = nil, g.text[:0], slices.Grow(g.ends[:0], len(g.texts))
	for i, x := range g.texts {
		if g.valid == nil || g.valid[i] == 1 {
			g.text = append(g.text, x...)
		}
		if len(g.text) > math.MaxUint32 {
			return nil, errTextSize
		}
		g.ends = append(g.ends, uint32(len(g.text)))
	}
	clear(g.texts) // they alias what may be used again
	return &g.columnData, nil
}

func scatter[T any](dst, src []T, pos []uint32) {
	src = src[:len(pos)]
	for k, p := range pos {
		dst[p] = src[k]
	}
}

// isText tells whether values are bytes of any length: texts, and arrays in their packed form.
func isText(t feature.Type) bool { return t.Variable() }
