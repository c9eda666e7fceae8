//go:build !race

package jsonschema

const raceOn = false
