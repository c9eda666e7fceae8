//go:build race

package tabular

const raceOn = true
