package pyregex

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPython compares with what Python 3.11's re.search said (testdata/python.json).
func TestPython(t *testing.T) {
	raw, err := os.ReadFile("testdata/python.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Subjects []string
		Patterns []struct{ Pattern, Match string }
		Refused  []string
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range want.Patterns {
		re, err := Compile(p.Pattern)
		if err != nil {
			t.Errorf("%q: %v", p.Pattern, err)
			continue
		}
		for i, s := range want.Subjects {
			n++
			if got := re.MatchString(s); got != (p.Match[i] == '1') {
				t.Errorf("%q on %q: got %v", p.Pattern, s, got)
			}
			if got := re.search(s); got != (p.Match[i] == '1') {
				t.Errorf("%q on %q, without the table: got %v", p.Pattern, s, got)
			}
		}
	}
	t.Logf("%d searches as in Python", n)
	for _, p := range want.Refused {
		if _, err := Compile(p); err == nil {
			t.Errorf("%q was accepted", p)
		}
	}
}

func TestLargeTablesFallBack(t *testing.T) {
	re, err := Compile(`a.{12}b`)
	if err != nil {
		t.Fatal(err)
	}
	if re.table != nil {
		t.Fatal("expected no table")
	}
	if !re.MatchString("xxa123456789012b") || re.MatchString("a12b") {
		t.Fatal("wrong")
	}
}

func TestNoAllocation(t *testing.T) {
	re, err := Compile(`^[A-Z]{3}-\d+$`)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { re.MatchString("ABC-123"); re.MatchString("ABD-12x") }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// FuzzAgainstGo compares both engines with Go's on the patterns that mean the
// same in both languages.
func FuzzAgainstGo(f *testing.F) {
	for _, p := range []string{`^[A-Z]{3}$`, `(a|b)*c`, `a{2,3}?b`, `[^a-c]+$`, `(?i)k.e`, `\bx\b`, `a|^b`, `x*y+z?`} {
		f.Add(p, "abc")
		f.Add(p, "ABC\nk é e")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 60 || len(s) > 200 || !utf8.ValidString(s) || strings.HasSuffix(s, "\n") {
			return // a last newline is where the two disagree about $
		}
		// Escapes, flags and named groups differ too; braces repeat differently.
		if strings.ContainsAny(pattern, `\{`) || strings.Contains(pattern, "(?") || strings.Contains(pattern, "[:") {
			return
		}
		re, err := Compile(pattern)
		if err != nil {
			return
		}
		std, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		want := std.MatchString(s)
		if got := re.MatchString(s); got != want {
			t.Fatalf("%q on %q: got %v, Go says %v", pattern, s, got, want)
		}
		if got := re.search(s); got != want {
			t.Fatalf("%q on %q, without the table: got %v, Go says %v", pattern, s, got, want)
		}
	})
}

// FuzzEngines compares the table with the program on any pattern.
func FuzzEngines(f *testing.F) {
	for _, p := range []string{`\bfoo\b`, `a$\n`, `(?m)^b$`, `\w+\s`, `^\d{3}$`, `(?i)straße|\Z`, `[^\W\d_]`} {
		f.Add(p, "foo bar\n")
		f.Add(p, "a\n\n")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 60 || len(s) > 200 {
			return
		}
		re, err := Compile(pattern)
		if err != nil {
			return
		}
		if a, b := re.MatchString(s), re.search(s); a != b {
			t.Fatalf("%q on %q: table %v, program %v", pattern, s, a, b)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	re, _ := Compile(`^[A-Z]{3}-\d+$`)
	std := regexp.MustCompile(`^[A-Z]{3}-\d+$`)
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			re.MatchString("ABC-123456")
		}
	})
	b.Run("program", func(b *testing.B) {
		for b.Loop() {
			re.search("ABC-123456")
		}
	})
	b.Run("go", func(b *testing.B) {
		for b.Loop() {
			std.MatchString("ABC-123456")
		}
	})
}
