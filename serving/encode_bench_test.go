package serving

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkReply is an answer of 100 rows and ten features of a type as bytes of weir.v1, and as JSON. Arrays have 16 elements.
func BenchmarkReply(b *testing.B) {
	for _, ft := range []feature.Type{feature.Float64, feature.Int64, feature.String, feature.Array(feature.Float32), feature.Array(feature.Int64), feature.Array(feature.String)} {
		block := benchBlock(ft, 100, 10)
		var p replies
		var out []byte
		b.Run(fmt.Sprint(ft), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e := p.of(&Answer{Block: block}, nil, true, true, 0)
				out = e.AppendTo(out[:0])
				e.Free()
			}
			b.SetBytes(int64(len(out)))
		})
		b.Run(fmt.Sprint(ft)+"/json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out = appendAnswer(out[:0], &Answer{Block: block}, true, true, 0)
			}
			b.SetBytes(int64(len(out)))
		})
	}
}

// benchBlock is rows that are all there.
func benchBlock(ft feature.Type, rows, columns int) *feature.Block {
	b := &feature.Block{Rows: rows, Views: []feature.BlockView{{View: &feature.View{Meta: feature.Meta{Name: "v"}}}}}
	v := &b.Views[0]
	v.Status, v.EventTime = make([]feature.Status, rows), make([]int64, rows)
	for i := range v.Status {
		v.Status[i], v.EventTime[i] = feature.Present, 1_700_000_000_000_000
	}
	for i := range columns {
		c := feature.BlockColumn{Name: fmt.Sprintf("f%d", i)}
		c.Reset(ft, rows)
		for j := range rows {
			c.Valid[j] = true
			switch {
			case ft == feature.Float64:
				c.Float64[j] = float64(j) / 7
			case ft == feature.Int64:
				c.Int64s[j] = int64(j) << (j % 40)
			case ft.IsArray():
				for k := range 16 {
					switch ft.Elem() {
					case feature.Float32:
						c.Bytes[j] = binary.LittleEndian.AppendUint32(c.Bytes[j], math.Float32bits(float32(j+k)/7))
					case feature.Int64:
						c.Bytes[j] = binary.LittleEndian.AppendUint64(c.Bytes[j], uint64(j)<<k)
					default:
						c.Bytes[j] = feature.AppendElementText(c.Bytes[j], "two year")
					}
				}
			default:
				c.Bytes[j] = []byte("two year")
			}
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}
