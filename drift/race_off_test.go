//go:build !race

package drift

const raceOn = false
