package app

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// HoldMemory keeps what the process takes near target bytes: without it Go lets
// garbage grow to the size of what is in use before it collects. Where eight ninths
// of the target and more are in use the limit goes up with them, since a fixed one
// would have Go do nothing but collect; from twice the target on, with a large
// embedded Redis say, there is none. A target of 0, or GOMEMLIMIT in the environment,
// leaves all to Go. stop brings back what was before.
//
// The limit is the whole process's; only who owns the process may call it.
func HoldMemory(target int64) (stop func()) {
	if target <= 0 || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(target)
	collected, done, ended := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		set := target
		for {
			onCollection(collected)
			select {
			case <-collected:
			case <-done:
				return
			}
			metrics.Read(samples)
			want := memoryLimit(target, samples[0].Value.Uint64())
			if want > set || want < set-set/8 { // each change stops the world for a moment
				debug.SetMemoryLimit(want)
				set = want
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		debug.SetMemoryLimit(before)
	}
}

// memoryLimit is the soft limit of a process in which so many bytes live.
func memoryLimit(target int64, live uint64) int64 {
	if live > uint64(2*target) {
		return math.MaxInt64
	}
	return max(target, int64(live)/8*9)
}

// onCollection sends once, after the next garbage collection.
func onCollection(c chan<- struct{}) {
	type mark struct{ _ [16]byte }
	runtime.AddCleanup(new(mark), func(c chan<- struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}, c)
}

// compactMemory is what merges may take in a process that takes rows in as well:
// both at once have to fit into what the process keeps to.
func compactMemory(c Config) int64 {
	if c.Memory <= 0 {
		return c.Offline.Compact.Memory
	}
	return min(c.Offline.Compact.Memory, max(c.Memory/4, leastCompactMemory))
}

const leastCompactMemory = 16 << 20
