package registry

import "time"

// SetClock makes a registry take every moment for this one.
func SetClock(r *Registry, micros int64) {
	r.now = func() time.Time { return time.UnixMicro(micros) }
}
