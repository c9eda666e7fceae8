// Package suggest finds the word that somebody probably meant.
//
// The one rule: rather none than a far-fetched one.
package suggest

import (
	"fmt"
	"strings"
)

// Nearest returns the known word that is closest to s by letters inserted,
// deleted, changed or swapped; "" when none is close. The first of equally close ones wins.
func Nearest(s string, known []string) string {
	best, least := "", max(2, len(s)/4)+1
	low := strings.ToLower(s)
	for _, k := range known {
		kl := strings.ToLower(k)
		if kl == low {
			return k
		}
		if len(k)-len(s) >= least || len(s)-len(k) >= least {
			continue
		}
		// A word of three letters is not a misspelling of every other such word.
		if d := distance(low, kl); d < least && d < max(len(s), len(k))/2+1 {
			best, least = k, d
		}
	}
	return best
}

// Phrase is "did you mean X?" for the nearest word, else "" when it has none.
func Phrase(s string, known []string) string {
	if n := Nearest(s, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// distance counts single-letter edits, a swap of neighbours being one.
func distance(a, b string) int {
	if len(a) > 256 || len(b) > 256 {
		return max(len(a), len(b))
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
