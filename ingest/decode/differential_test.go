package decode

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// plainly says what the columns must hold, by encoding/json and nothing of this package.
func plainly(payload []byte, v *feature.View) ([]any, bool) {
	dec := json.NewDecoder(strings.NewReader(string(payload)))
	dec.UseNumber()
	var o map[string]any
	if dec.Decode(&o) != nil || o == nil {
		return nil, false
	}
	var out []any
	for i, c := range v.Columns() {
		var x any = o
		for seg := range strings.SplitSeq(c.EventPath(), ".") {
			m, ok := x.(map[string]any)
			if !ok {
				x = nil
				break
			}
			x = m[seg]
		}
		if x == nil {
			if i < len(v.Keys) {
				return nil, false
			}
			out = append(out, nil)
			continue
		}
		y, ok := plainValue(x, c.Type)
		if !ok {
			return nil, false
		}
		out = append(out, y)
	}
	return out, true
}

// plainValue is one value that is not null.
func plainValue(x any, typ feature.Type) (any, bool) {
	n, isNumber := x.(json.Number)
	s, isText := x.(string)
	switch typ {
	case feature.Bool:
		b, ok := x.(bool)
		return b, ok
	case feature.Int32:
		var k int32
		err := json.Unmarshal([]byte(n), &k)
		return k, isNumber && err == nil
	case feature.Int64:
		var k int64
		err := json.Unmarshal([]byte(n), &k)
		return k, isNumber && err == nil
	case feature.Float64:
		var f float64
		err := json.Unmarshal([]byte(n), &f)
		return f, isNumber && err == nil
	case feature.Float32:
		var f float32
		err := json.Unmarshal([]byte(n), &f)
		return f, isNumber && err == nil
	case feature.String:
		return s, isText
	case feature.Bytes:
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		return string(b), isText && err == nil && !strings.ContainsAny(s, "\r\n")
	case feature.Timestamp:
		t, err := time.Parse(time.RFC3339, s)
		return t.UnixMicro(), isText && err == nil && t.UnixMicro() >= feature.MinTime && t.UnixMicro() <= feature.MaxTime
	}
	elems, ok := x.([]any)
	out := []any{}
	for _, e := range elems {
		y, fits := plainValue(e, typ.Elem())
		out, ok = append(out, y), ok && fits && e != nil
	}
	return out, ok
}

// compare decodes one payload both ways. Where the decoder is known to judge
// otherwise (stricter JSON, 3.0 as an integer, more ways to write a time) only
// its soundness is checked.
func compare(t testing.TB, d *Decoder, v *feature.View, payload []byte) {
	t.Helper()
	d.Decode(Record{Value: payload, Timestamp: feature.MaxTime})
	res := d.Cut(feature.Origin{})[0]
	sound(t, res)
	if res.Batch.Len()+len(res.Rejected) != 1 {
		t.Fatalf("%q: %d rows, %d rejected", payload, res.Batch.Len(), len(res.Rejected))
	}
	want, ok := plainly(payload, v)
	if res.Batch.Len() == 0 {
		why := rules(res.Rejected[0].Reasons)
		if ok && why != "decode" && !strings.Contains(why, "event_time") && !strings.Contains(why, "max_future") {
			t.Fatalf("%q: rejected for %+v", payload, res.Rejected[0].Reasons)
		}
		return
	}
	if ok {
		if got := cells(res.Batch, 0); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n got %#v\nwant %#v", payload, got, want)
		}
	}
}

func mixed() (*feature.Source, *feature.View) {
	return source("", "ts", ""), view("v", 1, "id:string", "b:bool", "i:int32", "l:int64", "f:float32", "d:float64", "s:string", "y:bytes", "t:timestamp", "n:int64:a.b", "o:string:a.c",
		"Ab:array<bool>", "Ai:array<int32>", "Al:array<int64>", "Af:array<float32>", "Ad:array<float64>", "As:array<string>", "Ay:array<bytes>", "At:array<timestamp>", "An:array<float64>:a.d")
}

