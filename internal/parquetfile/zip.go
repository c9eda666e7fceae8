package parquetfile

import (
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
)

// zipper compresses pages.
type zipper interface {
	CompressionCodec() format.CompressionCodec
	// Encode writes src, compressed, into dst's memory.
	Encode(dst, src []byte) ([]byte, error)
}

var _ zipper = compress.Codec(nil)

// newZipper is nil for none.
func newZipper(compression string) zipper {
	switch compression {
	case "none":
		return nil
	case "snappy":
		return &parquet.Snappy
	}
	// The fastest level: writing takes a tenth less CPU time than with the
	// default one, for files that are 1 to 7 percent larger.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
	if err != nil {
		panic("parquetfile: zstd: " + err.Error()) // its options are constants
	}
	return zstdPages{enc}
}

// zstdPages keeps its tables between pages. A codec for everyone keeps them in a pool,
// which every garbage collection empties.
type zstdPages struct{ enc *zstd.Encoder }

func (zstdPages) CompressionCodec() format.CompressionCodec { return format.Zstd }

func (z zstdPages) Encode(dst, src []byte) ([]byte, error) { return z.enc.EncodeAll(src, dst[:0]), nil }
