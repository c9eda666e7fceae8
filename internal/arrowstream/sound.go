package arrowstream

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// mostUnbacked is how many rows a batch may have that has nothing but columns without any bytes:
// a number in its head is all that there is of them.
const mostUnbacked = 1 << 20

// Sound checks what Arrow's reader takes on trust of a batch that somebody else sent: positions within the data, and
// lengths that the data has. Who reads it in a goroutine of their own would panic there, which ends the process.
// column is the name of the one that is wrong, "" where it is the batch.
func Sound(rec arrow.RecordBatch) (column string, err error) {
	for i, c := range rec.Columns() {
		if err := soundArray(c); err != nil {
			return rec.ColumnName(i), fmt.Errorf("broken Arrow data: %w", err)
		}
	}
	if rec.NumRows() > mostUnbacked && !slices.ContainsFunc(rec.Columns(), backed) {
		return "", fmt.Errorf("a batch has %d rows, and no values", rec.NumRows())
	}
	return "", nil
}

// backed tells whether each value takes at least a bit.
func backed(a arrow.Array) bool {
	specs := a.DataType().Layout().Buffers
	return len(specs) > 1 && (specs[1].Kind == arrow.KindBitmap || specs[1].ByteWidth > 0)
}

func soundArray(a arrow.Array) (err error) {
	defer func() {
		if p := recover(); p != nil { // what is checked may be too broken for the check
			err = fmt.Errorf("%v", p)
		}
	}()
	if err := soundData(a.Data()); err != nil {
		return err
	}
	if v, ok := a.(interface{ ValidateFull() error }); ok {
		if err := v.ValidateFull(); err != nil {
			return err
		}
	}
	switch a := a.(type) {
	case *array.Dictionary:
		n := a.Dictionary().Len()
		for i := range a.Len() {
			if a.IsValid(i) && (a.GetValueIndex(i) < 0 || a.GetValueIndex(i) >= n) {
				return errors.New("a value is not in the dictionary")
			}
		}
		return soundArray(a.Dictionary())
	case array.ExtensionArray:
		return soundArray(a.Storage())
	case *array.Struct:
		for i := range a.NumField() {
			if err := soundArray(a.Field(i)); err != nil {
				return err
			}
		}
	case array.ListLike:
		return soundArray(a.ListValues())
	}
	return nil
}

// soundData checks that the buffers are as long as the values are many, and that
// as many are null as is said.
func soundData(d arrow.ArrayData) error {
	n := d.Len() + d.Offset()
	if d.Len() < 0 || d.Offset() < 0 || n > math.MaxInt32 {
		return fmt.Errorf("%d values", d.Len())
	}
	if t, ok := d.DataType().(arrow.DecimalType); ok {
		digits := map[int]int32{32: 9, 64: 18, 128: 38, 256: 76}[t.BitWidth()]
		if p, s := t.GetPrecision(), t.GetScale(); p < 1 || p > digits || s > digits || s < -digits {
			return fmt.Errorf("decimals of precision %d and scale %d", p, s)
		}
	}
	nulls := 0
	if d.DataType().ID() == arrow.NULL {
		nulls = d.Len()
	}
	for i, spec := range d.DataType().Layout().Buffers {
		if i >= len(d.Buffers()) || d.Buffers()[i] == nil || d.Buffers()[i].Len() == 0 {
			if i > 0 && d.Len() > 0 && (spec.Kind == arrow.KindBitmap || spec.Kind == arrow.KindFixedWidth && spec.ByteWidth > 0) {
				return errors.New("a buffer is missing")
			}
			continue
		}
		has, needs := int64(d.Buffers()[i].Len()), int64(0)
		switch spec.Kind {
		case arrow.KindBitmap:
			needs = bitutil.BytesForBits(int64(n))
		case arrow.KindFixedWidth:
			if spec.ByteWidth < 0 {
				return fmt.Errorf("values of %d bytes", spec.ByteWidth)
			}
			needs = int64(n) * int64(spec.ByteWidth)
		}
		if has < needs {
			return fmt.Errorf("a buffer has %d bytes in place of %d", has, needs)
		}
		if i == 0 && spec.Kind == arrow.KindBitmap {
			nulls = d.Len() - bitutil.CountSetBits(d.Buffers()[0].Bytes(), d.Offset(), d.Len())
		}
	}
	if said := d.NullN(); said != array.UnknownNullCount && said != nulls {
		return fmt.Errorf("%d values are null, and not %d", nulls, said)
	}
	return nil
}