func TestAgainstEncodingJSON(t *testing.T) {
	if RaceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	s, v := mixed()
	d := decoder(t, s, Options{}, v)
	values := []string{"null", "true", "false", "0", "-1", "7", "2147483647", "2147483648", "9007199254740993", "0.1", "-2.5e-3", "3.3333333333333335", "16777217", "1e39", "1e309", `""`, `"x"`, `"é\u00e9\n"`, `"aGk="`, `"2026-03-01T12:00:00Z"`, `[1]`, `{"b":5,"c":"x"}`, `{"b":"5"}`, `{}`, `{"d":[1,-0.5]}`, `{"d":[[1]]}`, `[]`, `[null]`}
	for range 30_000 {
		var m []string
		names := []string{"b", "i", "l", "f", "d", "s", "y", "t", "a", "extra"}
		value := func(k int) string {
			if rng.IntN(3) > 0 {
				return []string{"true", fmt.Sprint(rng.Int32()), fmt.Sprint(rng.Int64()), fmt.Sprint(rng.Float32()), fmt.Sprint(rng.NormFloat64()), `"text"`, `"AAEC"`, `"1999-12-31T23:59:59.5+01:00"`, `{"b":17,"c":null}`, `"more"`}[k]
			}
			return values[rng.IntN(len(values))]
		}
		for _, k := range rng.Perm(10)[:rng.IntN(10)] {
			m = append(m, fmt.Sprintf("%q:%s", names[k], value(k)))
		}
		for _, k := range rng.Perm(8)[:rng.IntN(3)] {
			elems := make([]string, rng.IntN(5))
			for i := range elems {
				if elems[i] = value(k); rng.IntN(6) > 0 {
					elems[i] = []string{"true", "-7", "1e3", "0.1", "3.3333333333333335", `"\u0041é\n"`, `"AAECAw=="`, `"1999-12-31T23:59:59.5+01:00"`}[k]
				}
			}
			m = append(m, fmt.Sprintf(`"A%s":[%s]`, names[k], strings.Join(elems, []string{",", " , "}[rng.IntN(2)])))
		}
		m = append(m, `"ts":"2026-03-01T12:00:00Z"`)
		if rng.IntN(10) > 0 {
			m = append(m, `"id":"k"`)
		}
		rng.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
		compare(t, d, v, []byte("{"+strings.Join(m, ",")+"}"))
	}
}

func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	f.Add(decodetest.Event(0, rng))
	for _, x := range []string{`{"id":"k","ts":"2026-03-01T12:00:00Z","b":true,"i":1,"l":2,"f":1.5,"d":2.5,"s":"x","y":"aGk=","t":"2026-03-01T12:00:00Z","a":{"b":1,"c":"x"}}`,
		``, `null`, `{"id":null}`, `{"ts":"9999-12-31T23:59:59Z","id":""}`, `{"a":{"b":{}},"id":"\ud83d\ude00"}`, "[[[[", `{"d":1e1500000}`,
		`{"id":"k","ts":"2026-03-01T12:00:00Z","Ab":[true,false],"Ai":[1,3.0],"Al":[],"Af":[1e38,16777217],"Ad":[0.1],"As":["","\u00e9"],"Ay":["aGk=",""],"At":["2026-03-01T12:00:00Z",5],"a":{"d":[1]}}`,
		`{"id":"k","Ab":[[true]],"Ai":[null],"As":[{"a":[1]}],"Ad":{"0":1}}`} {
		f.Add([]byte(x))
	}
	s, v := mixed()
	var wide []*feature.View
	wide = append(wide, decodetest.View(), view("w", 2, "customer_id:string", "items:int64", "amount:float32", "ts:timestamp"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		compare(t, decoder(t, s, Options{}, v), v, payload)
		d := decoder(t, decodetest.Source(), Options{MaxEventBytes: 4096}, wide...)
		for i := range 2 { // the second time with keys predicted
			d.Decode(Record{Value: payload, Offset: int64(2 * i), Timestamp: noon})
			d.Decode(Record{Key: payload, Offset: int64(2*i + 1), Timestamp: noon})
		}
		for _, res := range d.Cut(feature.Origin{}) {
			sound(t, res)
			if res.Batch.Len()+len(res.Rejected) != 4 {
				t.Fatal(res.Batch.Len(), len(res.Rejected))
			}
		}
	})
}
