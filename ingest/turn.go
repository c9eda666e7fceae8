package ingest

import "context"

// turn is a mutex whose waiters come in the order in which they asked, and can
// give up. A partition under load takes it again as soon as it has released it:
// who waits for a sync.Mutex without blocking would hardly ever get it.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) lock()   { t <- struct{}{} }
func (t turn) unlock() { <-t }

func (t turn) tryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// lockWithin locks unless ctx ends before; then it reports false.
func (t turn) lockWithin(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
