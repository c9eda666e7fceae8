package jsontext

import (
	"time"
)

// The years that a time may have: those that a time of an event may have.
var (
	firstSecond = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	afterLast   = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
)

// AppendTime writes a moment as rfc3339 in UTC, or without an offset where it is
// local, with as many digits of fraction as given (0, 3, 6 or 9).
func AppendTime(dst []byte, seconds int64, nanos, digits int, local bool) ([]byte, bool) {
	if seconds < firstSecond || seconds >= afterLast {
		return dst, false
	}
	t := time.Unix(seconds, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, '"')
	dst = appendDate(dst, year, int(month), day)
	dst = append(dst, 'T')
	dst = appendClock(dst, hour, minute, second, nanos, digits)
	if !local {
		dst = append(dst, 'Z')
	}
	return append(dst, '"'), true
}

// AppendDate writes a day, counted from 1970-01-01, as 2006-01-02.
func AppendDate(dst []byte, days int64) ([]byte, bool) {
	if days < firstSecond/86400 || days >= afterLast/86400 {
		return dst, false
	}
	year, month, day := time.Unix(days*86400, 0).UTC().Date()
	return append(appendDate(append(dst, '"'), year, int(month), day), '"'), true
}

// AppendClock writes a time of day, counted in units of which a second has so many,
// as 15:04:05.123.
func AppendClock(dst []byte, at, unit int64, digits int) ([]byte, bool) {
	if at < 0 || at >= 86400*unit {
		return dst, false
	}
	s := int(at / unit)
	dst = appendClock(append(dst, '"'), s/3600, s/60%60, s%60, int(at%unit*(1_000_000_000/unit)), digits)
	return append(dst, '"'), true
}

func appendDate(dst []byte, year, month, day int) []byte {
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), month, 2)
	return appendDigits(append(dst, '-'), day, 2)
}

func appendClock(dst []byte, hour, minute, second, nanos, digits int) []byte {
	dst = appendDigits(dst, hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	if digits == 0 {
		return dst
	}
	for range 9 - digits {
		nanos /= 10
	}
	return appendDigits(append(dst, '.'), nanos, digits)
}

func appendDigits(dst []byte, n, width int) []byte {
	at := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := at + width - 1; i >= at; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}
