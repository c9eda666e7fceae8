//go:build race

package expect

// raceDetector: sync.Pool forgets at random under it, so that allocations are no measure.
const raceDetector = true
