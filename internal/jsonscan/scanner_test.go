package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-ml/weir/internal/testseed"
)

// tree rebuilds what encoding/json with UseNumber makes of the text.
func tree(d *Doc, i uint32) (any, uint32) {
	n := d.Nodes[i]
	switch n.Kind {
	case True, False:
		return n.Kind == True, n.Next
	case Number:
		return json.Number(d.Raw(i)), n.Next
	case String:
		return string(d.AppendText(nil, i)), n.Next
	case Array:
		a := []any{}
		count := uint32(0)
		for m := i + 1; m < n.Next; count++ {
			var v any
			v, m = tree(d, m)
			a = append(a, v)
		}
		if count != n.Len {
			panic("Len of an array is wrong")
		}
		return a, n.Next
	case Object:
		o := map[string]any{}
		for m := i + 1; m < n.Next; {
			k, _ := d.KeyText(m, nil)
			o[string(k)], m = tree(d, m)
		}
		if uint32(len(o)) != n.Len {
			panic("Len of an object is wrong")
		}
		return o, n.Next
	}
	return nil, n.Next
}

// stricter are the ways in which Scan refuses what encoding/json accepts.
var stricter = []string{"stands twice", "invalid UTF-8", "surrogate", "nested deeper", "a number of", "exponent"}

func compare(t *testing.T, s *Scanner, d *Doc, text []byte) {
	t.Helper()
	err := s.Scan(d, text)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var want any
	jsonOK := json.Valid(text) && dec.Decode(&want) == nil
	switch {
	case err == nil && !jsonOK:
		t.Fatalf("%q is accepted, encoding/json refuses it", text)
	case err != nil && jsonOK:
		for _, m := range stricter {
			if strings.Contains(err.Error(), m) {
				return
			}
		}
		t.Fatalf("%q is refused: %v", text, err)
	case err != nil:
		var e *Error
		if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) {
			t.Fatalf("%q: odd error %v", text, err)
		}
		return
	}
	got, next := tree(d, 0)
	if int(next) != len(d.Nodes) || !reflect.DeepEqual(got, want) {
		t.Fatalf("%q\n got %#v\nwant %#v", text, got, want)
	}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if n.Kind != Number {
			continue
		}
		exact := d.Rat(uint32(i))
		if v, ok := n.Decimal(); ok && v.rat().Cmp(exact) != 0 {
			t.Fatalf("%s is read as %+v", d.Raw(uint32(i)), v)
		}
	}
}

