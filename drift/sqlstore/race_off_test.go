//go:build !race

package sqlstore

const raceOn = false
