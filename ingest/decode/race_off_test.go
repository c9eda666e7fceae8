//go:build !race

package decode

// RaceOn tells that the race detector watches, under which all takes ten times as long.
const RaceOn = false
