//go:build race

package simtest

const raceOn = true
