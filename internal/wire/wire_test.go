package wire

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundTrip(t *testing.T) {
	b := Uint(nil, math.MaxUint64)
	b = Int(Uint(Int(b, math.MinInt64), 7), math.MinInt32)
	b = Float(b, math.Inf(-1))
	b = Text(Text(Bool(Bool(b, true), false), "ü"), []byte{1, 2})
	b = append(b, 9, 8)
	b = append(Uint(b, 3), 5, 6, 7)
	r := Read(b)
	require.Equal(t, uint64(math.MaxUint64), r.Uint())
	require.Equal(t, int64(math.MinInt64), r.Int())
	require.Equal(t, int64(7), r.Count())
	require.Equal(t, int32(math.MinInt32), r.Int32())
	require.Equal(t, math.Inf(-1), r.Float())
	require.Equal(t, []any{true, false, "ü"}, []any{r.Bool(), r.Bool(), r.Text()})
	require.Equal(t, []byte{1, 2}, r.Bytes())
	var fixed [2]byte
	r.Fixed(fixed[:])
	require.Equal(t, [2]byte{9, 8}, fixed)
	require.Equal(t, 3, r.Length(1))
	require.ErrorIs(t, r.Done(), ErrShort, "three are left")
	require.Equal(t, []byte{5, 6, 7}, []byte{r.Byte(), r.Byte(), r.Byte()})
	require.NoError(t, r.Done())
	require.Zero(t, r.Byte())
	require.ErrorIs(t, r.Done(), ErrShort)
}

func TestNothingIsBelieved(t *testing.T) {
	for name, read := range map[string]func(r *Reader){
		"a count below zero":   func(r *Reader) { r.Count() },
		"a text beyond":        func(r *Reader) { r.Text() },
		"more items than fit":  func(r *Reader) { r.Length(1) },
		"a float":              func(r *Reader) { r.Uint(); r.Float() },
		"fixed":                func(r *Reader) { r.Fixed(make([]byte, 99)) },
		"a number of 64 bits":  func(r *Reader) { r.Int32() },
		"a reason of its own":  func(r *Reader) { r.Refuse(errors.Join(ErrShort, errors.New("x"))); r.Fail() },
		"what follows a fault": func(r *Reader) { r.Fail(); r.Uint(); r.Int(); r.Bool() },
	} {
		r := Read(Uint(nil, math.MaxUint64))
		read(&r)
		require.ErrorIs(t, r.Done(), ErrShort, name)
	}
}
