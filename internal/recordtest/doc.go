// Package recordtest stands in for a server by what the real one once answered:
// contract tests then need none, and what they send is held against what it took.
//
// The one rule: a replay is strict. Each request must be the recorded one, in the
// recorded order, and all of them must come.
//
// Read Start.
package recordtest
