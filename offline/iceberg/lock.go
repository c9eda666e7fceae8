package iceberg

import (
	"context"
	"time"
)

// acquire takes the table's lock: one commit at a time in this process, and by a
// lock file among processes of one machine. It only spares commits that would
// collide; the swap is what makes them right. So whatever goes wrong with it,
// and any wait beyond lockPatience, is passed over.
func (t *Table) acquire(ctx context.Context) (unlock func()) {
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	select {
	case t.lock <- struct{}{}:
	case <-patience.C:
		return func() {}
	case <-ctx.Done():
		return func() {}
	}
	release := func() { <-t.lock }
	path := t.store.files.lockPath(t.location)
	if path == "" {
		return release
	}
	f, err := openLock(path)
	if err != nil {
		return release
	}
	wait := 200 * time.Microsecond
	for !f.try() {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			wait = min(2*wait, 5*time.Millisecond)
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		timer.Stop()
		break
	}
	return func() {
		f.close()
		release()
	}
}

// lockName is the lock file, in the metadata folder.
const lockName = "weir.lock"

// lockPatience is the longest wait for the lock; a commit takes milliseconds.
const lockPatience = 5 * time.Second
