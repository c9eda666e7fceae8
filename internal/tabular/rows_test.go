package tabular

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func readerOf(s string) io.Reader { return strings.NewReader(s) }

type rowGot struct {
	n    int64
	line int64
	text string
	bad  string
}

func allRows(t testing.TB, path string, o RowOptions) []rowGot {
	r, err := OpenRows(ctx, path, o)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	var out []rowGot
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			done, total := r.Progress()
			require.Equal(t, total, done)
			return out
		}
		require.NoError(t, err)
		g := rowGot{n: row.Number, line: row.Line, text: string(row.Payload)}
		if row.Err != nil {
			g.bad = row.Err.Error()
		}
		out = append(out, g)
	}
}

func TestCSVRows(t *testing.T) {
	path := textFile(t, "in.csv", "id,at,value.now,value.was,flag,note,n\n"+
		"7,2026-01-02,1.5,NA,True,\"say \"\"hi\"\"\n\",007\n"+
		"8,,+.5,12.,maybe,,abc\n"+
		"9,\"x\" y,1,2,3,4,5\n"+
		"10,short\n\n"+
		"11,t,\"1e5\",-0.0,false,tab\there,1\n"+
		"12,open,1,2,true,\"never closed,1\n"+
		"13,t,1,2,true,\xff,1\n")
	got := allRows(t, path, RowOptions{Nulls: []string{"NA"}, Types: map[string]feature.Type{
		"id": feature.Int64, "value.now": feature.Float64, "value.was": feature.Float64, "flag": feature.Bool}})
	for i := range got {
		got[i].bad = strings.TrimPrefix(got[i].bad, "tabular.read: "+path+": ")
	}
	require.Equal(t, []rowGot{
		{0, 2, `{"id":7,"at":"2026-01-02","value":{"now":1.5,"was":null},"flag":true,"note":"say \"hi\"\n","n":"007"}`, ""},
		{1, 4, `{"id":8,"at":null,"value":{"now":0.5,"was":12},"flag":"maybe","note":null,"n":"abc"}`, ""},
		{2, 5, `9,"x" y,1,2,3,4,5`, "line 5: text follows a closing quote"},
		{3, 6, `10,short`, "line 6: the row has 2 values, the header names 7 columns"},
		{4, 8, `{"id":11,"at":"t","value":{"now":1e5,"was":-0.0},"flag":false,"note":"tab\there","n":"1"}`, ""},
		{5, 9, `12,open,1,2,true,"never closed,1`, "line 9: a quoted value is not closed"},
		{6, 10, `{"id":13,"at":"t","value":{"now":1,"was":2},"flag":true,"note":"` + "\xff" + `","n":"1"}`, ""},
	}, got)

	_, err := OpenRows(ctx, textFile(t, "bad.csv", "a,a.b\n"), RowOptions{})
	require.ErrorContains(t, err, `column "a" would be both a value and an object`)
	_, err = OpenRows(ctx, textFile(t, "bad.csv", "a.b,a\n"), RowOptions{})
	require.ErrorContains(t, err, `column "a" would be both a value and an object`)
}

