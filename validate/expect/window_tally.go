package expect

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// WindowTally is what is known of a window, or of a part of one. It is bounded:
//
//	a rule that is judged row by row      at most 16 KiB, and 100 bytes while no row breaks it
//	counts, least and greatest, mean, sum, standard deviation, histograms    at most 3 KiB (histograms: 8 bytes a bin)
//	median, quantiles, z-scores, outliers at most 8 KiB stored, 32 KiB while they are counted
//	distinct, unique, most common values  at most 64 KiB
//	increasing, decreasing                at most 24 KiB
//
// each per column and condition, shared by all expectations that ask the same. It belongs to one
// goroutine at a time.
type WindowTally struct {
	rows  int64 // rows counted, held back ones too
	held  int64
	parts []part       // in the order of the suite that made it, or as they were read
	suite *WindowSuite // has made or adopted it: it has a state of the right shape for each of its specs
}

// part is one state of a tally.
type part struct {
	key   uint64
	rows  int64 // how many of the tally's rows it has seen: fewer where the suite was changed within the window
	state state
}

// state is what a tally keeps of one metric or rule. States of one key are of one type.
type state interface {
	kind() byte
	merge(o state)
	size() int64
	append(b []byte) []byte
}

// The kinds of states, as they are stored.
const (
	rowsKind byte = iota + 1
	counterKind
	momentsKind
	extremesKind
	ranksKind
	valuesKind
	frequentKind
	histogramKind
	orderKind
)

// Count is how many rows were counted, those included that the suite holds back.
func (t *WindowTally) Count() int64 { return t.rows }

// Held is how many of them the suite holds back.
func (t *WindowTally) Held() int64 { return t.held }

// Merge adds what o has counted; o stays as it is and shares nothing with t. What only one of them has, because
// their suites differ, stays as it is.
func (t *WindowTally) Merge(o *WindowTally) {
	t.rows += o.rows
	t.held += o.held
	for i := range o.parts {
		p := &o.parts[i]
		k := i
		if k >= len(t.parts) || t.parts[k].key != p.key {
			k = t.find(p.key)
		}
		if k < 0 {
			t.parts = append(t.parts, part{key: p.key, state: beginKind(p.state)})
			k = len(t.parts) - 1
		}
		if t.parts[k].state.kind() != p.state.kind() || !fits(t.parts[k].state, p.state) {
			continue // two that are not what their key says
		}
		t.parts[k].rows += p.rows
		t.parts[k].state.merge(p.state)
	}
}

func (t *WindowTally) find(key uint64) int {
	return slices.IndexFunc(t.parts, func(p part) bool { return p.key == key })
}

// Size is about how many bytes of memory the tally takes.
func (t *WindowTally) Size() int64 {
	n := int64(64 + 40*cap(t.parts))
	for i := range t.parts {
		n += t.parts[i].state.size()
	}
	return n
}

// tallyFormat is the first byte of an encoded tally.
const tallyFormat = 1

// MarshalBinary returns the encoding: the same for the same rows, however they were
// cut into parts and in whatever order those were merged, except where a summary above its bound depends on that
// (quantiles and most common values), in the last digits of sums of floats, and in the ends of the
// parts that increasing and decreasing values keep.
func (t *WindowTally) MarshalBinary() ([]byte, error) {
	b := append([]byte(nil), tallyFormat)
	b = wire.Uint(b, uint64(t.rows))
	b = wire.Uint(b, uint64(t.held))
	b = wire.Uint(b, uint64(len(t.parts)))
	order := make([]int, len(t.parts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(t.parts[i].key, t.parts[j].key) })
	var buf []byte
	for _, i := range order {
		p := &t.parts[i]
		b = binary.LittleEndian.AppendUint64(b, p.key)
		b = wire.Uint(b, uint64(p.rows))
		b = append(b, p.state.kind())
		buf = p.state.append(buf[:0])
		b = wire.Text(b, buf)
	}
	return b, nil
}

// DecodeWindow reads what MarshalBinary has written. It keeps nothing of b.
func DecodeWindow(b []byte) (*WindowTally, error) {
	in := wire.Read(b)
	r := &in
	t := &WindowTally{}
	if r.Byte() != tallyFormat {
		r.Fail()
	}
	t.rows, t.held = count(r), count(r)
	n := r.Length(11)
	if t.held > t.rows {
		r.Fail()
	}
	for i := 0; i < n; i++ {
		p := part{key: word(r), rows: count(r)}
		kind := r.Byte()
		of := wire.Read(r.Bytes())
		if p.state = readKind(kind, &of); p.state == nil || of.Done() != nil || p.rows > t.rows || i > 0 && t.parts[i-1].key >= p.key {
			r.Fail()
			break
		}
		t.parts = append(t.parts, p)
	}
	if err := r.Done(); err != nil {
		return nil, feature.Errorf(feature.Internal, "expect.decode", "the counts of a window", "%w", err)
	}
	return t, nil
}

// readKind reads a state, nil where there is no such kind.
func readKind(kind byte, r *wire.Reader) state {
	switch kind {
	case rowsKind:
		return readRows(r)
	case counterKind:
		return readCounter(r)
	case momentsKind:
		return readMoments(r)
	case extremesKind:
		return readExtremes(r)
	case ranksKind:
		return readRanks(r)
	case valuesKind:
		return readValues(r)
	case frequentKind:
		return readFrequent(r)
	case histogramKind:
		return readHistogram(r)
	case orderKind:
		return readOrder(r)
	}
	return nil
}

// beginKind is an empty state of the kind of another.
func beginKind(s state) state {
	switch s := s.(type) {
	case *rowsState:
		return &rowsState{}
	case *counterState:
		return &counterState{}
	case *momentsState:
		return newMomentsState(s.m.whole, s.m.spread)
	case *extremesState:
		return &extremesState{}
	case *ranksState:
		return &ranksState{floating: s.floating}
	case *valuesState:
		return newValuesState(s.texted)
	case *frequentState:
		return newFrequentState(s.texted)
	case *histogramState:
		return &histogramState{counts: make([]int64, len(s.counts))}
	default:
		return &orderState{up: s.(*orderState).up, least: s.(*orderState).least}
	}
}

// word reads 8 bytes.
func word(r *wire.Reader) uint64 {
	var b [8]byte
	r.Fixed(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// count reads a number of rows: few enough for sums of some to be numbers, too.
func count(r *wire.Reader) int64 {
	n := r.Count()
	if n > 1<<58 {
		r.Fail()
		return 0
	}
	return n
}

// truth reads a Bool that is stored as one is.
func truth(r *wire.Reader) bool {
	b := r.Byte()
	if b > 1 {
		r.Fail()
	}
	return b == 1
}
