package pytime

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

func load(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// TestDateutil compares with dateutil 4.0.0 on the texts of testdata/dateutil.json;
// WEIR_DATEUTIL_CASES names a longer file of the same form.
func TestDateutil(t *testing.T) {
	var want struct{ Accepted, Refused []string }
	file := "testdata/dateutil.json"
	if f := os.Getenv("WEIR_DATEUTIL_CASES"); f != "" {
		file = f
	}
	load(t, file, &want)
	for _, s := range want.Accepted {
		if !Parseable(s) {
			t.Errorf("%q was refused", s)
		}
	}
	for _, s := range want.Refused {
		if Parseable(s) {
			t.Errorf("%q was accepted", s)
		}
	}
	if Parseable("\u0663") { // here dateutil is wider: digits are ASCII
		t.Error("an Arabic digit was read as a number")
	}
	t.Logf("%d texts as dateutil reads them", len(want.Accepted)+len(want.Refused))
}

// TestStrptime compares with Python 3.11's datetime.strptime.
func TestStrptime(t *testing.T) {
	var want struct {
		Values  []string
		Formats []struct {
			Format   string
			Accepted []string
		}
		Refused []string
	}
	load(t, "testdata/strptime.json", &want)
	for _, f := range want.Formats {
		c, err := CompileFormat(f.Format)
		if err != nil {
			t.Errorf("%q: %v", f.Format, err)
			continue
		}
		for _, v := range want.Values {
			ok := slices.Contains(f.Accepted, v)
			if got := c.Match(v); got != ok {
				t.Errorf("%q on %q: got %v", f.Format, v, got)
			}
			if got := c.slow(v); got != ok {
				t.Errorf("%q on %q, slow: got %v", f.Format, v, got)
			}
		}
	}
	for _, f := range want.Refused {
		if _, err := CompileFormat(f); err == nil {
			t.Errorf("%q was accepted", f)
		}
	}
}

func TestISO(t *testing.T) {
	for s, layout := range map[string]string{
		"2026-01-31": "2006-01-02", "2024-02-29T12:30": "2006-01-02T15:04", "1969-12-31 23:59:59.5": "2006-01-02 15:04:05",
		"2026-01-31T12:30:59.123456Z": time.RFC3339Nano, "2026-01-31T12:30:59+01:30": time.RFC3339Nano, "0001-01-01": "2006-01-02", "9999-12-31": "2006-01-02",
	} {
		want, err := time.Parse(layout, s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseISO(s); err != nil || got != want.UnixMicro() {
			t.Errorf("%s: got %d, %v, want %d", s, got, err, want.UnixMicro())
		}
	}
	for _, s := range []string{"", "2026", "2026-02-29", "2026-13-01", "2026-01-31T", "2026-01-31T25:00", "2026-01-31T12:30:59.", "2026-01-31T12:30:59.1234567", "2026-01-31T12:30:00+24:00", "2026-01-31x", "0000-01-01"} {
		if _, err := ParseISO(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	for d := range int64(4_000_000) { // every day of eleven thousand years
		at := time.Unix((d-719162)*86400, 0).UTC()
		if y := at.Year(); y >= 1 && y <= 9999 && days(y, int(at.Month()), at.Day()) != d-719162 {
			t.Fatalf("%v", at)
		}
	}
}

// FuzzParseable: no text makes it panic, and what ISO reads is parseable.
func FuzzParseable(f *testing.F) {
	for _, s := range []string{"Thu, 25 Sep 2003 10:49:41 -0300", "10h36m28.5s", "1.2.3", "12,34", "jan of 5", "2026-01-31T12:30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { Parseable(s) })
}

// FuzzFormat: the fast way never takes what the slow one refuses.
func FuzzFormat(f *testing.F) {
	f.Add("%Y-%m-%d", "2026-01-31")
	f.Add("%f%H%y %d", "1234561200 29")
	f.Add("%c %z", "x")
	f.Fuzz(func(t *testing.T, format, s string) {
		if len(format) > 40 || len(s) > 60 {
			return
		}
		c, err := CompileFormat(format)
		if err != nil {
			return
		}
		slow := c.slow(s)
		if c.fixed != nil && c.fast(s) && !slow {
			t.Fatalf("%q on %q: only the fast way takes it", format, s)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	c, _ := CompileFormat("%Y-%m-%d %H:%M:%S")
	b.ReportAllocs()
	for b.Loop() {
		c.Match("2026-01-31 12:30:59")
	}
}
