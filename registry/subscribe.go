package registry

// subscription holds the newest catalog that its reader has not taken yet. Only
// the registry sends, under its lock, so replacing is take out and put in.
type subscription struct{ ch chan *Catalog }

func (s *subscription) offer(c *Catalog) {
	select {
	case <-s.ch:
	default:
	}
	s.ch <- c
}

// Subscribe returns a channel that gets the current catalog at once and every
// newer one after. A slow reader misses those in between, never the newest.
// The function ends the subscription; it, and Close, close the channel.
func (r *Registry) Subscribe() (<-chan *Catalog, func()) {
	s := &subscription{make(chan *Catalog, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.subs == nil {
		close(s.ch)
		return s.ch, func() {}
	}
	r.subs[s] = struct{}{}
	s.offer(r.current.Load().catalog)
	return s.ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, open := r.subs[s]; open {
			delete(r.subs, s)
			close(s.ch)
		}
	}
}
