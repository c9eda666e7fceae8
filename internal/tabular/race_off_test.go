//go:build !race

package tabular

const raceOn = false
