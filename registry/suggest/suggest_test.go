package suggest

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"features", "source", "entities", "ttl", "online", "suite", "keys"}
	for s, want := range map[string]string{
		"feature": "features", "fetaures": "features", "Source": "source", "entity": "", "tll": "ttl",
		"on_line": "online", "zzz": "", "": "", "key": "keys", "description": "",
	} {
		if got := Nearest(s, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", s, got, want)
		}
	}
}
