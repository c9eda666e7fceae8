package feature

import "strings"

func toValid(b []byte, cut bool) string {
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	if cut {
		s += "…"
	}
	return s
}
