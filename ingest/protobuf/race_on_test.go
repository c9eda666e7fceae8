//go:build race

package protobuf

const raceOn = true