func TestJSONRows(t *testing.T) {
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, err := z.Write([]byte("{\"a\":1}\r\n\nnot json\n{\"b\":"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	got := allRows(t, textFile(t, "in.jsonl.gz", gz.String()), RowOptions{})
	require.Equal(t, []rowGot{{0, 1, `{"a":1}`, ""}, {1, 3, "not json", ""}, {2, 4, `{"b":`, ""}}, got)
}

func TestPlainNumber(t *testing.T) {
	for in, want := range map[string]string{"+5": "5", ".5": "0.5", "-.5": "-0.5", "5.": "5", " 5 ": "5", "007": "7", "-007.50": "-7.50", "5.e3": "5e3", "00": "0",
		"": "", "+": "", ".": "", "-.": "", "abc": "", "NaN": "", "inf": "", "1 2": "", "0x1": "", "1_000": "", "--1": "", "1.2.3": ""} {
		require.Equal(t, want, string(plainNumber([]byte(in))), "%q", in)
	}
}

func TestSchemaTypes(t *testing.T) {
	require.Equal(t, map[string]feature.Type{"a": feature.Float64, "b.c": feature.Int64, "d": feature.Bool,
		"e": feature.Array(feature.Int64), "f": feature.Array(feature.String)},
		SchemaTypes([]byte(`{"type":"object","properties":{"a":{"type":["number","null"]},"b":{"properties":{"c":{"type":"integer"}}},"d":{"type":"boolean"},"e":{"type":["array","null"],"items":{"type":"integer"}},"f":{"type":"array"},"s":{"type":["string","number"]}}}`)))
	require.Empty(t, SchemaTypes(nil))
	require.Empty(t, SchemaTypes([]byte(`true`)))
}

func scanAll(r io.Reader) (recs [][]string, bad []string, err error) {
	s := newCSVScanner(r, ',')
	for s.scan() {
		if s.bad != nil {
			bad = append(bad, string(s.raw))
			recs = append(recs, nil)
			continue
		}
		var rec []string
		for _, f := range s.fields {
			rec = append(rec, string(f))
		}
		recs = append(recs, rec)
	}
	return recs, bad, s.err
}

// FuzzCSV: the scanner reads what encoding/csv reads, where that is strict; the
// same however the bytes arrive; and every row of an import is an error or JSON.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"x\"\"y\"\n", "a,b\r\n\"1\r\n2\",3\r\n", "\"", "\"a\"b\n\"c", "a,\"\n\n\",\n", ",\n,,\n", "\"\"\r", "a\rb\n", "\"a\",\"b\"", "x\n\"\r\n"} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		recs, bad, err := scanAll(readerOf(text))
		require.NoError(t, err)
		slow, slowBad, err := scanAll(iotest.OneByteReader(readerOf(text)))
		require.NoError(t, err)
		require.Equal(t, recs, slow)
		require.Equal(t, bad, slowBad)

		std := csv.NewReader(readerOf(text))
		std.FieldsPerRecord = -1
		if want, err := std.ReadAll(); err == nil && !strings.Contains(text, "\r") { // it also rewrites line ends within quotes
			require.Empty(t, bad)
			require.Equal(t, len(want), len(recs))
			for i := range want {
				require.Equal(t, want[i], recs[i])
			}
		}

		path := filepath.Join(dir, "fuzz.csv")
		require.NoError(t, os.WriteFile(path, []byte("n,s,o.a,o.b\n"+text), 0o600))
		for _, row := range allRows(t, path, RowOptions{Types: map[string]feature.Type{"n": feature.Float64, "o.a": feature.Bool}}) {
			if row.bad == "" && utf8.ValidString(row.text) {
				require.True(t, json.Valid([]byte(row.text)), "%q", row.text)
			}
		}
		for name := range map[string]bool{"f.csv": true, "f.jsonl": true} {
			if r, err := Open(ctx, fileAt(t, dir, name, text), ReadOptions{}); err == nil {
				for err == nil {
					_, err = r.Read()
				}
				require.NoError(t, r.Close())
			}
		}
	})
}

func fileAt(t testing.TB, dir, name, text string) string {
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// shared finds a file of the shared folder beside the module.
func shared(t testing.TB, path string) string {
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		wd, err := os.Getwd()
		require.NoError(t, err)
		for at := wd; ; at = filepath.Dir(at) {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				dir = filepath.Join(filepath.Dir(at), "shared")
				break
			}
			require.NotEqual(t, at, filepath.Dir(at), "no go.mod above %s", wd)
		}
	}
	path = filepath.Join(dir, path)
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIP(shared absent): " + path)
	}
	return path
}

func TestWeather(t *testing.T) {
	path := shared(t, "data/nyc_weather_2013.csv")
	types := map[string]feature.Type{"temp": feature.Float64, "wind_speed": feature.Float64, "pressure": feature.Float64}
	rows := allRows(t, path, RowOptions{Types: types, Nulls: []string{"NA"}})
	require.Len(t, rows, 26115)
	schema, typed, err := readAll(t, path, ReadOptions{Nulls: []string{"NA"}})
	require.NoError(t, err)
	require.Len(t, typed, 26115)
	t.Log(schema, rows[0].text)
	nulls := 0
	for i, r := range rows {
		require.Empty(t, r.bad)
		var ev map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.text), &ev))
		for k, s := range schema {
			name, typ, _ := strings.Cut(s, ":")
			if typ == "float64" && types[name] != 0 {
				require.Equal(t, typed[i][k], ev[name])
			}
			if name == "pressure" && ev[name] == nil {
				nulls++
			}
		}
	}
	require.Positive(t, nulls)
}

func BenchmarkCSVRows(b *testing.B) {
	var text strings.Builder
	text.WriteString("id,temp,wind,origin,at,a,b,c\n")
	for range 20000 {
		text.WriteString("123456,39.02,10.35702,EWR,2013-01-01T06:00:00Z,0.5,hello world,\n")
	}
	path := textFile(b, "b.csv", text.String())
	types := map[string]feature.Type{"id": feature.Int64, "temp": feature.Float64, "wind": feature.Float64, "a": feature.Float64}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r, err := OpenRows(ctx, path, RowOptions{Types: types})
		require.NoError(b, err)
		n := 0
		for {
			if _, err := r.Next(); err != nil {
				break
			}
			n++
		}
		require.Equal(b, 20000, n)
		r.Close()
	}
	b.ReportMetric(float64(b.N)*20000/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
