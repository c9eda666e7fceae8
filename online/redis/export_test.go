package redis

// Asked tells that nobody asks about eviction any more.
func (s *Store) Asked() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
