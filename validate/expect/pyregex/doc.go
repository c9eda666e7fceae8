// Package pyregex searches text for Python regular expressions (the re module,
// str patterns): what Great Expectations suites are written in.
//
// The one rule: a pattern either decides as Python would, or Compile refuses
// it. Refused is what no linear-time engine has (look-around, back-references,
// atomic groups, conditionals) and the verbose and locale flags.
//
// A pattern is translated to Go's syntax (translate.go) and compiled to its
// program. Text of ASCII runs through a table made from that program (dfa.go),
// about two nanoseconds a byte; other text, and patterns whose table would be
// too large, run the program itself (nfa.go), which is the reference for both.
//
// Read Regexp first.
package pyregex
