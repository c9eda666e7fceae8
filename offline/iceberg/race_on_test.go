//go:build race

package iceberg_test

const raceOn = true
