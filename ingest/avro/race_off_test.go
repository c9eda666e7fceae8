//go:build !race

package avro

const raceOn = false
