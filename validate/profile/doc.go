// Package profile looks at a table once and proposes what to expect of the next
// one: an expectation suite and a JSON Schema, each rule with its evidence.
//
// The one rule: what is proposed holds for every row that was seen. Nothing is
// estimated; what would need more memory than the limit is not proposed, and
// said so.
//
// Read Profiler first, then propose.go for what is made of what.
package profile