var texts = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `-0.0e0`, `""`, ` [ 1 , 2 , [ ] , { } ] `, `{"a":1,"b":[1,2,{"a":null}],"c":{"a":{"a":1}}}`,
	`{"a":1,"b":2,"a":3}`, `{"a":{"b":1},"b":{"b":2}}`, `{"\u0061":1,"a":2}`, `{"a\\b":1,"a\nb":2}`, `[{"x":1,"y":2},{"x":3,"y":4},{"y":5,"x":6}]`,
	`1.5`, `1e5`, `1E+5`, `1.25e-3`, `12345678901234567890`, `0.00000000000000000000012345`, `123456789012345678901234567890e-10`, `1e999`, `1e1000`, `1e1001`, `1e-1001`, `1e1500000`,
	`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x10`, `NaN`, `Infinity`, `1 2`, `{} x`, `[1,]`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`, `[`, `{`, `"`, `"\`, `"\u12`, `"\x"`, `tru`, `nul`, `falsee`,
	`"\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, "\"a\x01b\"", "\"\x7f\"", "\"\xff\"", "\"\xc3\"", "\"a\xed\xa0\x80b\"", "\"é日本語😀\"", "{\"\xff\":1}", "\xef\xbb\xbf{}", "", " ", "\v1", "\u00a01",
	`"0123456"`, `"01234567"`, `"012345678"`, `"0123456\t8"`, `{"a":"x"]`, `["x"}`, `{"a":[1,2}`, "{\"\x00\":1}",
}

func TestScanAgreesWithEncodingJSON(t *testing.T) {
	s, d := NewScanner(nil, Limits{}), &Doc{}
	for _, x := range texts {
		compare(t, s, d, []byte(x))
	}
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	compare(t, s, d, deep(512))
	for _, n := range []int{513, 100_000} {
		if err := s.Scan(d, deep(n)); err == nil || !strings.Contains(err.Error(), "nested deeper than 512") {
			t.Fatal(n, err)
		}
	}
	if err := s.Scan(d, []byte(strings.Repeat(`{"a":`, 100_000))); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Fatal(err)
	}
	if err := s.Scan(d, []byte("1"+strings.Repeat("0", 1_000_000))); err == nil || !strings.Contains(err.Error(), "a number of 1000001 characters") {
		t.Fatal(err)
	}
	if err := s.Scan(d, []byte("0.5e"+strings.Repeat("0", 1_000_000)+"1")); err == nil || !strings.Contains(err.Error(), "characters") {
		t.Fatal(err)
	}
}

// Random objects with few key names, so that predictions hit, miss and collide.
func TestScanRandomObjects(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	syms := NewSymbols()
	for i := range 90 { // more than the 64 bits of a frame's mask
		syms.Intern(fmt.Sprint("k", i))
	}
	s, d := NewScanner(syms, Limits{}), &Doc{}
	var value func(depth int) string
	value = func(depth int) string {
		switch n := rng.IntN(8); {
		case n < 3 && depth < 4:
			var b strings.Builder
			b.WriteByte('{')
			from := rng.IntN(40)
			for i := range rng.IntN(60) {
				if i > 0 {
					b.WriteByte(',')
				}
				k := from + i
				if rng.IntN(200) == 0 {
					k = rng.IntN(120)
				}
				fmt.Fprintf(&b, `"k%d":%s`, k, value(depth+1+i/6))
			}
			return b.String() + "}"
		case n == 3 && depth < 4:
			return "[" + value(depth+1) + "," + value(depth+1) + "]"
		case n == 4:
			return `"text"`
		}
		return fmt.Sprint(rng.IntN(1000))
	}
	twice := 0
	for range 2000 {
		text := []byte(value(0))
		compare(t, s, d, text)
		if err := s.Scan(d, text); err != nil {
			if !hasDuplicate(json.NewDecoder(bytes.NewReader(text))) {
				t.Fatalf("%s: %v", text, err)
			}
			twice++
		} else if hasDuplicate(json.NewDecoder(bytes.NewReader(text))) {
			t.Fatalf("a key twice in %s", text)
		}
		for i := range d.Nodes {
			n := &d.Nodes[i]
			if n.Key != 0 && s.Symbols().Name(n.Key) != string(d.Data[n.KeyStart:n.KeyEnd]) {
				t.Fatalf("key %q has the symbol of %q", d.Data[n.KeyStart:n.KeyEnd], s.Symbols().Name(n.Key))
			}
		}
	}
	t.Logf("%d texts had a key twice", twice)
}

func hasDuplicate(dec *json.Decoder) bool {
	tok, err := dec.Token()
	if err != nil {
		return false
	}
	found := false
	if tok == json.Delim('{') {
		seen := map[string]bool{}
		for dec.More() {
			k, _ := dec.Token()
			found = found || seen[k.(string)]
			seen[k.(string)] = true
			found = hasDuplicate(dec) || found
		}
		_, _ = dec.Token()
	} else if tok == json.Delim('[') {
		for dec.More() {
			found = hasDuplicate(dec) || found
		}
		_, _ = dec.Token()
	}
	return found
}

// A stream of ever new keys must not grow the scanner.
func TestScanLearnsABoundedNumberOfKeys(t *testing.T) {
	s, d := NewScanner(nil, Limits{}), &Doc{}
	for i := range 5000 {
		if err := s.Scan(d, fmt.Appendf(nil, `{"key%d":1,"other%d":2,"same":3}`, i, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Symbols().Len(); n > learnKeys+1 {
		t.Fatal(n, "symbols")
	}
	if err := s.Scan(d, []byte(`{"new":1,"newer":2,"new":3}`)); err == nil {
		t.Fatal("a key twice goes unnoticed once nothing is learned any more")
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	s, d := NewScanner(nil, Limits{}), &Doc{}
	text := []byte(`{"id":17,"name":"x y","tags":["a","b\n"],"geo":{"lat":48.2,"lon":16.37},"ok":true,"none":null}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Scan(d, text); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Fatal(n, "allocations")
	}
}

func FuzzScan(f *testing.F) {
	for _, x := range texts {
		f.Add([]byte(x))
	}
	syms := NewSymbols()
	syms.Intern("a")
	syms.Intern(`a\b`)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, d := NewScanner(syms, Limits{}), &Doc{}
		compare(t, s, d, text)
		compare(t, s, d, text) // again, now with keys predicted
	})
}
