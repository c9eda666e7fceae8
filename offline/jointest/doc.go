// Package jointest holds the point-in-time join to its definition: small random
// worlds (views, their rows in files, a spine), an oracle that answers by looking
// at every row, and a shrinker that makes of a world that fails the smallest one
// that still does.
//
// The one rule: the oracle knows nothing of files. How a world's rows are laid out
// (World.Way, View.Files) may change nothing that the join answers.
//
// Read World first, then Answer, then Check. A failure is printed as Go, ready to
// be a test of its own.
package jointest
