//go:build race

package jsonscan

const raceOn = true
