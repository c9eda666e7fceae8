//go:build !race

package offline

// RaceOn tells that the race detector watches, under which all takes ten times as long.
const RaceOn = false
