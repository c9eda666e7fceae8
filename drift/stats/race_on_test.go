//go:build race

package stats

// times is by how many times fewer random cases a test makes under the race detector,
// which takes ten times as long and finds nothing here.
const times = 8
