package parquetfile

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// someColumns are columns of every type and data for them, nulls and all.
func someColumns(r *rand.Rand, rows int) (cols []Column, data []*Data) {
	for i, t := range []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp, feature.Float64, feature.String,
		feature.Array(feature.Bool), feature.Array(feature.Int64), feature.Array(feature.Float32), feature.Array(feature.String)} {
		cols = append(cols, Column{Name: fmt.Sprint("c", i), Type: t, Required: i%3 == 0})
		d := &Data{}
		for range rows {
			d.Bools = append(d.Bools, r.IntN(2) == 0)
			d.Int32s = append(d.Int32s, r.Int32N(1000))
			d.Int64s = append(d.Int64s, r.Int64N(1<<40))
			d.Floats = append(d.Floats, r.Float32())
			d.Doubles = append(d.Doubles, math.Round(r.Float64()*1000))
			d.Text = appendText(d.Text, r, t, 9+90*i)
			d.Ends = append(d.Ends, uint32(len(d.Text)))
			if i%3 != 0 {
				d.Valid = append(d.Valid, byte(min(1, r.IntN(5))))
			}
		}
		data = append(data, d)
	}
	return cols, data
}

// appendText appends a text, or an array in its packed form.
func appendText(dst []byte, r *rand.Rand, t feature.Type, kinds int) []byte {
	if !t.IsArray() {
		return append(dst, fmt.Sprint("text ", r.IntN(kinds))...)
	}
	var v feature.Vector
	v.Reset(t.Elem(), 1)
	for range r.IntN(5) * r.IntN(3) {
		switch v.Type {
		case feature.Bool:
			v.Bools[0] = r.IntN(2) == 0
		case feature.Int64:
			v.Int64s[0] = r.Int64N(int64(kinds))
		case feature.Float32:
			v.Float32[0] = r.Float32()
		default:
			v.Bytes[0] = fmt.Appendf(nil, "text %d", r.IntN(kinds))
		}
		dst = feature.AppendElement(dst, &v, 0)
	}
	return dst
}

// Columns encoded at once make the very file that columns encoded one by one do,
// and so does an encoder that has made other files before.
func TestTogetherIsGroup(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, compression := range []string{"zstd", "snappy", "none"} {
		cols, _ := someColumns(r, 0)
		o := Options{Compression: compression, PageBytes: 1 << 10}
		one, many := New("rows", cols, o), New("rows", cols, o)
		for file := range 3 {
			var a, b bytes.Buffer
			one.Start(&a)
			many.Start(&b)
			for range file {
				rows := 1 + r.IntN(5000)
				_, data := someColumns(r, rows)
				require.NoError(t, one.Group(rows, func(ci int) (*Data, error) { return data[ci], nil }))
				require.NoError(t, many.Together(rows, data, 1+r.IntN(20)))
				require.NoError(t, many.Together(0, data, 2))
			}
			want, err := one.Finish()
			require.NoError(t, err)
			got, err := many.Finish()
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.True(t, bytes.Equal(a.Bytes(), b.Bytes()), "%s: the files differ", compression)
		}
	}
}

// A column that does not fit is an error wherever it stands, and the encoder goes on with other files.
func TestTogetherRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	cols, data := someColumns(r, 100)
	e := New("rows", cols, Options{Compression: "zstd", PageBytes: 4 << 10})
	for ci := range cols {
		var out bytes.Buffer
		e.Start(&out)
		bad := append([]*Data{}, data...)
		bad[ci] = &Data{}
		require.ErrorContains(t, e.Together(100, bad, 4), "column "+cols[ci].Name+": 0 values for 100 rows")
		e.Start(&out)
		require.NoError(t, e.Together(100, data, 4))
		s, err := e.Finish()
		require.NoError(t, err)
		require.EqualValues(t, 100, s.Rows)
		require.EqualValues(t, out.Len(), s.Bytes)
	}
	full := errors.New("disk full")
	e.Start(failing{full})
	for range 100 {
		if err := e.Together(100, data, 4); err != nil {
			require.ErrorIs(t, err, full)
			return
		}
	}
	t.Fatal("the writer below fails and nobody hears of it")
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
