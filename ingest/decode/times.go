package decode

import (
	"fmt"
	"math/big"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// timeReader reads one of a source's times.
type timeReader struct {
	leaf   int
	field  string
	format string
	kind   timeKind
	shift  int32 // numbers: powers of ten from their unit to microseconds
}

type timeKind uint8

const (
	zoned timeKind = iota
	naive
	number
)

func newTimeReader(leaf int, f feature.TimeField) (timeReader, error) {
	r := timeReader{leaf: leaf, field: f.Field, format: f.Format, kind: number}
	switch f.Format {
	case "", "rfc3339":
		r.kind, r.format = zoned, "rfc3339"
	case "naive":
		r.kind = naive
	case "unix_s":
		r.shift = 6
	case "unix_ms":
		r.shift = 3
	case "unix_us":
	case "unix_ns":
		r.shift = -3
	default:
		return r, fmt.Errorf("unknown time format %q: use one of %v", f.Format, feature.TimeFormats)
	}
	return r, nil
}

// read returns the time at node i in microseconds; false where there is none or
// it is out of range. What is finer than a microsecond is cut off (towards the past).
func (r *timeReader) read(d *jsonscan.Doc, i uint32) (int64, bool) {
	if i == 0 {
		return 0, false
	}
	n := &d.Nodes[i]
	if r.kind == number {
		if n.Kind != jsonscan.Number {
			return 0, false
		}
		t, ok := floorNumber(d, i, r.shift)
		return t, ok && inRange(t)
	}
	if n.Kind != jsonscan.String {
		return 0, false
	}
	t, ok := parseTime(timeText(d, i), r.kind == zoned)
	return t, ok && inRange(t)
}

// timeText is the string at node i; nobody escapes anything in a time, so that may allocate.
func timeText(d *jsonscan.Doc, i uint32) []byte {
	s, _ := d.Text(i, nil)
	return s
}

func floorNumber(d *jsonscan.Doc, i uint32, shift int32) (int64, bool) {
	if v, ok := d.Nodes[i].Decimal(); ok {
		return v.Floor(shift)
	}
	x := d.Rat(i)
	ten := big.NewRat(10, 1)
	for ; shift > 0; shift-- {
		x.Mul(x, ten)
	}
	for ; shift < 0; shift++ {
		x.Quo(x, ten)
	}
	q := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean; floor for a positive divisor
	return q.Int64(), q.IsInt64()
}

func inRange(t int64) bool { return t >= feature.MinTime && t <= feature.MaxTime }

// parseTime reads 2006-01-02T15:04:05 with one to nine digits of fraction if
// any. With zone an offset or Z must follow; without, none may, and a space may
// stand for the T.
func parseTime(b []byte, zone bool) (int64, bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	if c := b[10]; c|0x20 != 't' && (zone || c != ' ') {
		return 0, false
	}
	year, bad := two(b[0], b[1]), uint(0)
	y2, month, day := two(b[2], b[3]), two(b[5], b[6]), two(b[8], b[9])
	hour, minute, second := two(b[11], b[12]), two(b[14], b[15]), two(b[17], b[18])
	for _, x := range [...]uint{year, y2, month, day, hour, minute, second} {
		bad |= x & 0x80
	}
	year = year*100 + y2
	if bad != 0 || month < 1 || month > 12 || day < 1 || day > monthDays(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := (days(int64(year), int64(month), int64(day))*86400 + int64(hour*3600+minute*60+second)) * 1_000_000
	b = b[19:]
	if len(b) > 0 && b[0] == '.' {
		k, unit := 1, int64(100_000)
		for k < len(b) && b[k]-'0' < 10 {
			t += int64(b[k]-'0') * unit
			unit /= 10
			k++
		}
		if k == 1 || k > 10 {
			return 0, false
		}
		b = b[k:]
	}
	if !zone {
		return t, len(b) == 0
	}
	switch {
	case len(b) == 1 && b[0]|0x20 == 'z':
		return t, true
	case len(b) == 6 && (b[0] == '+' || b[0] == '-') && b[3] == ':':
		h, m := two(b[1], b[2]), two(b[4], b[5])
		if h > 23 || m > 59 {
			return 0, false
		}
		off := int64(h*3600+m*60) * 1_000_000
		if b[0] == '-' {
			off = -off
		}
		return t - off, true
	}
	return 0, false
}

// two is a number of two digits, 0x80 where they are none.
func two(a, b byte) uint {
	a, b = a-'0', b-'0'
	if a > 9 || b > 9 {
		return 0x80
	}
	return uint(a)*10 + uint(b)
}

func monthDays(year, month uint) uint {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// days counts the days from 1970-01-01 in the Gregorian calendar. Years are
// counted from March here, which puts the leap day at their end; 400 years have
// 146097 days.
func days(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}
