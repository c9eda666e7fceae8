//go:build race

package drift

const raceOn = true
