package protoschema

import "strings"

// maxDepth bounds brackets within brackets. Messages may stand 32 deep; a value of an
// option may be deeper, for which the compiler takes memory by the square of its depth.
const maxDepth = 100

// nests reports whether a file nests more brackets than maxDepth, those in comments and
// texts left out.
func nests(text string) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[', '(', '<':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']', ')', '>':
			depth = max(0, depth-1)
		case '"', '\'':
			for i++; i < len(text) && text[i] != c && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			rest := text[i:]
			switch {
			case strings.HasPrefix(rest, "/*"):
				end := strings.Index(rest[2:], "*/")
				if end < 0 {
					return false
				}
				i += 2 + end + 1
			case strings.HasPrefix(rest, "//"):
				end := strings.IndexByte(rest, '\n')
				if end < 0 {
					return false
				}
				i += end
			}
		}
	}
	return false
}
