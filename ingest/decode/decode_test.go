package decode

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

func source(schema string, event, created string) *feature.Source {
	s := &feature.Source{Meta: feature.Meta{Project: "default", Name: "s"}, Topic: "s", Schema: json.RawMessage(schema)}
	field, format, _ := strings.Cut(event, ":")
	s.EventTime = feature.TimeField{Field: field, Format: format}
	if created != "" {
		field, format, _ = strings.Cut(created, ":")
		s.Created = &feature.TimeField{Field: field, Format: format}
	}
	return s
}

// view makes a view of "name:type[:path]" columns, the first keys of them join keys.
func view(name string, keys int, columns ...string) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "default", Name: name}}
	for i, c := range columns {
		p := strings.Split(c, ":")
		t, err := feature.ParseType(p[1])
		if err != nil {
			panic(err)
		}
		f := feature.Field{Name: p[0], Type: t}
		if len(p) > 2 {
			f.Path = p[2]
		}
		if i < keys {
			v.Keys = append(v.Keys, f)
		} else {
			v.Features = append(v.Features, f)
		}
	}
	return v
}

func decoder(t testing.TB, s *feature.Source, o Options, views ...*feature.View) *Decoder {
	t.Helper()
	d, err := New(s, views, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cells are the values of row i, nil for null.
func cells(b *feature.Batch, i int) []any {
	var out []any
	types := b.View.Columns()
	for n, c := range b.Rows.Columns() {
		if c.IsNull(i) {
			out = append(out, nil)
			continue
		}
		if t := types[n].Type; t.IsArray() {
			out = append(out, list(t, c.(*array.Binary).Value(i)))
			continue
		}
		switch c := c.(type) {
		case *array.Boolean:
			out = append(out, c.Value(i))
		case *array.Int32:
			out = append(out, c.Value(i))
		case *array.Int64:
			out = append(out, c.Value(i))
		case *array.Float32:
			out = append(out, c.Value(i))
		case *array.Float64:
			out = append(out, c.Value(i))
		case *array.String:
			out = append(out, c.Value(i))
		case *array.Binary:
			out = append(out, string(c.Value(i)))
		case *array.Timestamp:
			out = append(out, int64(c.Value(i)))
		}
	}
	return out
}

func rules(rs []feature.Reason) string {
	var s []string
	for _, r := range rs {
		if r.Path != "" {
			s = append(s, r.Rule+"("+r.Path+")")
		} else {
			s = append(s, r.Rule)
		}
	}
	return strings.Join(s, " ")
}

// sound checks what every batch must be, whatever went in.
func sound(t testing.TB, res Result) {
	t.Helper()
	b := res.Batch
	if b.Rows.NumRows() != int64(b.Len()) || len(b.EventTime) != b.Len() || len(b.KnownTime) != b.Len() || b.Tombstone != nil && len(b.Tombstone) != b.Len() {
		t.Fatal("slices of different lengths")
	}
	if !b.Rows.Schema().Equal(res.View.Schema()) {
		t.Fatal("another schema: ", b.Rows.Schema())
	}
	for i, c := range b.Rows.Columns() {
		if i < len(res.View.Keys) && c.NullN() > 0 {
			t.Fatal("a null join key")
		}
		nulls := 0
		for r := range c.Len() {
			if c.IsNull(r) {
				nulls++
			}
		}
		if nulls != c.NullN() || c.Len() != b.Len() {
			t.Fatal("nulls are miscounted")
		}
		if v, ok := c.(interface{ ValidateFull() error }); ok {
			if err := v.ValidateFull(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range b.Len() {
		if i > 0 && b.Offsets[i] <= b.Offsets[i-1] {
			t.Fatal("offsets do not grow")
		}
		for _, x := range []int64{b.EventTime[i], b.KnownTime[i]} {
			if x < feature.MinTime || x > feature.MaxTime {
				t.Fatal("a time out of range")
			}
		}
	}
}

func TestValues(t *testing.T) {
	v := view("v", 1, "id:string", "b:bool", "i:int32", "l:int64", "f:float32", "d:float64", "s:string", "y:bytes", "t:timestamp", "n:int64:a.b.c", "o:string:a.x")
	d := decoder(t, source("", "ts", ""), Options{}, v)
	at := feature.Time(noon).Format(time.RFC3339)
	for i, c := range []struct {
		event string // without id and ts
		want  []any
		rules string
	}{
		{``, make([]any, 10), ""},
		{`"b":true,"i":-2147483648,"l":9223372036854775807,"f":1.5,"d":-0.1,"s":"é\n\u00e9","y":"aGk=","t":"2026-03-01T12:00:00+02:00","a":{"b":{"c":5},"x":"q"}`,
			[]any{true, int32(math.MinInt32), int64(math.MaxInt64), float32(1.5), -0.1, "é\né", "hi", noon - 2*3600_000_000, int64(5), "q"}, ""},
		{`"b":false,"i":3.0,"l":1e3,"f":3.4028235e38,"d":1e-400,"s":"","y":"","t":-1,"a":{"b":7,"x":null}`,
			[]any{false, int32(3), int64(1000), float32(math.MaxFloat32), 0.0, "", "", int64(-1), nil, nil}, ""},
		{`"b":null,"i":null,"l":null,"f":null,"d":null,"s":null,"y":null,"t":null,"a":null`, make([]any, 10), ""},
		{`"l":12345678901234567890123e-22,"t":"2026-03-01 12:00:00.123456789"`, nil, "decode(l)"},
		{`"l":1.00000000000000000000000,"d":0.1000000000000000055511151231257827,"t":"2026-03-01T12:00:00.123456789"`, []any{nil, nil, int64(1), nil, 0.1, nil, nil, noon + 123456, nil, nil}, ""},
		{`"b":1`, nil, "decode(b)"},
		{`"b":"true"`, nil, "decode(b)"},
		{`"i":2147483648`, nil, "decode(i)"},
		{`"i":1.5`, nil, "decode(i)"},
		{`"i":"1"`, nil, "decode(i)"},
		{`"l":9223372036854775808`, nil, "decode(l)"},
		{`"l":-9223372036854775808`, []any{nil, nil, int64(math.MinInt64), nil, nil, nil, nil, nil, nil, nil}, ""},
		{`"l":99999999999999999999999`, nil, "decode(l)"},
		{`"f":1e39`, nil, "decode(f)"},
		{`"d":1e400`, nil, "decode(d)"},
		{`"d":"text"`, nil, "decode(d)"},
		{`"d":true`, nil, "decode(d)"},
		{`"s":5`, nil, "decode(s)"},
		{`"s":[]`, nil, "decode(s)"},
		{`"s":{"a":1}`, nil, "decode(s)"},
		{`"y":"aGk"`, nil, "decode(y)"},
		{`"y":"aG-="`, nil, "decode(y)"},
		{`"y":"aG\nk="`, nil, "decode(y)"},
		{`"y":"aGl="`, nil, "decode(y)"},
		{`"t":"2026-02-29T00:00:00Z"`, nil, "decode(t)"},
		{`"t":1.5`, nil, "decode(t)"},
		{`"t":999999999999999999`, nil, "decode(t)"},
		{`"a":{"b":{"c":"x"},"x":1},"d":"x"`, nil, "decode(d) decode(a.b.c) decode(a.x)"},
	} {
		event := fmt.Sprintf(`{"id":"k","ts":%q,%s}`, at, c.event)
		if c.event == "" {
			event = fmt.Sprintf(`{"id":"k","ts":%q}`, at)
		}
		d.Decode(Record{Value: []byte(event), Offset: int64(i), Timestamp: noon})
		res := d.Cut(feature.Origin{Topic: "s"})[0]
		sound(t, res)
		if c.rules != "" {
			if len(res.Rejected) != 1 || rules(res.Rejected[0].Reasons) != c.rules || res.Batch.Len() != 0 {
				t.Errorf("%s: %+v", event, res.Rejected)
			} else {
				for _, r := range res.Rejected[0].Reasons {
					if r.Value == "" && !strings.Contains(c.event, `""`) || r.Expected == "" {
						t.Errorf("%s: %+v", event, r)
					}
				}
			}
			continue
		}
		if res.Batch.Len() != 1 {
			t.Errorf("%s: %+v", event, res.Rejected)
		} else if got := cells(res.Batch, 0)[1:]; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %v\nwant %v", event, got, c.want)
		}
	}
}

// The bad inputs that every way in must survive.
func TestBadInput(t *testing.T) {
	schema := `{"type":"object","properties":{"n":{"type":"number","minimum":5}},"required":["must"]}`
	d := decoder(t, source(schema, "ts", ""), Options{}, view("v", 1, "id:string", "n:float64"))
	at := feature.Time(noon).Format(time.RFC3339)
	big := make([]byte, 10<<20)
	for i := range big {
		big[i] = 'x'
	}
	good := fmt.Sprintf(`{"id":"k","ts":%q,"n":7,"must":1}`, at)
	for i, c := range []struct{ event, rules, says string }{
		{good, "", ""},
		{string(big), "too_large", "at most 1048576 bytes, this one has 10485760"},
		{"", "decode", "the text is empty"},
		{"\xff\xfe", "decode", "not a JSON value"},
		{"{\"id\":\"\xff\"}", "decode", "invalid UTF-8"},
		{strings.Repeat("[", 100_000), "decode", "nested deeper than 512"},
		{strings.Repeat(`{"a":`, 100_000), "decode", "nested deeper than 512"},
		{`{"id":"k","n":1e1500000}`, "decode", "exponent is beyond 1000"},
		{good + "x", "decode", "something follows"},
		{"\xef\xbb\xbf" + good, "decode", "byte order mark"},
		{`{"id":"k","id":"l"}`, "decode", "stands twice"},
		{`{"id":NaN}`, "decode", "not a JSON value"},
		{`null`, "schema.type decode", ""},
		{`[1]`, "schema.type decode", ""},
		{strings.Replace(good, `"k"`, "null", 1), "key_null(id)", ""},
		{strings.Replace(good, `"id":"k",`, "", 1), "key_null(id)", ""},
		{strings.Replace(good, `"k"`, "5", 1), "decode(id)", ""},
		{strings.Replace(good, at, "9999-12-31T23:59:59.999999Z", 1), "max_future(ts)", "after the known time"},
		{strings.Replace(good, at, "9999-12-31T23:59:59-23:59", 1), "event_time(ts)", ""},
		{strings.Replace(good, at, "10000-01-01T00:00:00Z", 1), "event_time(ts)", ""},
		{strings.Replace(good, at, "0000-12-31T23:59:59Z", 1), "event_time(ts)", ""},
		{`{}`, "schema.required(must) event_time(ts) key_null(id)", ""},
		{`{"id":null,"ts":"no","n":1,"must":1}`, "schema.minimum(n) event_time(ts) key_null(id)", ""},
		{`{"id":null,"ts":17,"n":"x","must":1}`, "schema.type(n) event_time(ts) key_null(id) decode(n)", ""},
	} {
		d.Decode(Record{Value: []byte(c.event), Offset: int64(i), Timestamp: noon})
		res := d.Cut(feature.Origin{})[0]
		sound(t, res)
		if c.rules == "" {
			if res.Batch.Len() != 1 {
				t.Errorf("%s: %v", c.event, res.Rejected)
			}
			continue
		}
		if res.Batch.Len() != 0 || len(res.Rejected) != 1 || rules(res.Rejected[0].Reasons) != c.rules || res.Rejected[0].Offset != int64(i) {
			t.Errorf("%.80q: want %s, got %+v", c.event, c.rules, res.Rejected)
			continue
		}
		r := res.Rejected[0].Reasons[len(res.Rejected[0].Reasons)-1]
		if !strings.Contains(r.Expected, c.says) || len(r.Value) > 131 {
			t.Errorf("%.80q: %+v", c.event, r)
		}
	}
}

// A fault of one view leaves the others their row; indexes and offsets point at the event.
func TestViewsAreJudgedApart(t *testing.T) {
	a, b := view("a", 1, "id:string", "x:int64"), view("b", 1, "shop:int64", "x:string")
	d := decoder(t, source(`{"required":["ok"]}`, "ts:unix_ms", ""), Options{}, a, b)
	ms := noon / 1000
	for i, e := range []string{
		`{"id":"k1","shop":1,"ts":%d,"ok":1}`,
		`{"id":"k2","shop":2,"ts":%d,"ok":1,"x":5}`,     // not text for b
		`{"id":"k3","shop":3,"ts":%d,"ok":1,"x":"t"}`,   // not a number for a
		`{"id":null,"shop":4,"ts":%d,"ok":1}`,           // no key for a
		`{"id":"k5","shop":5,"ts":%d}`,                  // schema: for both
		`{"id":"k6","shop":"x","ts":%d,"ok":1,"x":"t"}`, // a: x, b: shop
		`{"id":"k7","shop":7,"ts":%d,"ok":1,"x":null}`,
	} {
		d.Decode(Record{Value: fmt.Appendf(nil, e, ms), Offset: int64(100 + 10*i), Timestamp: noon})
	}
	if d.Rows() != 4 || d.Bytes() == 0 {
		t.Error(d.Rows(), d.Bytes())
	}
	res := d.Cut(feature.Origin{First: 100, Next: 171})
	show := func(r Result) string {
		sound(t, r)
		s := fmt.Sprint(r.Batch.Offsets, " ")
		for _, x := range r.Rejected {
			s += fmt.Sprintf("%d@%d:%s; ", x.Index, x.Offset, rules(x.Reasons))
		}
		return s
	}
	if got, want := show(res[0]), "[100 110 160] 2@120:decode(x); 3@130:key_null(id); 4@140:schema.required(ok); 5@150:decode(x); "; got != want {
		t.Errorf("a:\n got %s\nwant %s", got, want)
	}
	if got, want := show(res[1]), "[100 120 130 160] 1@110:decode(x); 4@140:schema.required(ok); 5@150:decode(shop); "; got != want {
		t.Errorf("b:\n got %s\nwant %s", got, want)
	}
	if got := cells(res[1].Batch, 1); !reflect.DeepEqual(got, []any{int64(3), "t"}) {
		t.Error(got)
	}
	if again := d.Cut(feature.Origin{}); again[0].Batch.Len() != 0 || again[0].Rejected != nil {
		t.Error("a second cut gives rows again")
	}
}

func TestTimesOfDesign(t *testing.T) {
	v := view("v", 1, "id:string", "x:int64")
	at := func(d time.Duration) string { return feature.Time(noon).Add(d).Format(time.RFC3339Nano) }
	for _, c := range []struct {
		what    string
		created bool
		imports bool
		event   string
		rules   string
		e, k    time.Duration
	}{
		{"known time is the record's timestamp", false, false, fmt.Sprintf(`"ts":%q`, at(-time.Hour)), "", -time.Hour, 0},
		{"known time is created", true, false, fmt.Sprintf(`"ts":%q,"c":%q`, at(-time.Hour), at(-time.Minute)), "", -time.Hour, -time.Minute},
		{"event time at the limit", false, false, fmt.Sprintf(`"ts":%q`, at(5*time.Minute)), "", 5 * time.Minute, 0},
		{"event time beyond", false, false, fmt.Sprintf(`"ts":%q`, at(5*time.Minute+time.Microsecond)), "max_future(ts)", 0, 0},
		{"event time beyond created", true, false, fmt.Sprintf(`"ts":%q,"c":%q`, at(0), at(-6*time.Minute)), "max_future(ts)", 0, 0},
		{"created at the limit", true, false, fmt.Sprintf(`"ts":%q,"c":%q`, at(0), at(5*time.Minute)), "", 0, 5 * time.Minute},
		{"created beyond", true, false, fmt.Sprintf(`"ts":%q,"c":%q`, at(0), at(6*time.Minute)), "max_future(c)", 0, 0},
		{"both beyond", true, false, fmt.Sprintf(`"ts":%q,"c":%q`, at(time.Hour), at(6*time.Minute)), "max_future(ts) max_future(c)", 0, 0},
		{"created is null", true, false, fmt.Sprintf(`"ts":%q,"c":null`, at(0)), "known_time(c)", 0, 0},
		{"created is absent", true, false, fmt.Sprintf(`"ts":%q`, at(0)), "known_time(c)", 0, 0},
		{"both unreadable", true, false, `"ts":"x","c":"y"`, "event_time(ts) known_time(c)", 0, 0},
		{"created beyond, event time unreadable", true, false, fmt.Sprintf(`"ts":[],"c":%q`, at(time.Hour)), "event_time(ts) max_future(c)", 0, 0},
		{"import: known time is the event time", false, true, fmt.Sprintf(`"ts":%q`, at(-1000*time.Hour)), "", -1000 * time.Hour, -1000 * time.Hour},
		{"import: event time after its start", false, true, fmt.Sprintf(`"ts":%q`, at(6*time.Minute)), "max_future(ts)", 0, 0},
		{"import: created", true, true, fmt.Sprintf(`"ts":%q,"c":%q`, at(-2*time.Hour), at(-time.Hour)), "", -2 * time.Hour, -time.Hour},
		{"import: created after its start", true, true, fmt.Sprintf(`"ts":%q,"c":%q`, at(0), at(time.Hour)), "max_future(c)", 0, 0},
	} {
		created := ""
		if c.created {
			created = "c"
		}
		d := decoder(t, source("", "ts", created), Options{Import: c.imports}, v)
		d.Decode(Record{Value: []byte(`{"id":"k",` + c.event + `}`), Timestamp: noon})
		res := d.Cut(feature.Origin{})[0]
		sound(t, res)
		if c.rules != "" {
			if len(res.Rejected) != 1 || rules(res.Rejected[0].Reasons) != c.rules {
				t.Errorf("%s: %+v", c.what, res.Rejected)
			}
			continue
		}
		if res.Batch.Len() != 1 {
			t.Errorf("%s: %+v", c.what, res.Rejected)
		} else if e, k := res.Batch.EventTime[0]-noon, res.Batch.KnownTime[0]-noon; e != c.e.Microseconds() || k != c.k.Microseconds() {
			t.Errorf("%s: event %d, known %d", c.what, e, k)
		}
	}
	d := decoder(t, source("", "ts", ""), Options{}, v)
	d.Decode(Record{Value: []byte(`{"id":"k","ts":"2026-01-01T00:00:00Z"}`), Timestamp: math.MaxInt64})
	d.Decode(Record{Key: []byte("k"), Timestamp: math.MinInt64, Offset: 1})
	if res := d.Cut(feature.Origin{})[0]; len(res.Rejected) != 2 || rules(res.Rejected[0].Reasons) != "known_time" || rules(res.Rejected[1].Reasons) != "known_time" {
		t.Errorf("%+v", res.Rejected)
	}
}

func TestTombstones(t *testing.T) {
	one := view("one", 1, "id:string:user.id", "x:int64")
	num := view("num", 1, "n:int64", "x:int64")
	two := view("two", 2, "id:string:user.id", "n:int32", "x:string")
	d := decoder(t, source(`{"required":["never"]}`, "ts", ""), Options{}, one, num, two)
	keys := []struct {
		key []byte
		one any // key as read, or the rule
		num any
		two any
	}{
		{[]byte("k1"), "k1", "tombstone(n)", "tombstone"},
		{[]byte("42"), "42", int64(42), "tombstone"},
		{[]byte(`{"id":"k","n":7,"more":1}`), `{"id":"k","n":7,"more":1}`, "tombstone(n)", []any{"k", int32(7)}},
		{[]byte(`{"id":null,"n":1.5}`), `{"id":null,"n":1.5}`, "tombstone(n)", "tombstone(id) tombstone(n)"},
		{[]byte(`{"id":"k"}`), `{"id":"k"}`, "tombstone(n)", "tombstone(n)"},
		{nil, "tombstone", "tombstone", "tombstone"},
		{[]byte{}, "", "tombstone(n)", "tombstone"},
		{[]byte("\xff"), "tombstone(id)", "tombstone(n)", "tombstone"},
		{[]byte("-1"), "-1", int64(-1), "tombstone"},
	}
	for i, k := range keys {
		d.Decode(Record{Key: k.key, Offset: int64(i), Timestamp: noon})
	}
	for v, res := range d.Cut(feature.Origin{}) {
		sound(t, res)
		got := map[int64]any{}
		for _, r := range res.Rejected {
			got[r.Offset] = rules(r.Reasons)
		}
		for i := range res.Batch.Len() {
			c := cells(res.Batch, i)
			if !res.Batch.Deleted(i) || res.Batch.EventTime[i] != noon || res.Batch.KnownTime[i] != noon || c[len(c)-1] != nil {
				t.Errorf("row %d: %v %v", i, c, res.Batch.Tombstone)
			}
			if got[res.Batch.Offsets[i]] = c[0]; v == 2 {
				got[res.Batch.Offsets[i]] = c[:2]
			}
		}
		for i, k := range keys {
			if want := []any{k.one, k.num, k.two}[v]; !reflect.DeepEqual(got[int64(i)], want) {
				t.Errorf("%s: key %q: got %v, want %v", res.View.Meta.Name, k.key, got[int64(i)], want)
			}
		}
	}
	// Tombstones between rows: the flags grow with the batch.
	d = decoder(t, source("", "ts", ""), Options{}, view("v", 1, "id:string", "x:int64"))
	for i := range 1000 {
		r := Record{Offset: int64(i), Timestamp: noon, Key: []byte("k")}
		if i%7 != 3 {
			r.Value = fmt.Appendf(nil, `{"id":"k","ts":"2026-01-01T00:00:00Z","x":%d}`, i)
		}
		d.Decode(r)
	}
	res := d.Cut(feature.Origin{})[0]
	sound(t, res)
	for i := range 1000 {
		c := cells(res.Batch, i)
		if res.Batch.Deleted(i) != (i%7 == 3) || (c[1] == nil) != (i%7 == 3) || c[1] != nil && c[1] != int64(i) {
			t.Fatal(i, c)
		}
	}
}

func TestTimeFormats(t *testing.T) {
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50_000 {
		x := time.UnixMicro(feature.MinTime + rng.Int64N(feature.MaxTime-feature.MinTime)).UTC()
		zone := time.FixedZone("", (rng.IntN(47*60)-23*60-59)*60)
		text := x.In(zone).Format(time.RFC3339Nano)
		if y := x.In(zone).Year(); y < 0 || y > 9999 {
			continue
		}
		if got, ok := parseTime([]byte(text), true); !ok || got != x.UnixMicro() {
			t.Fatalf("%s: %d %v, want %d", text, got, ok, x.UnixMicro())
		}
		plain := x.Format("2006-01-02 15:04:05.999999")
		if got, ok := parseTime([]byte(plain), false); !ok || got != x.UnixMicro() {
			t.Fatalf("%s: %d %v", plain, got, ok)
		}
		// One changed byte: what is still accepted is what the time package makes of it.
		b := []byte(text)
		b[rng.IntN(len(b))] = "0123456789-:.TZ+ "[rng.IntN(17)]
		want, err := time.Parse(time.RFC3339Nano, string(b))
		got, ok := parseTime(b, true)
		if ok && (err != nil || got != want.UnixMicro() && want.Nanosecond()%1000 == 0) {
			t.Fatalf("%s: %d, want %v %v", b, got, want, err)
		}
		if !ok && err == nil && !strings.ContainsAny(string(b), ",") && string(b[len(b)-5:len(b)-3]) != "24" && string(b[len(b)-2:]) != "60" { // Go accepts offsets of 24 hours or 60 minutes
			t.Fatalf("%s is refused, it is %v", b, want)
		}
	}
	for format, cases := range map[string]map[string]any{
		"rfc3339": {`"2026-03-01T12:00:00Z"`: noon, `"2026-03-01t12:00:00z"`: noon, `"2026-03-01T14:00:00.000000999+02:00"`: noon, `"1969-12-31T23:59:59.9999999Z"`: int64(-1),
			`"2026-03-01T12:00:00"`: nil, `"2026-03-01 12:00:00Z"`: nil, `"2026-03-01"`: nil, `"2026-03-01T12:00:60Z"`: nil, `"2026-03-01T24:00:00Z"`: nil, `"2026-13-01T00:00:00Z"`: nil,
			`"2026-03-01T12:00:00.Z"`: nil, `"2026-03-01T12:00:00.1234567890Z"`: nil, `"2026-03-01T12:00:00+0200"`: nil, `"0001-01-01T00:00:00Z"`: feature.MinTime, `"9999-12-31T23:59:59.999999999Z"`: feature.MaxTime,
			`"0001-01-01T00:00:00+00:01"`: nil, `1`: nil, `""`: nil, `"2026-03-01T12\u003a00:00Z"`: noon, `{}`: nil, `true`: nil},
		"naive":   {`"2026-03-01T12:00:00"`: noon, `"2026-03-01 12:00:00.5"`: noon + 500_000, `"2026-03-01T12:00:00Z"`: nil, `"2026-03-01T12:00:00+01:00"`: nil, `"2026-03-01_12:00:00"`: nil},
		"unix_s":  {`1`: int64(1e6), `1.5`: int64(15e5), `-0.0000001`: int64(-1), `"1"`: nil, `253402300799.999999`: feature.MaxTime, `253402300800`: nil, `1e15`: nil, `1e300`: nil, `1700000000.1234567890123456789012`: int64(1700000000123456), `null`: nil},
		"unix_ms": {`1`: int64(1000), `1.0015`: int64(1001), `1e3`: int64(1e6), `9223372036854775807`: nil},
		"unix_us": {`1`: int64(1), `-1.5`: int64(-2), `99999999999999999999999`: nil},
		"unix_ns": {`1999`: int64(1), `-1`: int64(-1), `1772366400000000000`: noon, `-1.00000000000000000000000001`: int64(-1)},
	} {
		d := decoder(t, source("", "ts:"+format, ""), Options{Import: true}, view("v", 1, "id:string", "x:int64"))
		for text, want := range cases {
			d.Decode(Record{Value: []byte(`{"id":"k","ts":` + text + `}`), Timestamp: feature.MaxTime})
			res := d.Cut(feature.Origin{})[0]
			var got any
			if res.Batch.Len() == 1 {
				got = res.Batch.EventTime[0]
			} else if rules(res.Rejected[0].Reasons) != "event_time(ts)" {
				t.Errorf("%s %s: %v", format, text, res.Rejected)
			}
			if got != want {
				t.Errorf("%s %s: %v, want %v", format, text, got, want)
			}
		}
	}
}

// A batch that was handed out is not touched by what comes after it.
func TestBatchesKeepTheirValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	d := decoder(t, decodetest.Source(), Options{}, decodetest.View())
	var batches []*feature.Batch
	var before [][]any
	rows := 0
	for range 20 {
		for range 1 + rng.IntN(500) {
			d.Decode(Record{Value: decodetest.Event(rows, rng), Offset: int64(rows), Timestamp: decodetest.Start.Add(1e12).UnixMicro()})
			rows++
		}
		res := d.Cut(feature.Origin{})[0]
		sound(t, res)
		if len(res.Rejected) > 0 {
			t.Fatal(res.Rejected)
		}
		batches = append(batches, res.Batch)
		for i := range res.Batch.Len() {
			before = append(before, cells(res.Batch, i))
		}
	}
	k := 0
	for _, b := range batches {
		for i := range b.Len() {
			if got := cells(b, i); !reflect.DeepEqual(got, before[k]) || b.Offsets[i] != int64(k) {
				t.Fatal(k, got, before[k])
			}
			k++
		}
		b.Rows.Release()
	}
	if k != rows {
		t.Fatal(k, rows)
	}
}

func TestAllocations(t *testing.T) {
	allocations(t, decodetest.View(), decodetest.Event)
	allocations(t, decodetest.ArraysView(), decodetest.ArraysEvent)
}

func allocations(t *testing.T, v *feature.View, event func(int, *rand.Rand) []byte) {
	rng := rand.New(rand.NewPCG(5, 6))
	d := decoder(t, v.SourceOf, Options{}, v)
	events := make([][]byte, 4000)
	for i := range events {
		events[i] = event(i, rng)
	}
	run := func() {
		for i, e := range events {
			d.Decode(Record{Value: e, Offset: int64(i), Timestamp: decodetest.Start.Add(1e12).UnixMicro()})
		}
		if r := d.Cut(feature.Origin{})[0]; r.Batch.Len() != len(events) {
			t.Fatal(r.Rejected)
		}
	}
	run()
	if n := testing.AllocsPerRun(5, run) / float64(len(events)); n > 0.05 {
		t.Error(n, "allocations an event of", v.Meta.Name)
	}
}

func TestFaultsOfDefinitions(t *testing.T) {
	v := view("v", 1, "id:string", "x:int64")
	for what, f := range map[string]func() error{
		"format": func() error {
			s := source("", "ts", "")
			s.Format = "avro"
			_, err := New(s, []*feature.View{v}, Options{})
			return err
		},
		"schema": func() error {
			_, err := New(source(`{"type":"nope"}`, "ts", ""), []*feature.View{v}, Options{})
			return err
		},
		"time": func() error { _, err := New(source("", "ts:julian", ""), []*feature.View{v}, Options{}); return err },
		"keys": func() error {
			_, err := New(source("", "ts", ""), []*feature.View{view("w", 0, "x:int64")}, Options{})
			return err
		},
	} {
		if err := f(); err == nil {
			t.Errorf("%s: no error", what)
		} else {
			t.Logf("%s: %v", what, err)
		}
	}
	if d := decoder(t, source("", "ts", ""), Options{}); len(d.Cut(feature.Origin{})) != 0 {
		t.Error("results without views")
	}
}
