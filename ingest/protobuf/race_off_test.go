//go:build !race

package protobuf

const raceOn = false
